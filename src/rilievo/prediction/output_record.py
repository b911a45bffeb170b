"""Record of an output format: what it needs, its writer and reader."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any


class Need(StrEnum):
    """Part of a prediction that an output needs."""

    DEPTH = "depth"
    NORMALS = "normals"
    CONFIDENCE = "confidence"
    SKY = "sky"
    CAMERA = "camera"
    PHOTO = "photo"


class Surface(StrEnum):
    """Depth of an output where the model's is affine."""

    NO = "no"
    IF_POSSIBLE = "if possible"
    YES = "yes"


@dataclass(frozen=True, slots=True)
class UsualSize:
    """Size of a file [megabytes], on photographs of 0.2 to 6 megapixels."""

    start: float
    a_megapixel: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm:
    """Form of an output as a video.

    Attributes:
        drawing: ``module:function`` of ``rilievo.predicting.videos``, or a function.
        is_numbers: Whether frames are 16-bit numbers.
        words: Name in the app.
        bytes_a_pixel: Bytes for each pixel of a noisy frame.
    """

    drawing: str | Callable[..., Any]
    is_numbers: bool = False
    words: str = ""
    bytes_a_pixel: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """Form for assistants: name, content, and programs that open it."""

    name: str
    holds: str
    opens: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Output format: all that any door knows of it.

    Attributes:
        suffix: Suffix after the stem.
        summary: Line for help and guide.
        label: Name in the app.
        invalid: Value of pixels without depth.
        needs: Parts that are required.
        takes: Parts stored where present.
        surface: Depth that it is made of.
        writer: ``module:function`` in ``rilievo.io.outputs.formats``, or a function, from
            ``WriteJob`` and the parts in ``needs`` to ``FileFacts``.
        reader: ``module:function`` to ``Stored``.
        gives: Parts that can be read back.
        exact: Whether values return bit for bit.
        whole: Whether every other output can be made of it.
        embedded: ``module:function`` that reads embedded JSON.
        options: Options that matter; None for all.
        package: Package of the extra.
        bytes_a_pixel: Bytes on disk; 0 where compressed or ``whole``.
        memory_a_pixel: Bytes of memory, besides ``MEMORY_A_PIXEL``.
        most_bytes_a_pixel: Most bytes for each pixel.
        most_bytes_a_point: Most further bytes for each point.
        is_heavy: Whether it takes seconds.
        in_browser: Whether pages without a server make it.
        video: Form as a video; else a file a frame.
        is_in_metres: Whether programs take its numbers for metres, by the format's standard.
    """

    suffix: str
    summary: str
    label: str = ""
    invalid: str = ""
    needs: tuple[Need, ...]
    takes: tuple[Need, ...] = ()
    surface: Surface = Surface.NO
    writer: str | Callable[..., Any]
    reader: str | Callable[..., Any] | None = None
    gives: tuple[Need, ...] = ()
    exact: bool = False
    whole: bool = False
    embedded: str | Callable[..., Any] | None = None
    options: tuple[str, ...] | None = None
    extra: str | None = None
    package: str | None = None
    bytes_a_pixel: int = 0
    memory_a_pixel: int = 0
    memory_a_point: int = 0
    media_type: str = "application/octet-stream"
    most_bytes_a_pixel: float = 32
    most_bytes_a_point: float = 0
    usual_size: UsualSize | None = None
    is_heavy: bool = False
    in_browser: bool = False
    video: VideoForm | None = None
    tool: ToolForm | None = None
    is_in_metres: bool = False


def import_function(
    place: str | Callable[..., Any], home: str = "rilievo.io.outputs.formats"
) -> Callable[..., Any]:
    """Import ``module:function``; without a dot, of the package ``home``."""
    if not isinstance(place, str):
        return place
    module, function = place.split(":")
    module = module if "." in module else f"{home}.{module}"
    return getattr(import_module(module), function)
