"""The plugin system: hook specifications, discovery, and the catalogue of what plugins offer."""
