"""Sources of images for data sets: a module each, whose function returns a `source.Source`."""
