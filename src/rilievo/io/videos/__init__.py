"""Videos: reading of frames in order, and writing."""

from fractions import Fraction
from pathlib import Path

from rilievo.io.videos.frame_source import FrameSource, OpenFile

MODULES_FOR_READING = (
    "rilievo.io.videos.video",
    "av.subtitles.codeccontext",
    "av.subtitles.stream",
)
"""Modules that reading a video imports on demand, for a process that may not open files later."""


def open_video(path: Path | OpenFile, *, fps: Fraction | None = None) -> FrameSource:
    """Open a video and decode its first frame.

    ``fps`` are the frames per second to keep, nearest in time; None keeps all.

    Raises:
        InputError: If it is no video, or no frame can be decoded.
    """
    from rilievo.io.videos.video import VideoReader

    return VideoReader(path, fps=fps)
