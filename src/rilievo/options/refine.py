"""Options of refining a network's answer: tiles, mirror image, trimmed borders."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypedDict

import tyro

from rilievo.errors import OptionError
from rilievo.options.on_off import Switch, SwitchLike
from rilievo.options.option_marks import LIVE, LOCAL, UNRECORDED
from rilievo.options.option_record import Record, Rule

Alpha = Literal["mask", "keep"]


class ReadingArguments(TypedDict):
    """Arguments of ``rilievo.read_photo`` that ``Refine`` holds."""

    alpha: Alpha
    stretch: bool


class RefineArguments(TypedDict, total=False):
    """Arguments of ``rilievo.predict`` that ``Refine`` holds."""

    flip: bool
    confidence: str
    tile: int | None
    trim: SwitchLike
    alpha: Alpha
    stretch: bool


@dataclass(frozen=True, kw_only=True)
class Mirroring(Record):
    """Use of the mirror image."""

    flip: Annotated[bool, UNRECORDED, LIVE] = False
    """Average with the prediction for the mirror image; takes twice the time."""
    confidence: Annotated[str, tyro.conf.arg(metavar="own|mirror"), LOCAL, UNRECORDED] = "own"
    """Confidence of the results. own: that of the model. mirror: agreement of its depth with that
    of the mirror image, which ranks errors better on unfamiliar cameras; takes twice the time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.confidence not in ("own", "mirror"):
            raise OptionError(f"confidence is own or mirror, got '{self.confidence}'")
        if self.confidence == "mirror" and self.flip:
            raise OptionError(
                "--flip (flip=True) and --confidence mirror (confidence='mirror') do not go "
                "together: an average with the mirror image agrees with it everywhere; give one"
            )

    @property
    def mirrors(self) -> bool:
        """Whether confidence is agreement with the mirror image."""
        return self.confidence == "mirror"


@dataclass(frozen=True, kw_only=True)
class Refine(Mirroring):
    """Refinements of a network's answer, all of which the model's settings in results state."""

    GROUP: ClassVar[str] = "Detail"
    RULES: ClassVar[tuple[Rule, ...]] = (("tile", lambda value: value >= 64, "64 pixels or more"),)

    tile: Annotated[int | None, tyro.conf.arg(metavar="PIXELS"), LOCAL, UNRECORDED, LIVE] = None
    """Side in pixels of overlapping tiles, for fine detail in large photographs."""
    trim: Annotated[Switch, UNRECORDED] = Switch.ON
    """Hide uniform borders (black bars, margins and frames of scans) from the network; they have no
    depth then. off: show it the whole picture.
    """
    alpha: Annotated[Alpha, tyro.conf.arg(metavar="mask|keep")] = "mask"
    """Transparent pixels. mask: those whose alpha is below half have no depth and are on no
    surface. keep: all pixels have depth, as if they were on white.
    """
    stretch: bool = False
    """Read 16-bit grey pictures with their 1st to 99th percentile as black to white. Without it
    those that span less than a 16th of the 65,536 levels, as of heat or tissue, are refused.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha not in ("mask", "keep"):
            raise OptionError(f"--alpha is mask or keep, got {self.alpha!r}")

    @property
    def reading(self) -> ReadingArguments:
        """Options of reading photographs."""
        return {"alpha": self.alpha, "stretch": self.stretch}


UNREFINED = Refine(trim=Switch.OFF)
"""The network's answer as it is, only resized."""
