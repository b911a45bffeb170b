"""The record of an output format: what it is made of, and who writes and reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeAlias

FunctionPath: TypeAlias = str | Callable[..., Any]
"""A function, or ``module:function``, which is imported when it is first needed."""


class Need(StrEnum):
    """Part of a prediction from which outputs are made."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    SKY = "sky"
    CAMERA = "camera"
    PHOTO = "photo"

    @property
    def text(self) -> str:
        """What messages call the part."""
        names = {"sky": "a sky mask", "camera": "a camera", "photo": "the photograph"}
        return names.get(self, self)


class SurfaceDepth(StrEnum):
    """Whether affine depth is first anchored, so that an output shows an undistorted surface."""

    NEVER = "never"
    IF_POSSIBLE = "if possible"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class UsualSize:
    """Size that a file usually has [MB], for photographs of 0.2 to 6 megapixels.

    It is min(base + per_megapixel · megapixels, largest).
    """

    base: float
    per_megapixel: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm:
    """How an output is written as a video.

    Attributes:
        drawing: Function of a ``VideoJob`` that returns the ``Drawing``. A path is relative to
            ``rilievo.io.outputs.formats``.
        is_numbers: Whether frames hold 16-bit numbers rather than a picture.
        label: Name in the app; empty if the app does not offer it.
        bytes_per_pixel: Size of an encoded noisy frame, about the worst case [bytes per pixel].
    """

    drawing: FunctionPath
    is_numbers: bool = False
    label: str = ""
    bytes_per_pixel: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """What an assistant tells a user about an output: its name, content and programs to open it."""

    name: str
    content: str
    opened_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output format: what every entry point needs to know about it.

    Attributes:
        summary: One line for the help and the guide.
        invalid: How pixels without depth appear in the file, in words.
        needs: Parts that the prediction must have.
        optional: Parts that are stored if the prediction has them.
        surface: Whether affine depth is anchored first.
        writer: Function of a ``WriteJob`` and of the parts in ``needs`` that writes the file and
            returns ``FileFacts``. A path is relative to ``rilievo.io.outputs.formats``.
        reader: Function of a path and ``FileFacts`` that returns ``Stored``; None if the file
            cannot be read back.
        readable: Parts that the reader returns.
        is_exact: Whether they are equal to the bit.
        holds_everything: Whether every other output can be made from the file.
        json_reader: Function that reads the JSON in the file; None if the file holds none.
        options: Names of the options that change the file; None for all.
        bytes_per_pixel: Size on disk for each pixel; 0 if it is compressed or holds everything.
        memory_per_pixel: Memory for each pixel, besides ``MEMORY_PER_PIXEL`` [bytes].
        memory_per_point: Memory for each point of the surface [bytes].
        max_bytes_per_pixel: Largest size on disk for each pixel.
        max_bytes_per_point: What each point of the surface adds to that.
        usual_size: Usual size on disk, which the page shows.
        is_heavy: Whether writing takes seconds.
        is_made_in_browser: Whether the page that works without a server offers it.
        video: How it is written as a video; None for one file for each frame.
        tool: What assistants tell about it; None if they do not offer it.
        is_in_metres: Whether the format prescribes metres, so that viewers take numbers for them.
    """

    suffix: str
    summary: str
    label: str = ""
    invalid: str = ""
    needs: tuple[Need, ...]
    optional: tuple[Need, ...] = ()
    surface: SurfaceDepth = SurfaceDepth.NEVER
    writer: FunctionPath
    reader: FunctionPath | None = None
    readable: tuple[Need, ...] = ()
    is_exact: bool = False
    holds_everything: bool = False
    json_reader: FunctionPath | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None
    bytes_per_pixel: int = 0
    memory_per_pixel: int = 0
    memory_per_point: int = 0
    media_type: str = "application/octet-stream"
    max_bytes_per_pixel: float = 32
    max_bytes_per_point: float = 0
    usual_size: UsualSize | None = None
    is_heavy: bool = False
    is_made_in_browser: bool = False
    video: VideoForm | None = None
    tool: ToolForm | None = None
    is_in_metres: bool = False


def import_function(path: FunctionPath) -> Callable[..., Any]:
    """Import ``module:function``; a module without a dot lies in ``rilievo.io.outputs.formats``."""
    if not isinstance(path, str):
        return path
    module, function = path.split(":")
    if "." not in module:
        module = f"rilievo.io.outputs.formats.{module}"
    return getattr(import_module(module), function)
