"""From frames and sound to readings."""
