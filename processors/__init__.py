"""Stream processors: the runtime and the detectors it runs."""
