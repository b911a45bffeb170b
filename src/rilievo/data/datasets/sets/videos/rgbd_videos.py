"""Videos of RGB-D cameras.

Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), and ScanNet (Dai et al., CVPR 2017) as SensReader
exports it.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import numbers_of, text_lines
from rilievo.data.datasets.photo_files import DepthFiles, read_steps, where_present
from rilievo.data.datasets.sets.tum import associate
from rilievo.data.datasets.sets.videos.downloads import (
    Download,
    Frames,
    Videos,
    folder_of_videos,
    stems,
)
from rilievo.errors import InputError
from rilievo.io.files.limits import is_whole, printable
from rilievo.io.lens_files import camera_of
from rilievo.shapes import Pixels, Transform, UInt8
from rilievo.types import Camera

ASSOCIATED = "associated"
"""Variant with depth nearest in time, within 20 ms; else pairs are by place, as in papers."""
_SECONDS = re.compile(r"\d{1,12}\.\d{1,9}")
_BONN = (
    "rgbd_bonn_balloon2",
    "rgbd_bonn_crowd2",
    "rgbd_bonn_crowd3",
    "rgbd_bonn_person_tracking",
    "rgbd_bonn_synchronous",
)


def _open_bonn(root: Path, variant: str) -> Videos:
    folder = folder_of_videos(root, _BONN, "folders of Bonn RGB-D such as rgbd_bonn_balloon2")

    def frames(video: str, taken: slice) -> Frames:
        for colour, depth in _pairs(folder / video, variant, taken):
            frame = DepthFiles(
                image=folder / video / "rgb" / f"{colour}.png",
                depth=folder / video / "depth" / f"{depth}.png",
                scene=video,
                read=partial(read_steps, steps=5000),
            )
            yield f"{video}/rgb/{colour}", frame

    return frames


def _pairs(folder: Path, variant: str, taken: slice) -> Iterator[tuple[str, str]]:
    colours, depths = _times(folder / "rgb"), _times(folder / "depth")
    if variant != ASSOCIATED:
        return zip(colours[taken], depths[taken], strict=False)
    partners = associate([float(stamp) for stamp in colours], [float(stamp) for stamp in depths])
    pairs = zip(colours, partners, strict=True)
    return iter([(colour, depths[place]) for colour, place in pairs if place is not None][taken])


def _times(folder: Path) -> list[str]:
    return sorted(filter(_SECONDS.fullmatch, stems(folder, ".png")), key=float)


BONN = Download(videos=_BONN, open=_open_bonn, variants=(ASSOCIATED,))

INSIDE = slice(8, -8), slice(11, -11)
"""Rows and columns inside black margins."""
_SCANNET = tuple(f"scene{number:04}_00" for number in range(707, 807))


def without_margins(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Picture without margins."""
    return image[INSIDE]


def _open_scannet(root: Path, _: str) -> Videos:
    folder = folder_of_videos(root, _SCANNET, "exported scenes of ScanNet such as scene0707_00")

    def frames(video: str, taken: slice) -> Frames:
        scene = folder / video
        numbers = filter(is_whole, stems(scene / "color", ".jpg"))
        for number in sorted(numbers, key=int)[taken]:
            frame = DepthFiles(
                image=scene / "color" / f"{number}.jpg",
                depth=scene / "depth" / f"{number}.png",
                scene=video,
                read=partial(read_steps, steps=1000),
                camera=partial(where_present, _camera, scene / "intrinsic/intrinsic_depth.txt"),
                pose=partial(where_present, _pose, scene / "pose" / f"{number}.txt"),
                cut=without_margins,
            )
            yield f"{video}/color/{number}", frame

    return frames


def _camera(path: Path) -> Camera:
    return camera_of(_matrix(path)[:3, :3], path)


def _pose(path: Path) -> Transform | None:
    """Pose; infinite if lost."""
    pose = _matrix(path)
    return pose if np.isfinite(pose).all() else None


def _matrix(path: Path) -> Transform:
    numbers = numbers_of(" ".join(line.text for line in text_lines(path)))
    if numbers is None or len(numbers) != 16:
        raise InputError(f"{printable(path)}: expected the 16 numbers of a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)


SCANNET = Download(videos=_SCANNET, open=_open_scannet)
