"""What each dialect says its own way, one file each; what they share stands in `collector/normalise/sources.py`."""
