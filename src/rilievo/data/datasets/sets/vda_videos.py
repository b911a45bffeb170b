"""Videos of Sintel, KITTI, Bonn and ScanNet with the frames of Video Depth Anything (CVPR 2025)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from rilievo.data.datasets.dataset import Absent, Request, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.sets.video_downloads import (
    BONN,
    DEFAULT_VARIANT,
    INSIDE_MARGINS,
    KITTI,
    SCANNET,
    SINTEL,
    Download,
    downloaded_frames,
)
from rilievo.errors import InputError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.records.sample import Truth

_MAX_STEPS_PER_METRE = 1e300

_KITTI_PART = slice(0, 374), slice(0, 1242)
"""Rows and columns that all of KITTI's pictures have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """A set of videos at one length.

    Attributes:
        download: The set as its authors publish it.
        frame_slice: Which frames of each video are taken.
        part: Rows and columns that are scored.
    """

    download: Download
    frame_slice: slice
    part: tuple[slice, slice] = (slice(None), slice(None))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(download=SINTEL, frame_slice=slice(100)),
    "kitti": VideoSet(download=KITTI, frame_slice=slice(110), part=_KITTI_PART),
    "kitti-500": VideoSet(download=KITTI, frame_slice=slice(500), part=_KITTI_PART),
    "bonn": VideoSet(download=BONN, frame_slice=slice(30, 140)),
    "bonn-500": VideoSet(download=BONN, frame_slice=slice(500)),
    "scannet": VideoSet(download=SCANNET, frame_slice=slice(0, 270, 3), part=INSIDE_MARGINS),
    "scannet-500": VideoSet(download=SCANNET, frame_slice=slice(500), part=INSIDE_MARGINS),
}
"""Sets by split: the name of the set, and its length where there are two."""


class VdaVideos(DepthSet):
    """Frames of videos, one video after the other. A split is a set at one length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        entries = _frames_of_request(request, self._set)
        frames = {id: entry for id, entry in entries.items() if isinstance(entry, DepthFiles)}
        self._set_entries_of_list(frames, request.list_file)
        if request.list_file is None:
            missing_videos = [entry for entry in entries.values() if isinstance(entry, Absent)]
            self.absent = (*missing_videos, *self.absent)

    def truth(self, id: str) -> Truth:
        """Read the depth and the camera of the part that is scored, and the pose."""
        truth, part = super().truth(id), self._set.part
        assert truth.depth is not None, "every frame has depth"
        assert truth.depth_valid is not None, "depth comes with a mask"
        depth = truth.depth[part]
        if not depth.size:
            raise InputError(f"{self._entry(id).depth}: is too small for the part that is scored")
        top, left = (side.start or 0 for side in part)
        camera = None if truth.camera is None else truth.camera.cropped(top=top, left=left)
        return replace(truth, depth=depth, depth_valid=truth.depth_valid[part], camera=camera)


def _frames_of_request(request: Request, videos: VideoSet) -> Mapping[str, DepthFiles | Absent]:
    """Find the frames in the list that the authors' scripts write, or else in the download."""
    root = request.root
    name, _, length = request.split.partition("-")
    listing = f"{name}_video_{length}.json" if length else f"{name}_video.json"
    own_folder = root / name
    for folder in (own_folder, root):
        if (folder / listing).is_file():
            if request.variant != DEFAULT_VARIANT:
                raise InputError(
                    f"{printable(folder / listing)}: this list says which frames there are, so "
                    f"the variant '{request.variant}' has to be read from the set as downloaded"
                )
            frame_slice = videos.frame_slice
            frame_count = len(range(*frame_slice.indices(frame_slice.stop)))
            return listed_frames(folder / listing, name, frame_count)
    try:
        folder = own_folder if own_folder.is_dir() else root
        return downloaded_frames(videos.download, folder, request.variant, videos.frame_slice)
    except InputError as error:
        raise InputError(
            problem=Text(error),
            hint=f"{name}/{listing}, as the authors' scripts write it, also does",
        ) from error


def listed_frames(path: Path, key: str, max_frames: int) -> dict[str, DepthFiles]:
    """Read the frames in a list of the authors' scripts, by id.

    Args:
        path: JSON file.
        key: Name of the set, under which it has the videos.
        max_frames: Number of frames that are taken of each video, from the first.
    """
    entries: dict[str, DepthFiles] = {}
    for scene, frames in _frames_by_video(path, key):
        for frame in frames[:max_frames]:
            entry = _files_of_frame(path, scene, frame)
            id = entry.image.relative_to(path.parent).with_suffix("").as_posix()
            if id in entries:
                raise InputError(f"{path}: lists '{printable(id)}' twice")
            entries[id] = entry
    return entries


def _frames_by_video(path: Path, key: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the name of each video, and what the list says about its frames."""
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


def _files_of_frame(path: Path, scene: str, frame: Any) -> DepthFiles:
    if not isinstance(frame, dict):
        frame = {}
    factor = frame.get("factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 0 < factor < _MAX_STEPS_PER_METRE:
        raise InputError(f"{path}: a frame of '{printable(scene)}' has no positive number 'factor'")
    return DepthFiles(
        image=_path_below_list(path, scene, frame.get("image")),
        depth=_path_below_list(path, scene, frame.get("gt_depth")),
        scene=scene,
        read=partial(read_steps, steps=float(factor)),
    )


def _path_below_list(path: Path, scene: str, name: object) -> Path:
    """Path that the list at ``path`` names, which may not leave the list's folder."""
    relative = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or relative is None or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' names no 'image' and 'gt_depth' below "
            "the list's folder"
        )
    return path.parent / relative
