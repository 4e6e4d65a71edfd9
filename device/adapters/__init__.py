"""Each adapter wraps one outside library and speaks the daemon's own words."""
