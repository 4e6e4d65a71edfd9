"""The laboratory: measures the shipped models and the running speaker; the daemon never imports it."""
