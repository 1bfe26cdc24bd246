"""The explorer: a local web page for exploring the images of a run's generator."""
