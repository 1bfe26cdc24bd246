"""Data sets on disk: records, label files, the writer, and decoding of image files."""
