"""Records that travel on the bus, their topics and their codecs."""
