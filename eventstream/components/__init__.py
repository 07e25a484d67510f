"""The base classes a plugin subclasses, and what they are handed."""
