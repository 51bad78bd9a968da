"""The durable log between components: one protocol, several implementations."""
