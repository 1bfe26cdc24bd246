"""The explorer: a web page on this machine that shows what a run's generator can draw."""
