"""Moodify's daemon: it sees and hears how the room feels and plays the household's own music accordingly."""

__version__ = "0.1.0"
