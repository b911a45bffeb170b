"""Messages about options, with keywords of Python in place of flags."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rilievo.errors import OptionError

_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_IN_PYTHON = re.compile(r" \([a-z_]+=(?:\.\.\.|True|\[\([a-z0-9, ]+\)\])\)")
"""Spelling of an option in Python, after that of the command line."""


@contextmanager
def in_keywords() -> Iterator[None]:
    """Name options in refusals as keywords of Python: ``known_length`` for ``--known-length``."""
    try:
        yield
    except OptionError as error:
        raise OptionError(with_keywords(str(error))) from error


def with_keywords(text: str) -> str:
    """A message with keywords in place of flags."""
    return _FLAG.sub(lambda found: found[1].replace("-", "_"), _IN_PYTHON.sub("", text))
