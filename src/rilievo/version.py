"""The version of rilievo, from which the package's metadata is made."""

VERSION = "0.3.0.dev0"

PROCESSING = 5
"""Raised whenever one model with the same options gives other predictions than before. Results and
caches of another number are refused rather than mixed."""
