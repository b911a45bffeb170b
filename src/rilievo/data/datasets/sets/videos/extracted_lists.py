"""Lists of frames that the extraction scripts of Video Depth Anything write, in JSON."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from rilievo.data.datasets.photo_files import DepthFiles, read_steps
from rilievo.errors import InputError
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import NotThisRecord, parse_json

_MOST_STEPS = 1e300


def listed_frames(path: Path, key: str, most: int) -> dict[str, DepthFiles]:
    """Frames by id: the photograph's path below the list's folder, without its suffix.

    Args:
        path: The list.
        key: Name of the set in it.
        most: Most frames of a video.
    """
    entries: dict[str, DepthFiles] = {}
    for scene, frames in _videos(path, key):
        for frame in frames[:most]:
            entry = _entry(path, scene, frame)
            id = entry.image.relative_to(path.parent).with_suffix("").as_posix()
            if id in entries:
                raise InputError(f"{path}: lists '{printable(id)}' twice")
            entries[id] = entry
    return entries


def _videos(path: Path, key: str) -> Iterator[tuple[str, list[Any]]]:
    """Name and frames of each video of a list."""
    try:
        content = parse_json(read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: {error}") from error
    videos = content.get(key) if isinstance(content, dict) else None
    if not isinstance(videos, list):
        raise InputError(f"{path}: has no list of videos under '{key}'")
    for video in videos:
        if not isinstance(video, dict):
            raise InputError(f"{path}: holds a {type(video).__name__}, expected a video by name")
        for scene, frames in video.items():
            if not isinstance(frames, list):
                raise InputError(f"{path}: the video '{printable(scene)}' is no list of frames")
            yield scene, frames


def _entry(path: Path, scene: str, frame: Any) -> DepthFiles:
    if not isinstance(frame, dict):
        frame = {}
    factor = frame.get("factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 0 < factor < _MOST_STEPS:
        raise InputError(f"{path}: a frame of '{printable(scene)}' has no positive number 'factor'")
    image, depth = (_file(path, scene, frame.get(name)) for name in ("image", "gt_depth"))
    read = partial(read_steps, steps=float(factor))
    return DepthFiles(image=image, depth=depth, scene=scene, read=read)


def _file(path: Path, scene: str, name: object) -> Path:
    """A file below the list's folder."""
    relative = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or relative is None or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' names no 'image' and 'gt_depth' below "
            "the list's folder"
        )
    return path.parent / relative
