"""Errors that a user can mend: one line each, saying what was found, what was expected, what to do.

The command line prints a ``RilievoError`` without a traceback and exits with 2; any other
exception is a defect of ours and keeps its traceback.

Errors are also the built-in that they are: a bad value is a ``ValueError``, a missing file a
``FileNotFoundError``, a refused write an ``OSError``. So code that turns a library's ``ValueError``
or ``OSError`` into one of these lets a ``RilievoError`` pass first, which says already what is
wrong.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LISTED = 60  # a line that nobody reads to its end helps nobody
_LONG_WORD = re.compile(r"\S{401,}")
_LONGEST = 1000
_KEPT_END = 200


class RilievoError(Exception):
    """Base of everything a user of rilievo can cause and mend.

    A message quotes names and values of files, whatever they hold: it is brought to one line that
    can be shown.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class InputError(RilievoError, ValueError):
    """A file or array handed to us cannot be used; the work on other inputs goes on."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that was named does not exist.

    It has its message alone: ``errno`` and ``filename`` are None.
    """


class InputTypeError(InputError, TypeError):
    """An argument is of a type that cannot be used."""


class OutputError(RilievoError, OSError):
    """A result cannot be written where it was asked for.

    It has its message alone: ``errno`` and ``filename`` are None.
    """


class OptionError(RilievoError, ValueError):
    """Options that are out of range or do not go together."""


class ModelError(RilievoError, ValueError):
    """A model is unknown, its file is broken, or it cannot do what was asked."""


class UnknownCameraError(ModelError):
    """A model needs the focal length, and neither the photograph nor the user tells it."""


class MissingExtraError(RilievoError, ImportError):
    """A package that an option needs is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'rilievo[{extra}]'")
        self._asked = (what, extra)

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        # By default the message alone would be handed to ``__init__`` in another process.
        return MissingExtraError, self._asked


class MissingPackageError(RilievoError, ImportError):
    """A package to whose objects a result is to be converted is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install {package}")
        self._asked = (what, package)

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        return MissingPackageError, self._asked


class NoDepthError(RilievoError, AttributeError):
    """A prediction has no depth, as its model gives normals alone."""


class NoGroundTruthError(RilievoError, ValueError):
    """An image has no pixel with ground truth, so it has no score."""


class CalibrationError(RilievoError, ValueError):
    """Known distances do not determine the scale (and shift) of a depth map."""


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Imports within that fail for want of a package name the extra that brings it.

    Raises:
        MissingExtraError: If a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, RilievoError) or (error.name or "rilievo").startswith("rilievo"):
            raise
        raise MissingExtraError(what, extra) from error


def one_line(text: str) -> str:
    """The text with what cannot be shown spelt out, and without the middle of what is endless."""
    if not text.isprintable():
        text = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
        )
    text = _LONG_WORD.sub(lambda word: f"{word[0][:120]}...{word[0][-40:]}", text)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - _KEPT_END - 5]} ... {text[-_KEPT_END:]}"


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known names, or those there are if none is near."""
    known = list(map(str, known))  # members of a StrEnum would show their class
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(candidate) for candidate in near)}?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"known: {', '.join(known[:_LISTED])}{more}"
