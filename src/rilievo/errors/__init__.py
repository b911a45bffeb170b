"""Errors that users can fix, in one line: what was found, what was expected, what to do.

They also derive from built-in errors (``ValueError``, ``OSError`` ...). So code that catches a
library's ``ValueError``, in order to convert it, lets a ``RilievoError`` pass first.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rilievo.errors.messages import Message, Text, spell_keyword

_MAX_LISTED_NAMES = 60
"""Most names that a message lists; nobody reads a longer list to its end."""
_MAX_FIRST_LINE = 200
"""Most characters of a library's message that a message of ours quotes."""
_MESSAGE_FIELDS = ("message", "path", "option", "value", "expected", "problem", "without", "hint")
"""Arguments of ``RilievoError``."""


class RilievoError(Exception, Message):
    """Error that a user can fix, with the fields of ``messages.Message``.

    The command line prints it without a traceback and exits with 2.

    Examples:
        >>> str(rilievo.RilievoError(option="fov", value=0, expected="positive"))
        'fov is positive, got 0'

    Args:
        message: Beginning without options, or the whole message. ``messages.Message`` explains
            the other arguments.
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
        self.message = message
        self.path = path
        self.option = option
        self.value = value
        self.expected = expected
        self.problem = problem
        self.without = without
        self.hint = hint
        super().__init__(self.worded(spell_keyword))
        # ImportError has an attribute of the same name, and sets it to None.
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        # By default only the message would be passed on to another process.
        arguments = {name: getattr(self, name) for name in _MESSAGE_FIELDS}
        return partial(type(self), **arguments), ()


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
    """A file names code that would run, and the user has not named that code."""


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
        what: Subject that needs the package, such as "a chart"; "" if ``option`` is the subject.
        extra: Name of the extra.
        option: Name of the option's field; "" for none.
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

    Args:
        what: Subject that needs the package, such as "to_trimesh()".
        package: Name of the package, as pip installs it.
    """

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install {package}")
        self._arguments = (what, package)

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        return MissingPackageError, self._arguments


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
    """Known distances determine one of the two numbers of affine depth, scale and shift."""


@contextmanager
def needing(what: str, extra: str, option: str = "") -> Iterator[None]:
    """Turn failed imports of other packages in the block into a ``MissingExtraError``.

    The arguments are those of the error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        is_ours = not error.name or error.name.startswith("rilievo")
        if isinstance(error, RilievoError) or is_ours:
            raise
        raise MissingExtraError(what, extra, option) from error


def suggest(name: str, names: Iterable[str]) -> str:
    """End of a message about an unknown name: the names that resemble it, or all known ones.

    Examples:
        >>> suggest("coluor", ["colour", "normals"])
        "did you mean 'colour'?"
    """
    from difflib import get_close_matches

    known_names = [str(known) for known in names]  # The repr of a StrEnum shows its class.
    similar = get_close_matches(name, known_names, n=3, cutoff=0.5)
    if not similar and name:
        similar = [known for known in known_names if known.startswith(name)][:3]
    if similar:
        return f"did you mean {' or '.join(repr(known) for known in similar)}?"

    unlisted = len(known_names) - _MAX_LISTED_NAMES
    more = f" and {unlisted} more" if unlisted > 0 else ""
    return f"known: {', '.join(known_names[:_MAX_LISTED_NAMES])}{more}"


def unknown_choice(option: str, name: str, names: Iterable[str]) -> OptionError:
    """Make the error for a name that an option does not take."""
    return OptionError(option=option, problem=f"has no '{name}'", hint=suggest(name, names))


def first_line(error: Exception) -> str:
    """First informative line of a library's message, at most 200 characters.

    If the message is empty, it is the name of the error's class.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a position in its own source.
    informative = [line for line in lines if not line.startswith("Exception from")]
    lines = informative or lines or [type(error).__name__]

    first = lines[0]
    # ONNX Runtime repeats the path, which may be longer than the limit.
    if "Load model from " in first:
        first = first.rpartition(" failed:")[2]
    # transformers states the place in the first line and the cause in the second.
    if first.endswith(":"):
        first = " ".join([first, *lines[1:2]])
    return first[:_MAX_FIRST_LINE]
