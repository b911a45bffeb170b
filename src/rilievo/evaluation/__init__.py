"""Predictions scored by exact, named protocols."""
