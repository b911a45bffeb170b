"""Lenses that files state."""
