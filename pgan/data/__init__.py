"""Data sets on disk: records, label files, the writer of all data sets, decoding of image files."""
