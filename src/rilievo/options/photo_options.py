"""Options of one photograph: camera, known sizes, anchoring, and refinements of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypedDict

from rilievo.errors import OptionError
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.schema.fields import (
    Interface,
    Record,
    Switch,
    SwitchLike,
    option,
    option_names,
    refuse_unknown_keywords,
)

Alpha = Literal["mask", "keep"]
"""Treatment of transparent pixels, as ``Refine.alpha`` explains."""


class ReadingArguments(TypedDict):
    """Arguments of ``rilievo.read_photo``."""

    alpha: Alpha
    stretch: bool


@dataclass(frozen=True, kw_only=True)
class Mirroring(Record):
    """Use of the mirror image."""

    flip: Annotated[bool, option(in_short_help=True, recorded="never")] = False
    """Average with the prediction for the mirror image; takes twice the time."""
    confidence: Annotated[
        str, option(choices=("own", "mirror"), available_in=Interface.LOCAL, recorded="never")
    ] = "own"
    """Confidence of the results. own: the model's. mirror: agreement of its depth with the mirror
    image's, which ranks errors better on unfamiliar cameras; takes twice the time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.confidence == "mirror" and self.flip:
            raise OptionError(
                option="flip",
                without="confidence",
                hint="an average with the mirror image agrees with it everywhere",
            )

    @property
    def mirrors(self) -> bool:
        """Whether confidence comes from a comparison with the mirror image."""
        return self.confidence == "mirror"


@dataclass(frozen=True, kw_only=True)
class Refine(Mirroring):
    """Refinements of a network's answer."""

    GROUP: ClassVar[str] = "Detail"

    tile: Annotated[
        int | None,
        option(
            in_short_help=True,
            metavar="PIXELS",
            minimum=64,
            unit="pixels",
            available_in=Interface.LOCAL,
            recorded="never",
        ),
    ] = None
    """Side in pixels of overlapping tiles, for fine detail in large photographs."""
    trim: Annotated[
        Switch, option(in_short_help=True, recorded="never", python_type=SwitchLike)
    ] = Switch.ON
    """Hide uniform borders (black bars, frames of scans) from the network; they have no depth then.
    off: show it the whole picture.
    """
    alpha: Alpha = "mask"
    """Transparent pixels. mask: those with alpha below half have no depth and are on no surface.
    keep: all have depth, as if on white.
    """
    stretch: bool = False
    """Read 16-bit grey pictures with their 1st to 99th percentile as black to white; otherwise
    those that span less than a 16th of the levels (heat, tissue) are refused.
    """

    @property
    def reading(self) -> ReadingArguments:
        """Options of reading photographs."""
        return {"alpha": self.alpha, "stretch": self.stretch}


UNREFINED = Refine(trim=Switch.OFF)
"""The network sees the whole picture once, as it is."""

Anchor = Literal["auto", "off"]
"""Whether affine depth is anchored, as ``AnchorOptions.anchor`` explains."""


@dataclass(frozen=True, kw_only=True)
class AnchorOptions(Record):
    """Use of the embedded model for affine depth."""

    GROUP: ClassVar[str] = "Camera and metres"

    anchor: Annotated[Anchor, option(metavar="auto|off")] = "auto"
    """Surfaces, normals and sizes of models with an unknown shift of depth. auto: scale and shift
    are fitted to the embedded model's depth, which runs once more; depth files keep the model's
    own. off: they are refused.
    """

    @property
    def anchors(self) -> bool:
        """Whether affine depth may be anchored."""
        return self.anchor == "auto"


FLAT = option(name="")
"""Declaration of a nested record whose options users write without the record's name."""


@dataclass(frozen=True, kw_only=True, init=False)
class PhotoOptions:
    """Options of one photograph, which users write without the names of their records.

    ``PhotoOptions(fov=60)`` is ``PhotoOptions(view=CameraOptions(fov=60))``.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    RECORDS: ClassVar[Mapping[str, type[Record]]] = {
        "view": CameraOptions,
        "sizes": KnownSizes,
        "surface": AnchorOptions,
        "refine": Refine,
    }

    view: Annotated[CameraOptions, FLAT]
    sizes: Annotated[KnownSizes, FLAT]
    surface: Annotated[AnchorOptions, FLAT]
    refine: Annotated[Refine, FLAT]

    def __init__(self, **options: Any) -> None:
        """Take options, or whole records, in which further options replace those of the record."""
        names = [name for record in self.RECORDS.values() for name in option_names(record)]
        refuse_unknown_keywords(type(self).__name__, [*options], (*self.RECORDS, *names))
        for name, record in self.RECORDS.items():
            values = {
                option: options[option] for option in option_names(record) if option in options
            }
            made = _make_record(record, options.get(name), values)
            object.__setattr__(self, name, made)  # The record is frozen.


def _make_record(record: type[Record], whole: Any, values: Mapping[str, Any]) -> Any:
    """Make a record of values, or replace values of the whole record that a user passed."""
    if whole is None:
        return record(**values)
    return replace(whole, **values) if values else whole
