"""Conversion of networks that needs no torch: 8 bits, a cache of files."""
