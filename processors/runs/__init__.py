"""What is kept of a live run, how steps are shown to its detectors again, and what of it is published."""
