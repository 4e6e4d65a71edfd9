"""What can be heard in a song: decoding, features, and how it feels."""
