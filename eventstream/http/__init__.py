"""The Falcon app: HTTP in and out of one node."""
