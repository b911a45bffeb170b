"""Files of text: layouts, sweeps, calibrations, poses, lists."""

from pathlib import Path

import numpy as np

from lab.torture.reader import row, write_text
from lab.torture.readers.pictures import colours, counts, save
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.base import Request
from rilievo.data.datasets.colmap import read_cameras, read_images
from rilievo.data.datasets.sets.kitti_calibration import image_from_laser, read_camera
from rilievo.data.datasets.sets.kitti_frames import listed_frames
from rilievo.data.datasets.sets.tum import read_pairs, read_stamped, read_trajectory
from rilievo.io.lens_files import read_K
from rilievo.training.sweep.sweep_config import read_sweep

_LAYOUT = """{"image": "images/{id}.png",
 "depth": {"file": "depth/{id}.png", "kind": "depth", "scale": 0.001, "invalid": [0, 65535],
           "max_depth": 80.0},
 "camera": {"fx": 40.0, "fy": 41.0, "cx": 23.5, "cy": 17.5, "width": 48, "height": 36},
 "splits": {"test": "test.txt"}}
"""
_SWEEP = """\
title = "all of them"
tasks = ["depth", "normals"]
seeds = [0, 1]
probes = ["linear", {kind = "dpt", hidden = 64}]

[[backbones]]
name = "timm/test_vit"
weights = "random"
layers = "each"

[[backbones]]
name = "hf/facebook/dino-vitb16"
layers = [2, 5, 8, 11]

[data]
dataset = "synthetic"
limit = 10

[training]
epochs = 2
losses.depth = "l1"
"""
_CAMERA = """\
calib_time: 09-Jan-2012 13:57:47
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 4.8e+01 3.6e+01
P_rect_02: 5.0e+01 0 2.4e+01 0 0 5.0e+01 1.8e+01 0 0 0 1 0
"""
_LASER = "calib_time: x\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -2.5e-01\n"
_CAMERAS = "# cameras\n0 PINHOLE 60 40 30 31 29.5 19.5\n3 SIMPLE_RADIAL 60 40 34 30.5 20.5 0.2\n"
_IMAGES = (
    "# images\n1 0.7 0 0.7 0 1 2 3 3 dslr/A.JPG\n12.5 30.2 -1 4 2.5 7\n2 1 0 0 0 0 0 5 0 B.JPG\n\n"
)
_LIST = """\
2011_09_26/2011_09_26_drive_0002_sync 0000000069 l
2011_09_26/2011_09_26_drive_0002_sync/image_03/data/0000000070.png None 721.5
"""
_STAMPED = "# color images\n10.000000 rgb/10.000000.png\n10.030000 rgb/10.030000.png\n"
_TRAJECTORY = "# path\n10.001 1 2 3 0 0 0 1\n10.035 4 5 6 0 0 0.7071 0.7071\n"


def _write_layout(folder: Path) -> None:
    for number in range(2):
        save(folder / "images" / f"{number}.png", colours(number))
        save(folder / "depth" / f"{number}.png", counts())
    write_text(folder / "rilievo.yaml", _LAYOUT)
    write_text(folder / "test.txt", "0\n1\n")


def _read_layout(folder: Path) -> object:
    dataset = open_dataset("folder", folder, split="test")
    return [dataset.sample(id) for id in dataset.ids[:2]], dataset.absent


def _read_colmap(folder: Path) -> object:
    return read_cameras(folder / "cameras.txt"), list(read_images(folder / "images.txt"))


def _write_colmap(folder: Path) -> None:
    write_text(folder / "cameras.txt", _CAMERAS)
    write_text(folder / "images.txt", _IMAGES)


def _write_kitti(folder: Path) -> None:
    write_text(folder / "calib_cam_to_cam.txt", _CAMERA)
    write_text(folder / "calib_velo_to_cam.txt", _LASER)


def _read_kitti(folder: Path) -> object:
    camera = read_camera(folder, "image_02")
    return camera.camera, image_from_laser(folder, camera)


def _write_tum(folder: Path) -> None:
    write_text(folder / "rgb.txt", _STAMPED)
    write_text(folder / "groundtruth.txt", _TRAJECTORY)
    write_text(folder / "pairs.txt", "1.0 rgb/1.png 1.1 depth/1.png\n2 rgb/2.png 2.1 depth/2.png\n")


def _read_tum(folder: Path) -> object:
    stamped = read_stamped(folder / "rgb.txt")
    path = read_trajectory(folder / "groundtruth.txt")
    return stamped, path.at(10.0), list(read_pairs(folder / "pairs.txt"))


READERS = (
    row("YAML of a folder", _write_layout, "rilievo.yaml", _read_layout, 2.0),
    row("list of ids", _write_layout, "test.txt", _read_layout, 0.5),
    row(
        "TOML of a sweep",
        {"sweep.toml": _SWEEP},
        "sweep.toml",
        lambda folder: read_sweep(folder / "sweep.toml"),
        1.5,
    ),
    row("COLMAP's texts", _write_colmap, "cameras.txt images.txt", _read_colmap),
    row(
        "KITTI's calibration",
        _write_kitti,
        "calib_cam_to_cam.txt calib_velo_to_cam.txt",
        _read_kitti,
    ),
    row(
        "KITTI's lists",
        {"list.txt": _LIST},
        "list.txt",
        lambda folder: listed_frames(
            Request(root=folder, split="eigen", variant="", list_file=folder / "list.txt"), {}
        ),
        0.6,
    ),
    row("TUM's texts", _write_tum, "rgb.txt groundtruth.txt pairs.txt", _read_tum),
    row(
        "intrinsics as text",
        {"K.txt": "500 501 320 240\n"},
        "K.txt",
        lambda folder: read_K(folder / "K.txt"),
        0.6,
    ),
    row(
        "intrinsics as npy",
        lambda folder: np.save(folder / "K.npy", np.diag([50.0, 50, 1])),
        "K.npy",
        lambda folder: read_K(folder / "K.npy"),
        0.5,
    ),
)
