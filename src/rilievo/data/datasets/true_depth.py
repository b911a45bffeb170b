"""Ground truth of depth that lies beside frames, in the layouts of known datasets."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.data.datasets.folder_layout import FILE_NAME
from rilievo.data.datasets.loaders import read_grey_integers
from rilievo.data.datasets.sets import kitti_raw, seven_scenes
from rilievo.errors import RilievoError


def read_true_depth(frame: Path) -> Field | None:
    """Read the true depth of a frame [m], 0 where it is not known; None if there is none.

    It is read from a dataset in rilievo's own folder layout, or from 7-Scenes or KITTI.
    """
    image_folder = frame.parent
    if (image_folder.parent / FILE_NAME).is_file():
        return _read_dataset_depth(image_folder.parent, frame.stem)
    if ".color." in frame.name:
        frame_name = frame.name.split(".")[0]
        return _read_seven_scenes_depth(frame.with_name(f"{frame_name}.depth.png"))

    # KITTI: DATE/DRIVE/image_02/data/0000000000.png.
    camera_folder = image_folder.parent
    drive = camera_folder.parent
    scan = drive / "velodyne_points" / "data" / f"{frame.stem}.bin"
    if not scan.is_file():
        return None
    depth, valid = kitti_raw.read_scan(
        scan, day=drive.parent, camera=camera_folder.name, rule="nearest"
    )
    return np.where(valid, depth, 0)


def _read_dataset_depth(root: Path, image_id: str) -> Field | None:
    dataset = _open_dataset_or_none(root)
    if dataset is None or image_id not in dataset.ids:
        return None
    truth = dataset.truth(image_id)
    if truth.depth is None or truth.depth_valid is None:
        return None
    return np.where(truth.depth_valid, truth.depth, 0)


@lru_cache(maxsize=16)
def _open_dataset_or_none(root: Path) -> Dataset | None:
    try:
        return open_dataset("folder", root)
    except RilievoError:
        # A file that does not describe a dataset has no truth for the frames.
        return None


def _read_seven_scenes_depth(path: Path) -> Field | None:
    if not path.is_file():
        return None
    stored = read_grey_integers(path)
    if stored.shape != seven_scenes.SIZE:
        return None
    depth, valid = seven_scenes.decode_depth(stored, registered=True)
    return np.where(valid, depth, 0)
