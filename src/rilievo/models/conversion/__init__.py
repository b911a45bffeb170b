"""Conversion of networks without torch: 8 bits, and a cache."""
