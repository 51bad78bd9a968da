"""What the pipeline writes to, and the read-only door to the embedded store."""
