"""Scripts for finished runs: one module per script, named like its function (see util_scripts.py).
"""
