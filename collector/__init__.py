"""Takes telemetry in, normalises it, and puts the pipeline together."""
