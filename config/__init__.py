"""Settings, the YAML dialect they are written in, and the configuration that is built in."""
