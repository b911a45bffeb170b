"""True depth that is stored beside frames."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.data.datasets.folder_layout import FILE_NAME
from rilievo.data.datasets.loaders import read_grey_integers
from rilievo.data.datasets.sets.kitti_raw import (
    image_from_laser,
    project_nearest,
    read_camera,
    read_velodyne,
)
from rilievo.data.datasets.sets.seven_scenes import register_depth
from rilievo.errors import RilievoError

_SEVEN_SCENES = (480, 640)
_LOST = 65535
_STEPS_A_METRE = 1000


def read_true_depth(frame: Path) -> Field | None:
    """Read the true depth [m] of a frame, 0 where unknown; None where none is stored beside it."""
    home = frame.parent.parent
    if (home / FILE_NAME).is_file():
        return _dataset_depth_or_none(home, frame.stem)
    if ".color." in frame.name:
        return _seven_scenes_depth_or_none(frame.with_name(f"{frame.name.split('.')[0]}.depth.png"))
    drive = home.parent
    scan = drive / "velodyne_points" / "data" / f"{frame.stem}.bin"
    return _project_laser_depth(scan, drive.parent, home.name) if scan.is_file() else None


def _dataset_depth_or_none(home: Path, id: str) -> Field | None:
    dataset = _open_dataset_or_none(home)
    if dataset is None or id not in dataset.ids:
        return None
    truth = dataset.truth(id)
    if truth.depth is None or truth.depth_valid is None:
        return None
    return np.where(truth.depth_valid, truth.depth, 0)


@lru_cache(maxsize=16)
def _open_dataset_or_none(home: Path) -> Dataset | None:
    try:
        return open_dataset("folder", home)
    except RilievoError:
        # A file that does not describe a dataset has no truth for the frames.
        return None


def _seven_scenes_depth_or_none(path: Path) -> Field | None:
    if not path.is_file():
        return None
    stored = read_grey_integers(path)
    if stored.shape != _SEVEN_SCENES:
        return None
    counts = register_depth(stored)
    return np.where(counts == _LOST, 0, counts).astype(np.float32) / _STEPS_A_METRE


def _project_laser_depth(scan: Path, day: Path, eye: str) -> Field:
    camera = read_camera(day, eye.removeprefix("image_"))
    points = read_velodyne(scan)
    return project_nearest(points, image_from_laser(day, camera), camera.shape).astype(np.float32)
