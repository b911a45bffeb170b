"""Videos as the extraction scripts of Video Depth Anything write them (Chen et al. 2025).

Its scripts take frames of Sintel, KITTI, Bonn and ScanNet from the original downloads, and list
them with their depth in one JSON file a set and length. Depth is cut as in its evaluation.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rilievo.data.datasets.base import Request, own_card
from rilievo.data.datasets.files import found_in, read_counts
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.errors import InputError
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import parse_json
from rilievo.types import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """One set at one length, as the evaluation script has it.

    Attributes:
        folder: Folder of the set, and its key in the list.
        list: Name of the list.
        frames: Most frames of a video.
        part: Rows and columns of the depth that are scored.
    """

    folder: str
    list: str
    frames: int
    part: tuple[slice, slice] = (slice(None), slice(None))


_KITTI = slice(0, 374), slice(0, 1242)
_SCANNET = slice(8, -8), slice(11, -11)
SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(folder="sintel", list="sintel_video.json", frames=100),
    "kitti": VideoSet(folder="kitti", list="kitti_video.json", frames=110, part=_KITTI),
    "kitti-500": VideoSet(folder="kitti", list="kitti_video_500.json", frames=500, part=_KITTI),
    "bonn": VideoSet(folder="bonn", list="bonn_video.json", frames=110),
    "bonn-500": VideoSet(folder="bonn", list="bonn_video_500.json", frames=500),
    "scannet": VideoSet(folder="scannet", list="scannet_video.json", frames=90, part=_SCANNET),
    "scannet-500": VideoSet(
        folder="scannet", list="scannet_video_500.json", frames=500, part=_SCANNET
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Files of one frame.

    Attributes:
        factor: Stored number of a metre.
        scene: Name of the video.
    """

    image: Path
    depth: Path
    factor: float
    scene: str


class VdaVideos(PhotoFiles[_Entry]):
    """Frames of videos in the order of the list; the split is the set and the length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        folder = request.root / self._set.folder
        if not (folder / self._set.list).is_file():
            folder = request.root
        path = folder / self._set.list
        if not path.is_file():
            raise InputError(
                f"{request.root}: expected {self._set.folder}/{self._set.list}, or "
                f"{self._set.list} in it, found {found_in(request.root)}"
            )
        found: dict[str, _Entry] = {}
        for scene, frames in _videos(path, self._set.folder):
            for frame in frames[: self._set.frames]:
                entry = _entry(path, scene, frame)
                id = entry.image.relative_to(folder).with_suffix("").as_posix()
                if id in found:
                    raise InputError(f"{path}: lists '{printable(id)}' twice")
                found[id] = entry
        self._choose(found, request.list_file)

    def truth(self, id: str) -> Truth:
        """Depth of the part that is scored."""
        entry = self._entry(id)
        stored = read_counts(entry.depth)[self._set.part]
        if not stored.size:
            raise InputError(f"{entry.depth}: is too small for the part that is scored")
        depth = (stored / entry.factor).astype(np.float32)
        return Truth(id=id, depth=depth, depth_valid=stored > 0, scene=entry.scene)


def _videos(path: Path, key: str) -> Iterator[tuple[str, list[Any]]]:
    """Name and frames of each video of a list."""
    content = parse_json(read_text(path))
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


def _entry(path: Path, scene: str, frame: Any) -> _Entry:
    if not isinstance(frame, dict):
        frame = {}
    factor = frame.get("factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not (math.isfinite(factor) and factor > 0):
        raise InputError(f"{path}: a frame of '{printable(scene)}' has no positive number 'factor'")
    image, depth = (_file(path, scene, frame.get(name)) for name in ("image", "gt_depth"))
    return _Entry(image=image, depth=depth, factor=float(factor), scene=scene)


def _file(path: Path, scene: str, name: object) -> Path:
    """A file below the list's folder."""
    known = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or known is None or known.is_absolute() or ".." in known.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' names no 'image' and 'gt_depth' below "
            "the list's folder"
        )
    return path.parent / known
