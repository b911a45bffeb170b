"""Errors that users can fix, in one line: what was found, what was expected, what to do.

They also derive from built-in errors (``ValueError``, ``OSError`` ...). So code that catches a
``ValueError`` of a library in order to convert it must first let a ``RilievoError`` pass.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rilievo.errors.messages import Message, Text, join_alternatives, spell_keyword

_MAX_LISTED_NAMES = 60
"""Most names that a message lists. Nobody reads a longer list to its end."""
_MAX_FIRST_LINE = 200
"""Most characters of a library's message that is quoted."""
_MESSAGE_FIELDS = ("message", "path", "option", "value", "expected", "problem", "without", "hint")
"""Arguments of ``RilievoError``."""


class RilievoError(Exception, Message):
    """Error that a user can fix, with the fields of ``messages.Message``.

    The command line prints it without a traceback and exits with 2.

    Examples:
        >>> str(rilievo.RilievoError(option="fov", value=0, expected="positive"))
        'fov must be positive, got 0'

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
        rilievo.errors.OptionError: fov must be between 0 and 180 degrees, got 200
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
        feature: What needs the package, such as "a chart"; "" if ``option`` needs it.
        extra: Name of the extra.
        option: Name of the option's field; "" for none.
    """

    def __init__(self, feature: str, extra: str, option: str = "") -> None:
        problem = f"needs the extra '{extra}': pip install 'rilievo[{extra}]'"
        super().__init__(feature, option=option, problem=problem)
        self._init_arguments = (feature, extra, option)

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str, str]]:
        # By default only the message would be passed to ``__init__`` in another process.
        return MissingExtraError, self._init_arguments


class MissingPackageError(RilievoError, ImportError):
    """An optional package that converts a result is not installed.

    Examples:
        >>> str(rilievo.MissingPackageError("to_trimesh()", "trimesh"))
        'to_trimesh() needs the package trimesh: pip install trimesh'

    Args:
        feature: What needs the package, such as "to_trimesh()".
        package: Name of the package, as pip installs it.
    """

    def __init__(self, feature: str, package: str) -> None:
        super().__init__(f"{feature} needs the package {package}: pip install {package}")
        self._init_arguments = (feature, package)

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        # By default only the message would be passed to ``__init__`` in another process.
        return MissingPackageError, self._init_arguments


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
def explain_missing_extra(feature: str, extra: str, option: str = "") -> Iterator[None]:
    """Turn failed imports of other packages in the block into a ``MissingExtraError``.

    ``MissingExtraError`` explains the arguments.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        is_own_module = not error.name or error.name.startswith("rilievo")
        if isinstance(error, RilievoError) or is_own_module:
            raise
        raise MissingExtraError(feature, extra, option) from error


def suggest(name: str, names: Iterable[str]) -> str:
    """Hint for a message about an unknown name: similar names if there are any, or all names.

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
        return f"did you mean {join_alternatives(map(repr, similar))}?"

    num_unlisted = len(known_names) - _MAX_LISTED_NAMES
    unlisted = f" and {num_unlisted} more" if num_unlisted > 0 else ""
    return f"known: {', '.join(known_names[:_MAX_LISTED_NAMES])}{unlisted}"


def unknown_choice(option: str, name: str, names: Iterable[str]) -> OptionError:
    """Make the error for a name that is not one of an option's choices."""
    return OptionError(
        option=option, problem=f"does not accept '{name}'", hint=suggest(name, names)
    )


def first_line(error: Exception) -> str:
    """First informative line of a library's message, at most 200 characters.

    If the message is empty, it is the name of the error's class.
    """
    all_lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a place in its own source: "Exception from src/inference/core.cpp:121:".
    informative_lines = [line for line in all_lines if not line.startswith("Exception from")]
    lines = informative_lines or all_lines or [type(error).__name__]

    summary = lines[0]
    # ONNX Runtime repeats the path, which may be longer than the limit: "Load model from PATH
    # failed:CAUSE".
    if "Load model from " in summary:
        summary = summary.rpartition(" failed:")[2]
    # transformers states the place in the first line, which ends with ":", and then the cause.
    if summary.endswith(":") and len(lines) > 1:
        summary = f"{summary} {lines[1]}"
    return summary[:_MAX_FIRST_LINE]


def check_type(name: str, value: object, kind: type, expected: str) -> None:
    """Check the type of an argument, where Python's own error would be hard to understand.

    Args:
        name: Name of the argument.
        value: Value that the user passed.
        kind: Type that the argument must have.
        expected: The right type in words.

    Raises:
        OptionError: If the value is of another type.
    """
    if not isinstance(value, kind):
        raise OptionError(option=name, value=type(value), expected=expected)
