"""Torch networks, without files or datasets."""
