"""Makers of the networks that ship with rilievo: recipes, with the frames they learn from."""
