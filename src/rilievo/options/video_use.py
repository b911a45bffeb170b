"""Options of videos and folders of frames."""

from typing import Annotated, ClassVar

from rilievo.frozen import frozen
from rilievo.schema import Door, Record, option


@frozen(slots=False)
class VideoUse(Record):
    """Treatment of videos."""

    GROUP: ClassVar[str] = "Video"

    sequence: Annotated[bool, option(first=True, doors=Door.COMMAND, recorded="never")] = False
    """Take a folder of frames as one clip, in the order of their names."""
    fps: Annotated[
        float | None,
        option(
            first=True, metavar="RATE", least=0.001, most=1000, doors=Door.COMMAND, recorded="never"
        ),
    ] = None
    """Frames to keep of each second of a video, those nearest in time; by default all. Of a
    sequence: frames per second; by default 30.
    """
    independent: Annotated[bool, option(doors=Door.COMMAND, recorded="never")] = False
    """Keep each frame's own scale; by default scales are aligned to avoid flicker."""
