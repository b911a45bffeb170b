"""Videos that are written whole or not at all, as the writers of a prediction's files do it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rilievo.io.files.atomic import replacing
from rilievo.io.videos.frame_source import SoundSource, VideoFormat
from rilievo.io.videos.video_writer import VideoWriter, writing_part


@contextmanager
def writing_video(
    path: Path, like: VideoFormat, *, sound: SoundSource | None = None
) -> Iterator[VideoWriter]:
    """Write a video that is renamed to ``path`` when the block ends without error."""
    with replacing(path) as part, writing_part(path, part, like, sound=sound) as writer:
        yield writer
