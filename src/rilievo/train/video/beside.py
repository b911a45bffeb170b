"""Depth of frames: what is stored beside them, and hints by matching stereo pairs."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.datasets import open_dataset
from rilievo.datasets.base import Dataset
from rilievo.datasets.files import read_counts
from rilievo.datasets.folder_layout import FILE_NAME
from rilievo.datasets.kitti import image_from_laser, read_camera
from rilievo.datasets.kitti_raw import project_nearest, read_velodyne
from rilievo.datasets.seven_scenes import register
from rilievo.errors import RilievoError, needing

_SEVEN_SCENES = (480, 640)
_LOST = 65535
_STEPS_A_METRE = 1000
_REACH = 0.2
"""Largest disparity that is searched for, as a share of the width."""
_WINDOW = 3
_SPECKLE, _JUMP = 100, 2
"""Speckles that are discarded: regions of fewer pixels than this, whose disparity differs by more
than this from their surroundings."""
_STEPS = 16
"""Steps per pixel of OpenCV's disparities; their number is a multiple of it too."""


def depth_beside(frame: Path) -> Float32[np.ndarray, "h w"] | None:
    """Read the true depth [m] of a frame, 0 where unknown; None where none is stored beside it.

    It is looked for in a folder that a ``rilievo.yaml`` describes, such as a rendered clip, in the
    depth images of 7-Scenes, and in the laser scans of KITTI raw.
    """
    home = frame.parent.parent
    if (home / FILE_NAME).is_file():
        return _of_folder(home, frame.stem)
    if ".color." in frame.name:
        return _of_seven_scenes(frame.with_name(f"{frame.name.split('.')[0]}.depth.png"))
    drive = home.parent
    scan = drive / "velodyne_points" / "data" / f"{frame.stem}.bin"
    return _of_kitti(scan, drive.parent, home.name) if scan.is_file() else None


def _of_folder(home: Path, id: str) -> Float32[np.ndarray, "h w"] | None:
    dataset = _folder(home)
    if dataset is None or id not in dataset.ids:
        return None
    truth = dataset.truth(id)
    if truth.depth is None or truth.depth_valid is None:
        return None
    return np.where(truth.depth_valid, truth.depth, 0)


@lru_cache(maxsize=16)
def _folder(home: Path) -> Dataset | None:
    try:
        return open_dataset("folder", home)
    except RilievoError:
        # A file that does not describe a dataset has no truth for the frames.
        return None


def _of_seven_scenes(path: Path) -> Float32[np.ndarray, "h w"] | None:
    if not path.is_file():
        return None
    stored = read_counts(path)
    if stored.shape != _SEVEN_SCENES:
        return None
    seen = register(stored)
    return np.where(seen == _LOST, 0, seen).astype(np.float32) / _STEPS_A_METRE


def _of_kitti(scan: Path, day: Path, eye: str) -> Float32[np.ndarray, "h w"]:
    camera = read_camera(day, eye.removeprefix("image_"))
    points = read_velodyne(scan)
    return project_nearest(points, image_from_laser(day, camera), camera.shape).astype(np.float32)


def stereo_hint(
    target: UInt8[np.ndarray, "h w 3"],
    other: UInt8[np.ndarray, "h w 3"],
    *,
    focal: float,
    shift: float,
) -> Float32[np.ndarray, "h w"]:
    """Compute the depth of one frame of a rectified pair, in the unit of ``shift``.

    It is 0 where nothing matches. The other camera sees a point ``shift`` farther along x, which is
    negative where this is the left one.

    Matching is OpenCV's (H. Hirschmüller, "Stereo Processing by Semiglobal Matching and Mutual
    Information", PAMI 2008). J. Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019,
    match twelve times in different ways and keep the best at each pixel; here it is done once.
    """
    with needing("depth hints", "train"):
        import cv2
    # The matcher expects the left frame first; a mirrored right frame is one.
    left, right = (target, other) if shift < 0 else (target[:, ::-1], other[:, ::-1])
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=_STEPS * max(1, round(_REACH * target.shape[1] / _STEPS)),
        blockSize=_WINDOW,
        P1=8 * 3 * _WINDOW**2,
        P2=32 * 3 * _WINDOW**2,
        disp12MaxDiff=1,
        speckleWindowSize=_SPECKLE,
        speckleRange=_JUMP,
    )
    found = matcher.compute(np.ascontiguousarray(left), np.ascontiguousarray(right))
    disparity = found.astype(np.float32) / _STEPS
    matched = disparity > 0
    depth = np.where(matched, focal * abs(shift) / np.where(matched, disparity, 1), 0)
    depth = depth.astype(np.float32)
    return depth if shift < 0 else np.ascontiguousarray(depth[:, ::-1])
