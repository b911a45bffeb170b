"""Videos of KITTI, Bonn, ScanNet and Sintel, as their authors publish them.

Sources: Butler et al., ECCV 2012 (Sintel); Palazzolo et al., IROS 2019 (Bonn); Dai et al., CVPR
2017 (ScanNet), as SensReader exports it; Uhrig et al., 3DV 2017 (depth of KITTI).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Pixels, Transform, UInt8
from rilievo.data.datasets.dataset import Absent
from rilievo.data.datasets.loaders import (
    DepthFiles,
    MaskedValues,
    masked_metres,
    read_if_present,
    read_steps,
)
from rilievo.data.datasets.sets.kitti_depth import (
    STEPS_PER_METRE,
    annotated_folder,
    camera_of_day,
    raw_folder,
)
from rilievo.data.datasets.sets.kitti_raw import CAMERAS, KittiFrame, picture_path
from rilievo.data.datasets.sets.scannet_files import read_4x4_matrix, read_pose_unless_lost
from rilievo.data.datasets.sets.sintel_files import read_cam, read_dpt
from rilievo.data.datasets.sets.tum import associate
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import join_alternatives
from rilievo.geometry.cameras.camera import Camera, camera_from_K
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import printable

DEFAULT_VARIANT = "default"
"""The variant that papers use."""
_SEARCH_DEPTH = 2  # levels of folders below the root in which a part of a download is looked for

Frames: TypeAlias = Iterator[tuple[str, DepthFiles]]
"""Ids of frames, with their files."""
FrameLister: TypeAlias = Callable[[str, slice], Frames]
"""Function that yields the frames of a video, by its name, that lie in a slice of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A set of videos as its authors publish it.

    Attributes:
        videos: Names of the videos that papers use.
        open: Function of the root and the variant. It finds the parts of the download, and returns
            a function that lists the frames of a video.
        variants: Variants besides the default one.
    """

    videos: tuple[str, ...]
    open: Callable[[Path, str], FrameLister]
    variants: tuple[str, ...] = ()


def downloaded_frames(
    download: Download, root: Path, variant: str, frame_slice: slice
) -> dict[str, DepthFiles | Absent]:
    """Find the frames of a download by id, of which ``frame_slice`` takes a part of each video.

    A video without frames is ``Absent``.

    Raises:
        OptionError: If the set has no such variant.
        InputError: If the root does not hold this set.
    """
    variants = (DEFAULT_VARIANT, *download.variants)
    if variant not in variants:
        raise OptionError(
            f"these videos have no variant '{variant}'; choose {join_alternatives(variants)}"
        )
    list_frames = download.open(root, variant)
    entries: dict[str, DepthFiles | Absent] = {}
    for video in download.videos:
        frames = dict(list_frames(video, frame_slice))
        entries |= frames
        if not frames:
            reason = f"the download in {printable(root)} has no frames for this video"
            entries[video] = Absent(id=video, reason=reason)
    return entries


def _find_folder(root: Path, expected: str, is_wanted: Callable[[Path], bool]) -> Path:
    """Find the first folder, up to two levels below the root, for which ``is_wanted`` is true."""
    for folder in _folders_by_level(root):
        if is_wanted(folder):
            return folder
    raise InputError(f"{printable(root)}: expected {expected}, found {contents_text(root)}")


def _find_folder_of_videos(root: Path, videos: Sequence[str], expected: str) -> Path:
    """Find the first folder that holds any of the videos."""
    return _find_folder(root, expected, lambda folder: not names_in(folder).isdisjoint(videos))


def _sorted_stems(folder: Path, suffix: str) -> list[str]:
    """List the names in a folder that have a suffix, without the suffix."""
    return sorted(name[: -len(suffix)] for name in names_in(folder) if name.endswith(suffix))


def _folders_by_level(root: Path) -> Iterator[Path]:
    """Yield the root, then its subfolders, then their subfolders."""
    level = [root]
    yield root
    for _ in range(_SEARCH_DEPTH):
        paths = [folder / name for folder in level for name in sorted(names_in(folder))]
        level = [path for path in paths if path.is_dir()]
        yield from level


# KITTI, whose depth maps name the frames.

_LEFT_CAMERA = CAMERAS["l"]


def _crop_to_even_sides(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Drop an odd last row or column."""
    height, width = image.shape[:2]
    return image[: height - height % 2, : width - width % 2]


