"""Predictions for fisheyes and panoramas, by networks for ordinary photographs."""
