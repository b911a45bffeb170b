"""Videos: frames in order, and writing."""

from fractions import Fraction
from pathlib import Path

from rilievo.io.videos.frame_source import FrameSource, OpenFile


def open_video(path: Path | OpenFile, *, fps: Fraction | None = None) -> FrameSource:
    """Open a video and decode its first frame; ``fps`` keeps so many frames a second."""
    from rilievo.io.videos.video import VideoReader

    return VideoReader(path, fps=fps)