def _kitti_frame_lister(root: Path, _: str) -> FrameLister:
    """Find KITTI's pictures and depth, and return a function that lists the frames of a video."""
    annotated, raw = annotated_folder(root), raw_folder(root)
    cached_names_in = cache(names_in)

    def frames_of_video(video: str, frame_slice: slice) -> Frames:
        """Yield the id and the files of each frame of one drive."""
        candidates = (annotated / split / video / "proj_depth" for split in ("val", "train", ""))
        folder = next((path for path in candidates if path.is_dir()), annotated / video)
        depth_folder = folder / "groundtruth" / _LEFT_CAMERA
        for stem in _sorted_stems(depth_folder, ".png")[frame_slice]:
            frame = KittiFrame(drive=video, camera=_LEFT_CAMERA, index=stem)
            files = DepthFiles(
                image=picture_path(frame, raw, cached_names_in),
                depth=depth_folder / f"{stem}.png",
                scene=video,
                read_depth=partial(read_steps, steps=STEPS_PER_METRE),
                camera=partial(_left_camera_of_day, day=raw / frame.date),
                crop_image=_crop_to_even_sides,
            )
            yield f"{video}/rgb/{stem}", files

    return frames_of_video


def _left_camera_of_day(_: tuple[int, int], *, day: Path) -> Camera | None:
    return camera_of_day(day, _LEFT_CAMERA)


KITTI = Download(
    videos=(
        "2011_09_26_drive_0002_sync",
        "2011_09_26_drive_0005_sync",
        "2011_09_26_drive_0013_sync",
        "2011_09_26_drive_0020_sync",
        "2011_09_26_drive_0023_sync",
        "2011_09_26_drive_0036_sync",
        "2011_09_26_drive_0079_sync",
        "2011_09_26_drive_0095_sync",
        "2011_09_26_drive_0113_sync",
        "2011_09_28_drive_0037_sync",
        "2011_09_29_drive_0026_sync",
        "2011_09_30_drive_0016_sync",
        "2011_10_03_drive_0047_sync",
    ),
    open=_kitti_frame_lister,
)


# Bonn, whose pictures and depth maps are named by their times.

ASSOCIATED = "associated"
"""Variant in which a picture gets the depth nearest in time, within 20 ms. By default the n-th
picture gets the n-th depth map, as in papers."""
_BONN_STEPS_PER_METRE = 5000
_SECONDS = re.compile(r"\d{1,12}\.\d{1,9}")
_BONN_VIDEOS = (
    "rgbd_bonn_balloon2",
    "rgbd_bonn_crowd2",
    "rgbd_bonn_crowd3",
    "rgbd_bonn_person_tracking",
    "rgbd_bonn_synchronous",
)


def _bonn_frame_lister(root: Path, variant: str) -> FrameLister:
    """Find Bonn's videos, and return a function that lists the frames of one."""
    folder = _find_folder_of_videos(
        root, _BONN_VIDEOS, "Bonn RGB-D folders such as rgbd_bonn_balloon2"
    )

    def frames_of_video(video: str, frame_slice: slice) -> Frames:
        """Yield the id and the files of each frame of one video."""
        stems = _colour_and_depth_stems(folder / video, variant, frame_slice)
        for colour_stem, depth_stem in stems:
            frame = DepthFiles(
                image=folder / video / "rgb" / f"{colour_stem}.png",
                depth=folder / video / "depth" / f"{depth_stem}.png",
                scene=video,
                read_depth=partial(read_steps, steps=_BONN_STEPS_PER_METRE),
            )
            yield f"{video}/rgb/{colour_stem}", frame

    return frames_of_video


def _colour_and_depth_stems(
    folder: Path, variant: str, frame_slice: slice
) -> Iterator[tuple[str, str]]:
    """Yield the stem, which is a time [s], of each picture and of its depth map."""
    colour_stems = _stems_by_time(folder / "rgb")
    depth_stems = _stems_by_time(folder / "depth")
    if variant != ASSOCIATED:
        yield from zip(colour_stems[frame_slice], depth_stems[frame_slice], strict=False)
        return
    depth_indices = associate(list(map(float, colour_stems)), list(map(float, depth_stems)))
    pairs = [
        (colour_stem, depth_stems[index])
        for colour_stem, index in zip(colour_stems, depth_indices, strict=True)
        if index is not None
    ]
    yield from pairs[frame_slice]


def _stems_by_time(folder: Path) -> list[str]:
    return sorted(filter(_SECONDS.fullmatch, _sorted_stems(folder, ".png")), key=float)


BONN = Download(videos=_BONN_VIDEOS, open=_bonn_frame_lister, variants=(ASSOCIATED,))


