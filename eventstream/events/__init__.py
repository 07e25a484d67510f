"""Events as values: the event itself, its place, filters over it, and its wire encodings."""
