"""Records of output formats: what each needs, and by which functions it is written and read."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

from rilievo.errors import OptionError


class Need(StrEnum):
    """A part of a prediction that an output needs."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    SKY = "sky"
    CAMERA = "camera"
    PHOTO = "photo"


class Surface(StrEnum):
    """Depth that an output is made of, where the model's own is of an affine kind."""

    NO = "no"
    """The model's own answer."""
    IF_POSSIBLE = "if possible"
    """Anchored depth where there is one, else the model's own answer."""
    YES = "yes"
    """Anchored depth alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output format.

    Attributes:
        suffix: Suffix of the file, after the stem.
        summary: One line for help texts.
        needs: Parts of the prediction that are required.
        takes: Parts that are also stored, where the prediction has them.
        surface: Whether it is made of anchored depth where the model's own is of an affine kind.
        writer: Function from a ``WriteJob`` and the parts in ``needs``, in their order, to
            ``FileFacts``, as ``module:function``, by default in ``rilievo.io.outputs.formats``; for
            outputs of other packages the function itself.
        reader: Function that reads values back as ``Stored``, as ``module:function``; None for
            pictures and surfaces.
        gives: Parts that can be read back.
        exact: Whether values are read back bit for bit.
        embedded: Function that reads the embedded JSON, as ``module:function``; with it the file
            can be read on its own.
        options: Options of ``rilievo predict`` that decide how the file looks; others do not
            concern it. None if that is not known, so that all of them do.
        extra: The extra of rilievo that the format needs.
        package: The package that this extra installs.
    """

    suffix: str
    summary: str
    needs: tuple[Need, ...]
    takes: tuple[Need, ...] = ()
    surface: Surface = Surface.NO
    writer: str | Callable[..., Any]
    reader: str | Callable[..., Any] | None = None
    gives: tuple[Need, ...] = ()
    exact: bool = False
    embedded: str | Callable[..., Any] | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None


def load(place: str | Callable[..., Any]) -> Callable[..., Any]:
    """Import ``module:function``; a module without a dot is one of ``io.outputs.formats``."""
    if not isinstance(place, str):
        return place
    module, function = place.split(":")
    module = module if "." in module else f"rilievo.io.outputs.formats.{module}"
    return getattr(import_module(module), function)


def outside_output(found: object, name: str) -> Output:
    """Check that an object of another package is an output with a function as its writer."""
    if not isinstance(found, Output) or isinstance(found.writer, str):
        raise OptionError(
            f"output '{name}' is not a rilievo.prediction.output.Output with a function as "
            "its writer"
        )
    return found
