"""The version of rilievo, from which the package's metadata is made."""

VERSION = "0.3.0.dev0"

PROCESSING = 4
"""Raised whenever one model with the same options gives other predictions than before, as when
sharpening changed. Results and caches of another number are refused rather than mixed."""
