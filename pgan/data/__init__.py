"""Data sets on disk: records, label files, the writer of every data set, decoding of image
files.
"""
