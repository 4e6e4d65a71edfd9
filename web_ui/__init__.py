"""The control page: a small Flask application and the server that carries it."""
