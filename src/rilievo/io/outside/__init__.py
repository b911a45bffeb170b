"""Readers of numbers of other programs."""
