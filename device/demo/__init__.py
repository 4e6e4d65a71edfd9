"""The demonstration: music, a face and a voice of our own making, played through the real program and real servers."""
