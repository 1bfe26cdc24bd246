"""What a run reports: log lines, curves, pictures, its page, and the time it has left."""
