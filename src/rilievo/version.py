"""Version of rilievo."""

VERSION = "0.3.0.dev0"

PROCESSING = 5
"""Number that rises when predictions change; older results and caches are refused."""
