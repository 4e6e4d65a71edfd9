"""Decides and knows no I/O: values and pure functions; time travels inside events, chance and settings are arguments."""
