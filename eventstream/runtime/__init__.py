"""What one worker runs: pipelines in, the hub and its subscribers out. Plain Python, no event loop."""
