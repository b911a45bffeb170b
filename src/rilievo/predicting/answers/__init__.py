"""Kept answers of networks."""
