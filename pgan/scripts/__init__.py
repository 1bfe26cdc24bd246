"""What a finished run is used for: one module per script, named like its function (see
util_scripts.py).
"""
