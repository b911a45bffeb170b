"""Messages about options, with keywords of Python in place of flags."""

import re

_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_IN_PYTHON = re.compile(r" \([a-z_]+=(?:\.\.\.|True|\[\([a-z0-9, ]+\)\])\)")
"""Spelling of an option in Python, after that of the command line."""


def with_keywords(text: str) -> str:
    """A message with keywords in place of flags."""
    return _FLAG.sub(lambda found: found[1].replace("-", "_"), _IN_PYTHON.sub("", text))
