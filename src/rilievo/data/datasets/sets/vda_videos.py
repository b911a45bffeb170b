"""Videos of Sintel, KITTI, Bonn and ScanNet with the frames of Video Depth Anything (CVPR 2025)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from rilievo.data.datasets.dataset import Absent, DatasetCard, Request
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
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="vda-videos",
    title=(
        "Videos of Sintel, KITTI, Bonn and ScanNet as Video Depth Anything scores them (Chen et "
        "al. 2025)"
    ),
    summary=(
        "four datasets with depth, as downloaded or as the authors' scripts extract and list them"
    ),
    homepage="https://github.com/DepthAnything/Video-Depth-Anything/tree/main/benchmark",
    licence="that of each set",
    commercial=False,
    layout="""\
sintel/ kitti/ bonn/ scannet/, or one of them; below each the set as downloaded, at most two
folders down:
  training/clean final depth camdata_left   Sintel: pictures, .dpt, .cam; two zips, side by side
  data_depth_annotated/val and 2011_09_26/  KITTI: annotated depth, and the raw drives
  rgbd_bonn_balloon2/rgb depth and others   Bonn: five videos; names are seconds
  scene0707_00/color depth pose intrinsic   ScanNet: test scenes 707 to 806, as SensReader exports
or what benchmark/dataset_extract writes, with its list:
  SET_video.json          videos by name; each frame with its image, gt_depth and factor
  SET_video_500.json      the same with up to 500 frames per video (not for Sintel)
  VIDEO/rgb/NAME.png      where the list says; ScanNet's without its margins
  VIDEO/depth/NAME.png    16 bits; factor to a metre, 0 unknown""",
    splits=("sintel", "kitti", "kitti-500", "bonn", "bonn-500", "scannet", "scannet-500"),
    variants=("default", "final", "associated"),
    caveats=(
        (
            "For a download, rilievo uses the videos that DepthCrafter lists (23, 13, 5 and 100); "
            "with a list, those in the list."
        ),
        (
            "The frames of a video are all for Sintel, the first 110 with annotated depth for "
            "KITTI, frames 30 to 139 counted from 0 for Bonn, and every third of the first 270 "
            "for ScanNet; or the first 500."
        ),
        (
            "Bonn's photographs and depth maps are paired by their order in the folders, as the "
            "authors do, which can be off by a frame if one is missing; the variant 'associated' "
            "pairs them by time."
        ),
        (
            "For Sintel, rilievo reads the clean pass with depth as published; the authors' list "
            "stores it in steps of 1 cm. The variant 'final' is the pass with blur and haze."
        ),
        (
            "The depth of KITTI is cropped to 374 rows, and that of ScanNet by 8 rows and 11 "
            "columns on each side."
        ),
        (
            "Photographs of KITTI are cropped to even sides, and those of ScanNet by the same "
            "margins as its depth, which at 1296 x 968 pixels cover less of the view: export "
            "colour at 640 x 480, or use both as the authors do."
        ),
        (
            "KITTI's photographs of 376 x 1241 pixels differ in size from the scored part of "
            "their depth, so predictions are resized, as in the authors' evaluation."
        ),
        (
            "Sintel and ScanNet have cameras and poses, KITTI has only intrinsics, and Bonn has "
            "neither; lists have none."
        ),
    ),
)

_MAX_STEPS_PER_METRE = 1e300

_KITTI_PART = slice(0, 374), slice(0, 1242)
"""Rows and columns that all of KITTI's pictures have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """A set of videos at one length.

    Attributes:
        download: The set as its authors publish it.
        frame_slice: Slice of the frames of each video; its stop is a number.
        scored_part: Slices of the rows and columns that are scored.
    """

    download: Download
    frame_slice: slice
    scored_part: tuple[slice, slice] = (slice(None), slice(None))

    @property
    def frame_count(self) -> int:
        """Number of frames that the slice takes from a long video."""
        return len(range(*self.frame_slice.indices(self.frame_slice.stop)))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(download=SINTEL, frame_slice=slice(100)),
    "kitti": VideoSet(download=KITTI, frame_slice=slice(110), scored_part=_KITTI_PART),
    "kitti-500": VideoSet(download=KITTI, frame_slice=slice(500), scored_part=_KITTI_PART),
    "bonn": VideoSet(download=BONN, frame_slice=slice(30, 140)),
    "bonn-500": VideoSet(download=BONN, frame_slice=slice(500)),
    "scannet": VideoSet(download=SCANNET, frame_slice=slice(0, 270, 3), scored_part=INSIDE_MARGINS),
    "scannet-500": VideoSet(download=SCANNET, frame_slice=slice(500), scored_part=INSIDE_MARGINS),
}
"""Sets by split: the name of the set, and its length where there are two."""


class VdaVideos(DepthSet):
    """Frames of videos, one video after the other. A split is a set at one length."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        entries = _frames_of_request(request, self._set)
        frames = {
            image_id: entry for image_id, entry in entries.items() if isinstance(entry, DepthFiles)
        }
        self._set_listed_images(frames, request.list_file)
        if request.list_file is None:
            missing_videos = [entry for entry in entries.values() if isinstance(entry, Absent)]
            self.absent = (*missing_videos, *self.absent)

    def truth(self, id: str) -> Truth:
        """Read the depth and the camera of the part that is scored, and the pose."""
        truth = super().truth(id)
        part = self._set.scored_part
        assert truth.depth is not None, "every frame has depth"
        assert truth.depth_valid is not None, "depth comes with a mask"
        depth = truth.depth[part]
        if not depth.size:
            raise InputError(
                f"{self._entry(id).depth}: is too small to contain the region that is scored"
            )
        rows, columns = part
        top, left = rows.start or 0, columns.start or 0  # a slice may begin with None
        camera = None if truth.camera is None else truth.camera.cropped(top=top, left=left)
        return replace(truth, depth=depth, depth_valid=truth.depth_valid[part], camera=camera)


