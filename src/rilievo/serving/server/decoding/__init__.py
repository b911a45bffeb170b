"""Decoding of visitors' files in other processes."""
