"""What texts are about: vectors by the packaged table, and the parts of the detectors that read them."""
