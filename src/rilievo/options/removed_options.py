"""Options of earlier versions that are gone, which every door answers with these words."""

from collections.abc import Mapping

REMOVED: Mapping[str, str] = {
    "sharp": "is gone since 0.3.0: no answer is sharpened; leave it out",
}
"""Answers, each to be read after the name of the option as a door spells it."""
