"""Errors that users can fix, in one line: what was found, what was expected, what to do.

They also derive from built-ins (``ValueError``, ``OSError`` ...), so code that converts a library's
errors lets a ``RilievoError`` pass first.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rilievo.errors.messages import Message, Text, spell_keyword

_LISTED = 60  # longer lists are not read to their end
_FIELDS = ("message", "path", "option", "value", "expected", "problem", "without", "hint")


class RilievoError(Exception, Message):
    """Error that a user can fix, with the fields of ``messages.Message``.

    The command line prints it without a traceback and exits with 2.

    Examples:
        >>> str(rilievo.RilievoError(option="fov", value=0, expected="positive"))
        'fov is positive, got 0'

    Args:
        message: Beginning without options, or the whole message.
    """

    def __init__(
        self,
        message: str = "",
        *,
        path: object = "",
        option: str = "",
        value: object = None,
        expected: str | Text = "",
        problem: str | Text = "",
        without: str = "",
        hint: str | Text = "",
    ) -> None:
        self.option, self.value, self.expected, self.problem = option, value, expected, problem
        self.message, self.path, self.without, self.hint = message, path, without, hint
        super().__init__(self.worded(spell_keyword))
        self.path = path  # ImportError has a path of its own, and sets it to None

    def __reduce__(self) -> tuple[Any, ...]:
        # By default only the message would be passed on to another process.
        return partial(type(self), **{name: getattr(self, name) for name in _FIELDS}), ()


class InputError(RilievoError, ValueError):
    """A file or array cannot be used.

    Examples:
        >>> rilievo.read_photo(b"no photograph")
        Traceback (most recent call last):
        rilievo.errors.InputError: ...
    """


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder does not exist.

    Examples:
        >>> rilievo.read_photo("absent.jpg")
        Traceback (most recent call last):
        rilievo.errors.MissingFileError: absent.jpg: ...
    """


class InputTypeError(InputError, TypeError):
    """An argument is of a wrong type."""


class OutputError(RilievoError, OSError):
    """A result cannot be written.

    Examples:
        >>> str(rilievo.OutputError("is in the way", path="photo.npz"))
        'photo.npz: is in the way'
    """


class OptionError(RilievoError, ValueError):
    """Options are out of range or contradict each other.

    Examples:
        >>> rilievo.PredictOptions(fov=200)
        Traceback (most recent call last):
        rilievo.errors.OptionError: fov is between 0 and 180 degrees, got 200
    """


class UntrustedCodeError(OptionError):
    """A file names code that the user has not named."""


class ModelError(RilievoError, ValueError):
    """A model is unknown or broken, or cannot do what was asked.

    Examples:
        >>> rilievo.load_model("absent")
        Traceback (most recent call last):
        rilievo.errors.ModelError: ...
    """


class UnknownCameraError(ModelError):
    """A model needs a focal length that nobody states."""


class MissingExtraError(RilievoError, ImportError):
    """A package that an option needs is not installed.

    Examples:
        >>> rilievo.MissingExtraError("a chart", "evaluate")
        MissingExtraError(...)

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
    """A package that converts a result is not installed.

    Examples:
        >>> issubclass(rilievo.MissingPackageError, ImportError)
        True
    """

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install {package}")
        self._asked = (what, package)

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        return MissingPackageError, self._asked


class NoDepthError(RilievoError, AttributeError):
    """A prediction has normals only.

    Examples:
        >>> issubclass(rilievo.NoDepthError, AttributeError)
        True
    """


class NoGroundTruthError(RilievoError, ValueError):
    """An image has no pixel with ground truth."""


class CalibrationError(RilievoError, ValueError):
    """Known distances do not determine the scale of depth.

    Examples:
        >>> issubclass(rilievo.CalibrationError, ValueError)
        True
    """


class UndeterminedError(CalibrationError):
    """Known distances determine one of two numbers of affine depth."""


@contextmanager
def needing(what: str, extra: str, option: str = "") -> Iterator[None]:
    """Turn failed imports in the block into a ``MissingExtraError``."""
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, RilievoError) or (error.name or "rilievo").startswith("rilievo"):
            raise
        raise MissingExtraError(what, extra, option) from error


def suggest(name: str, names: Iterable[str]) -> str:
    """End of a message: the nearest names, or all."""
    from difflib import get_close_matches

    names = list(map(str, names))  # members of a StrEnum would show their class
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    near = near or [candidate for candidate in names if candidate.startswith(name or "?")][:3]
    if near:
        return f"did you mean {' or '.join(repr(candidate) for candidate in near)}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"known: {', '.join(names[:_LISTED])}{more}"


def unknown_choice(option: str, name: str, names: Iterable[str]) -> OptionError:
    """Error for a name that is none of an option's."""
    return OptionError(option=option, problem=f"has no '{name}'", hint=suggest(name, names))


def first_line(error: Exception) -> str:
    """First informative line of a library's message, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a position in its own source.
    lines = [line for line in lines if not line.startswith("Exception from")] or lines
    lines = lines or [type(error).__name__]
    # ONNX Runtime repeats the path, which may be longer than the limit.
    lines[0] = lines[0].rpartition(" failed:")[2] if "Load model from " in lines[0] else lines[0]
    # transformers states the place in the first line and the cause in the second.
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:200]
