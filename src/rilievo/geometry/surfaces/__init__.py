"""Surfaces from depth."""
