"""Predictions that are scored: of a model, a cache, a folder or another program."""
