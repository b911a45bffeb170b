"""Videos: frames in order, and written anew."""

from pathlib import Path

from rilievo.io.videos.frame_source import FrameSource


def open_video(path: Path) -> FrameSource:
    """Open a video file and decode its first frame.

    PyAV is imported here, so that photographs need none.
    """
    from rilievo.io.videos.video import VideoReader

    return VideoReader(path)
