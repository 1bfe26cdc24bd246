"""Reports of a run: log lines, curves, pictures, its page, and the estimated time left."""
