"""Decides and knows no I/O: time travels inside events, chance and settings come as arguments."""