def _frames_of_request(request: Request, videos: VideoSet) -> Mapping[str, DepthFiles | Absent]:
    """Read the frames from the list of the authors' scripts; without a list, scan the download.

    The list of the split "bonn-500" is ``bonn_video_500.json``.
    """
    root = request.root
    set_name, _, clip_length = request.split.partition("-")
    length_suffix = f"_{clip_length}" if clip_length else ""
    list_name = f"{set_name}_video{length_suffix}.json"
    set_folder = root / set_name
    for folder in (set_folder, root):
        if (folder / list_name).is_file():
            if request.variant != DEFAULT_VARIANT:
                raise InputError(
                    f"{printable(folder / list_name)}: this list does not offer the variant "
                    f"'{request.variant}'; remove the list to read the variant from the original "
                    "download"
                )
            # The list has the frames of the slice already, so only their number is needed.
            return listed_frames(folder / list_name, set_name, videos.frame_count)
    try:
        folder = set_folder if set_folder.is_dir() else root
        return downloaded_frames(videos.download, folder, request.variant, videos.frame_slice)
    except InputError as error:
        raise InputError(
            problem=Text(error),
            hint=f"{set_name}/{list_name}, as written by the authors' scripts, is also accepted",
        ) from error


def listed_frames(path: Path, key: str, max_frames: int) -> dict[str, DepthFiles]:
    """Read the frames in a JSON list of the authors' scripts, by id.

    ``key`` is the name of the set in the list. The first ``max_frames`` of each video are taken.
    """
    entries: dict[str, DepthFiles] = {}
    for scene, frames in _frames_by_video(path, key):
        for frame in frames[:max_frames]:
            entry = _parse_frame(path, scene, frame)
            image_id = entry.image.relative_to(path.parent).with_suffix("").as_posix()
            if image_id in entries:
                raise InputError(f"{path}: lists '{printable(image_id)}' twice")
            entries[image_id] = entry
    return entries


def _frames_by_video(path: Path, key: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the name of each video, and what the list says about its frames."""
    try:
        content = parse_json(read_text(path))
    except InvalidRecordError as error:
        raise InputError(f"{printable(path)}: {error}") from error
    videos = content.get(key) if isinstance(content, dict) else None
    if not isinstance(videos, list):
        raise InputError(f"{path}: has no list of videos under '{key}'")
    for video in videos:
        if not isinstance(video, dict):
            raise InputError(
                f"{path}: the list '{key}' contains a {type(video).__name__}, expected objects "
                "that map the name of a video to its frames"
            )
        for scene, frames in video.items():
            if not isinstance(frames, list):
                raise InputError(f"{path}: expected a list of frames for '{printable(scene)}'")
            yield scene, frames


def _parse_frame(path: Path, scene: str, frame: Any) -> DepthFiles:
    """Parse a frame with its "image", "gt_depth" and "factor", the stored numbers in a metre."""
    if not isinstance(frame, dict):
        frame = {}
    factor = frame.get("factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 0 < factor < _MAX_STEPS_PER_METRE:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' needs a positive number 'factor'"
        )
    return DepthFiles(
        image=_path_below_list(path, scene, frame.get("image")),
        depth=_path_below_list(path, scene, frame.get("gt_depth")),
        scene=scene,
        read_depth=partial(read_steps, steps=float(factor)),
    )


def _path_below_list(path: Path, scene: str, name: object) -> Path:
    """Resolve a path in the list at ``path``, which may not lead out of the list's folder."""
    relative = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or relative is None or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' needs 'image' and 'gt_depth', which must be "
            "paths inside the list's folder"
        )
    return path.parent / relative
