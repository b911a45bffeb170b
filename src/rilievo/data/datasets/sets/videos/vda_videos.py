"""Sintel, KITTI, Bonn and ScanNet with the frames, caps and cuts of Video Depth Anything."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from rilievo.data.datasets.base import Absent, Request, own_card
from rilievo.data.datasets.photo_files import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.sets.videos.downloads import USUAL, Download, downloaded_frames
from rilievo.data.datasets.sets.videos.kitti_videos import KITTI
from rilievo.data.datasets.sets.videos.rgbd_videos import BONN, INSIDE, SCANNET
from rilievo.data.datasets.sets.videos.sintel_videos import SINTEL
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.messages import literal, template
from rilievo.types import Truth

_MOST_STEPS = 1e300


def listed_frames(path: Path, key: str, most: int) -> dict[str, DepthFiles]:
    """Frames of a JSON list by id, at most ``most`` a video."""
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
    relative = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or relative is None or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' names no 'image' and 'gt_depth' below "
            "the list's folder"
        )
    return path.parent / relative


_KITTI_PART = slice(0, 374), slice(0, 1242)


@frozen
class VideoSet:
    """One set at one length; ``part`` are the scored rows and columns."""

    download: Download
    taken: slice
    part: tuple[slice, slice] = (slice(None), slice(None))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(download=SINTEL, taken=slice(100)),
    "kitti": VideoSet(download=KITTI, taken=slice(110), part=_KITTI_PART),
    "kitti-500": VideoSet(download=KITTI, taken=slice(500), part=_KITTI_PART),
    "bonn": VideoSet(download=BONN, taken=slice(30, 140)),
    "bonn-500": VideoSet(download=BONN, taken=slice(500)),
    "scannet": VideoSet(download=SCANNET, taken=slice(0, 270, 3), part=INSIDE),
    "scannet-500": VideoSet(download=SCANNET, taken=slice(500), part=INSIDE),
}
"""Sets by folder, and length where there are two."""


class VdaVideos(DepthSet):
    """Frames video by video; the split is set and length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        frames, absent = _frames(request, self._set)
        self._choose(frames, request.list_file)
        if request.list_file is None:
            self.absent = (*absent, *self.absent)

    def truth(self, id: str) -> Truth:
        """Read depth of the scored part, camera and pose."""
        truth, part = super().truth(id), self._set.part
        assert truth.depth is not None, "every frame has depth"
        assert truth.depth_valid is not None, "the same"
        depth = truth.depth[part]
        if not depth.size:
            raise InputError(f"{self._entry(id).depth}: is too small for the part that is scored")
        top, left = (side.start or 0 for side in part)
        camera = None if truth.camera is None else truth.camera.cropped(top=top, left=left)
        return replace(truth, depth=depth, depth_valid=truth.depth_valid[part], camera=camera)


def _frames(request: Request, chosen: VideoSet) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    root, (name, _, length) = request.root, request.split.partition("-")
    listing = f"{name}_video_{length}.json" if length else f"{name}_video.json"
    own = root / name
    for folder in (own, root):
        if (folder / listing).is_file():
            if request.variant != USUAL:
                raise InputError(
                    f"{printable(folder / listing)}: this list says which frames there are, so "
                    f"the variant '{request.variant}' has to be read from the set as downloaded"
                )
            most = len(range(*chosen.taken.indices(chosen.taken.stop)))
            return listed_frames(folder / listing, name, most), ()
    try:
        place = own if own.is_dir() else root
        return downloaded_frames(chosen.download, place, request.variant, chosen.taken)
    except InputError as error:
        raise InputError(
            problem=template(error),
            hint=literal(f"{name}/{listing}, as the authors' scripts write it, also does"),
        ) from error
