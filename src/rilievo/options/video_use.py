"""Options of videos and of folders of frames."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypedDict

import tyro

from rilievo.options.option_marks import UNRECORDED
from rilievo.options.option_record import Record, Rule


class VideoOptions(TypedDict, total=False):
    """Keywords of ``VideoUse``."""

    sequence: bool
    fps: float | None
    independent: bool


@dataclass(frozen=True, kw_only=True)
class VideoUse(Record):
    """Treatment of videos; the JSON of a video records it, that of a photograph does not."""

    GROUP: ClassVar[str] = "Video"
    RULES: ClassVar[tuple[Rule, ...]] = (
        ("fps", lambda value: 0.001 <= value <= 1000, "between 0.001 and 1000"),
    )

    sequence: Annotated[bool, UNRECORDED] = False
    """Take a folder of frames as one clip, in the order of their names."""
    fps: Annotated[float | None, tyro.conf.arg(metavar="RATE"), UNRECORDED] = None
    """Frames to keep of each second of a video, those nearest in time; by default all. Of a
    sequence: frames per second; by default 30.
    """
    independent: Annotated[bool, UNRECORDED] = False
    """Keep each frame's own scale; by default scales are aligned to avoid flicker."""
