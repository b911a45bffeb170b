"""Prediction as an HTML page."""
