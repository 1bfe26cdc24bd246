"""Sources of images for data sets: one module per source, each with a function that returns a
`source.Source`.
"""
