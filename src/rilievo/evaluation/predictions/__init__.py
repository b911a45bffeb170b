"""Predictions that are scored: of a model or in files."""
