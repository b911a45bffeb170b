"""Files of text: layouts, sweeps, calibrations, poses, lists."""

import struct
from pathlib import Path

import numpy as np

from lab.torture.reader import row, sample, sample_file, write_text
from lab.torture.readers.pictures import colours, counts, save
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.colmap import read_cameras, read_images
from rilievo.data.datasets.dataset import Request
from rilievo.data.datasets.sets.kitti_calibration import image_from_laser, read_camera
from rilievo.data.datasets.sets.kitti_raw import listed_frames
from rilievo.data.datasets.sets.tum import read_pairs, read_timed_pictures, read_trajectory
from rilievo.io.cameras.lens_files import read_K
from rilievo.training.sweep.sweep_config import read_sweep

_LAYOUT = """{"image": "images/{id}.png",
 "depth": {"file": "depth/{id}.png", "kind": "depth", "scale": 0.001, "invalid": [0, 65535],
           "max_depth": 80.0},
 "camera": {"fx": 40.0, "fy": 41.0, "cx": 23.5, "cy": 17.5, "width": 48, "height": 36},
 "splits": {"test": "test.txt"}}
"""


def _write_layout(folder: Path) -> None:
    for number in range(2):
        save(folder / "images" / f"{number}.png", colours(number))
        save(folder / "depth" / f"{number}.png", counts())
    write_text(folder / "rilievo.yaml", _LAYOUT)
    write_text(folder / "test.txt", "0\n1\n")


def _read_layout(folder: Path) -> object:
    dataset = open_dataset("folder", folder, split="test")
    return [dataset.sample(id) for id in dataset.ids[:2]], dataset.absent


def _read_colmap(folder: Path, form: str) -> object:
    return read_cameras(folder / f"cameras.{form}"), list(read_images(folder / f"images.{form}"))


def _write_binary_colmap(folder: Path) -> None:
    camera = struct.pack("<IiQQ4d", 3, 1, 96, 64, 80, 81, 48, 32)
    (folder / "cameras.bin").write_bytes(struct.pack("<Q", 1) + camera)
    image = struct.pack("<I7dI", 5, 1, 0, 0, 0, 0.5, 1, 2, 3) + b"a/0.png\0"
    points = struct.pack("<Qddqddq", 2, 12.5, 30.25, -1, 4, 2.5, 7)
    (folder / "images.bin").write_bytes(struct.pack("<Q", 1) + image + points)


def _read_kitti(folder: Path) -> object:
    camera = read_camera(folder, "image_02")
    return camera.camera, image_from_laser(folder, camera)


def _read_tum(folder: Path) -> object:
    stamped = read_timed_pictures(folder / "rgb.txt")
    path = read_trajectory(folder / "groundtruth.txt")
    return stamped, path.nearest_pose(10.0), list(read_pairs(folder / "pairs.txt"))


READERS = (
    row("YAML of a folder", _write_layout, "rilievo.yaml", _read_layout, 2.0),
    row("list of ids", _write_layout, "test.txt", _read_layout, 0.5),
    sample_file("TOML of a sweep", read_sweep, 1.5),
    sample("COLMAP's texts", lambda folder: _read_colmap(folder, "txt")),
    row(
        "COLMAP's binary files",
        _write_binary_colmap,
        "cameras.bin images.bin",
        lambda folder: _read_colmap(folder, "bin"),
    ),
    sample("KITTI's calibration", _read_kitti),
    sample(
        "KITTI's lists",
        lambda folder: listed_frames(
            Request(
                name="kitti-raw",
                root=folder,
                split="eigen",
                variant="",
                list_file=folder / "list.txt",
            ),
            {},
        ),
        0.6,
    ),
    sample("TUM's texts", _read_tum),
    sample_file("intrinsics as text", read_K, 0.6),
    row(
        "intrinsics as npy",
        lambda folder: np.save(folder / "K.npy", np.diag([50.0, 50, 1])),
        "K.npy",
        lambda folder: read_K(folder / "K.npy"),
        0.5,
    ),
)
