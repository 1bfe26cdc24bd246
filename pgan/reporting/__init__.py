"""What a run says of itself: log lines, image grids, curves, report.html, time left, metrics while
it trains.
"""
