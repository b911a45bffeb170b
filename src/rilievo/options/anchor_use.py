"""Option of anchoring: whether the embedded model helps to make surfaces of affine depth."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypedDict

import tyro

from rilievo.errors import OptionError
from rilievo.options.option_record import Record

Anchor = Literal["auto", "off"]


class AnchorArguments(TypedDict, total=False):
    """Arguments of ``rilievo.predict`` that ``AnchorUse`` holds."""

    anchor: Anchor


@dataclass(frozen=True, kw_only=True)
class AnchorUse(Record):
    """Use of the embedded model for surfaces and sizes of affine depth."""

    GROUP: ClassVar[str] = "Camera and metres"

    anchor: Annotated[Anchor, tyro.conf.arg(metavar="auto|off")] = "auto"
    """Surfaces, normals and sizes of models whose depth has an unknown shift. auto: scale and shift
    are fitted to the embedded model's depth, which runs once more for each photograph that needs
    it; depth files keep the model's own answer. off: they are refused.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchor not in ("auto", "off"):
            raise OptionError(f"--anchor is auto or off, got {self.anchor!r}")

    @property
    def anchors(self) -> bool:
        """Whether affine depth may be anchored."""
        return self.anchor == "auto"
