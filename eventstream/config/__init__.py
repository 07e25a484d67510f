"""The configuration: read, judged as a whole, and built into settings."""
