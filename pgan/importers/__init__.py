"""Importers of image collections: one module each, with a function that returns a `Source`."""