# ScanNet, whose pictures have black margins.

INSIDE_MARGINS = slice(8, -8), slice(11, -11)
"""Rows and columns of ScanNet's pictures inside their black margins."""
_SCANNET_STEPS_PER_METRE = 1000
_SCANNET_VIDEOS = tuple(f"scene{number:04}_00" for number in range(707, 807))


def _crop_margins(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    return image[INSIDE_MARGINS]


def _scannet_frame_lister(root: Path, _: str) -> FrameLister:
    """Find ScanNet's scenes, and return a function that lists the frames of one."""
    folder = _find_folder_of_videos(
        root, _SCANNET_VIDEOS, "exported ScanNet scenes such as scene0707_00"
    )

    def frames_of_video(video: str, frame_slice: slice) -> Frames:
        """Yield the id and the files of each frame of one scene."""
        scene = folder / video
        numbers = filter(is_whole, _sorted_stems(scene / "color", ".jpg"))
        for number in sorted(numbers, key=int)[frame_slice]:
            frame = DepthFiles(
                image=scene / "color" / f"{number}.jpg",
                depth=scene / "depth" / f"{number}.png",
                scene=video,
                read_depth=partial(read_steps, steps=_SCANNET_STEPS_PER_METRE),
                camera=partial(
                    read_if_present, _read_depth_camera, scene / "intrinsic/intrinsic_depth.txt"
                ),
                pose=partial(
                    read_if_present, read_pose_unless_lost, scene / "pose" / f"{number}.txt"
                ),
                crop_image=_crop_margins,
            )
            yield f"{video}/color/{number}", frame

    return frames_of_video


def _read_depth_camera(path: Path) -> Camera:
    return camera_from_K(read_4x4_matrix(path)[:3, :3], path)


SCANNET = Download(videos=_SCANNET_VIDEOS, open=_scannet_frame_lister)


# Sintel, whose pictures and depth are two downloads.

FINAL = "final"
"""Variant whose pictures have blur and haze."""
_SINTEL_VIDEOS = (
    "alley_1",
    "alley_2",
    "ambush_2",
    "ambush_4",
    "ambush_5",
    "ambush_6",
    "ambush_7",
    "bamboo_1",
    "bamboo_2",
    "bandage_1",
    "bandage_2",
    "cave_2",
    "cave_4",
    "market_2",
    "market_5",
    "market_6",
    "mountain_1",
    "shaman_2",
    "shaman_3",
    "sleeping_1",
    "sleeping_2",
    "temple_2",
    "temple_3",
)


def _sintel_frame_lister(root: Path, variant: str) -> FrameLister:
    """Find Sintel's pictures and depth, and return a function that lists the frames of a video."""
    render_pass = FINAL if variant == FINAL else "clean"
    image_folder = _find_sintel_part(root, render_pass)
    depth_folder = _find_sintel_part(root, "depth")
    camera_folder = depth_folder.with_name("camdata_left")

    def frames_of_video(video: str, frame_slice: slice) -> Frames:
        """Yield the id and the files of each frame of one video."""
        for stem in _sorted_stems(image_folder / video, ".png")[frame_slice]:
            camera_file = camera_folder / video / f"{stem}.cam"
            frame = DepthFiles(
                image=image_folder / video / f"{stem}.png",
                depth=depth_folder / video / f"{stem}.dpt",
                scene=video,
                read_depth=_read_sintel_depth,
                camera=partial(read_if_present, _read_sintel_camera, camera_file),
                pose=partial(read_if_present, _read_sintel_pose, camera_file),
            )
            yield f"{render_pass}/{video}/{stem}", frame

    return frames_of_video


def _find_sintel_part(root: Path, name: str) -> Path:
    """Find the folder of Sintel's "clean", "final" or "depth", which has a folder for each video.

    It may lie in a download of its own.
    """
    expected = f"Sintel's training/{name}"

    def has_videos(folder: Path) -> bool:
        return not names_in(folder / name).isdisjoint(_SINTEL_VIDEOS)

    return _find_folder(root, expected, has_videos) / name


def _read_sintel_depth(path: Path) -> MaskedValues:
    return masked_metres(read_dpt(path))


def _read_sintel_camera(path: Path) -> Camera:
    return read_cam(path)[0]


def _read_sintel_pose(path: Path) -> Transform:
    return read_cam(path)[1]


SINTEL = Download(videos=_SINTEL_VIDEOS, open=_sintel_frame_lister, variants=(FINAL,))
