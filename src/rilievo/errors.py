"""Errors that users can fix: one line each, with what was found, what was expected, what to do.

The command line prints a ``RilievoError`` without a traceback and exits with 2; any other exception
is a bug of ours and keeps its traceback.

Errors also derive from the matching built-in: a bad value is a ``ValueError``, a missing file a
``FileNotFoundError``, a refused write an ``OSError``. So code that converts a library's
``ValueError`` or ``OSError`` to one of these has to let a ``RilievoError`` pass first.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rilievo.messages import Message, keyword

_LISTED = 60  # longer lists are not read to their end
_FACTS = ("message", "path", "option", "value", "expected", "problem", "without", "hint")


class RilievoError(Exception, Message):
    """Base class of all errors that a user of rilievo can cause and fix.

    Its text has the names of Python; doors word it by ``worded``. Messages quote names and values
    from files, so they are reduced to one printable line. ``messages.Message`` has the fields.

    Args:
        message: Whole message, in which braces are no names of options; fields are for all others.
    """

    def __init__(
        self,
        message: object = "",
        *,
        path: object = "",
        option: str = "",
        value: object = None,
        expected: str = "",
        problem: str = "",
        without: str = "",
        hint: str = "",
    ) -> None:
        self.option, self.value, self.expected, self.problem = option, value, expected, problem
        self.message, self.path, self.without, self.hint = str(message), path, without, hint
        super().__init__(self.worded(keyword))
        self.path = path  # ImportError has a path of its own, and sets it to None

    def __reduce__(self) -> tuple[Any, ...]:
        # By default only the message would be passed on to another process.
        return partial(type(self), **{name: getattr(self, name) for name in _FACTS}), ()


class InputError(RilievoError, ValueError):
    """A file or array cannot be used; work on other inputs continues."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder does not exist.

    It has only a message: ``errno`` and ``filename`` are None.
    """


class InputTypeError(InputError, TypeError):
    """An argument is of a type that cannot be used."""


class OutputError(RilievoError, OSError):
    """A result cannot be written where it was asked for.

    It has its message alone: ``errno`` and ``filename`` are None.
    """


class OptionError(RilievoError, ValueError):
    """Options are out of range or do not go together."""


class UntrustedCodeError(OptionError):
    """A file names code that the user has not named."""


class ModelError(RilievoError, ValueError):
    """A model is unknown, its file is broken, or it cannot do what was asked."""


class UnknownCameraError(ModelError):
    """A model needs the focal length, and neither the photograph nor the user states it."""


class MissingExtraError(RilievoError, ImportError):
    """A package that an option needs is not installed.

    Args:
        what: Subject that needs it, such as "a chart"; "" for an option.
        extra: Name of the extra.
        option: Name of the option's field.
    """

    def __init__(self, what: str, extra: str, option: str = "") -> None:
        problem = f"needs the extra '{extra}': pip install 'rilievo[{extra}]'"
        super().__init__(what, option=option, problem=problem)
        self._arguments = (what, extra, option)

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str, str]]:
        # By default only the message would be passed to ``__init__`` in another process.
        return MissingExtraError, self._arguments


class MissingPackageError(RilievoError, ImportError):
    """A package for the conversion of a result is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install {package}")
        self._asked = (what, package)

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        return MissingPackageError, self._asked


class NoDepthError(RilievoError, AttributeError):
    """A prediction has no depth, because its model predicts normals only."""


class NoGroundTruthError(RilievoError, ValueError):
    """An image has no pixel with ground truth, so it has no score."""


class CalibrationError(RilievoError, ValueError):
    """Known distances do not determine the scale (and shift) of a depth map."""


class UndeterminedError(CalibrationError):
    """Known distances determine one number of affine depth, but not both."""


@contextmanager
def needing(what: str, extra: str, option: str = "") -> Iterator[None]:
    """Turn failed imports in the block into errors that name the extra with the package.

    Args:
        what: Subject that needs it, such as "a chart"; "" for an option.
        extra: Name of the extra.
        option: Name of the option's field.

    Raises:
        MissingExtraError: If a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, RilievoError) or (error.name or "rilievo").startswith("rilievo"):
            raise
        raise MissingExtraError(what, extra, option) from error


def suggest(name: str, names: Iterable[str]) -> str:
    """End of an error message: the nearest known names, or all of them if none is near."""
    from difflib import get_close_matches

    names = list(map(str, names))  # members of a StrEnum would show their class
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    near = near or [candidate for candidate in names if candidate.startswith(name or "?")][:3]
    if near:
        return f"did you mean {' or '.join(repr(candidate) for candidate in near)}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"known: {', '.join(names[:_LISTED])}{more}"


def first_line(error: Exception) -> str:
    """The first informative line of a library's message, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a position in its own source.
    lines = [line for line in lines if not line.startswith("Exception from")] or lines
    lines = lines or [type(error).__name__]
    # ONNX Runtime repeats the path, which may be longer than the limit.
    lines[0] = lines[0].rpartition(" failed:")[2] if "Load model from " in lines[0] else lines[0]
    # transformers states the place in the first line and the cause in the second.
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:200]
