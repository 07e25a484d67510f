"""Wire formats without I/O: bytes in, bytes out."""
