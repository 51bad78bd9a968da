"""From OTLP spans and logs, in whatever dialect, to steps."""
