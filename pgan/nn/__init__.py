"""Layers of the growing networks, and what the networks built from them share."""
