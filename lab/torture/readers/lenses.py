"""Lenses: files of calibration programs, and the texts of ``--camera`` and ``--projection``."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lab.torture.reader import Reader, row, write_text
from rilievo.options.camera_forms import GivenCamera, matrix_of

_SIZE = (64, 96)
_PLAIN = "[80.5, 0, 47.5, 0, 81.0, 31.5, 0, 0, 1]"

FILES: Mapping[str, tuple[str, str]] = {
    "COLMAP": ("cameras.txt", "# cameras\n1 OPENCV 96 64 80.5 81 48 32 -0.1 0.01 0 0.001\n"),
    "COLMAP, a fisheye": ("cameras.txt", "1 RADIAL_FISHEYE 96 64 40 48 32 0.02 -0.001\n"),
    "KITTI": ("calib.txt", "P0: 1 0 0 0 0 1 0 0 0 0 1 0\nP2: 80 0 47 4 0 80 31 0 0 0 1 0\n"),
    "KITTI raw": (
        "calib_cam_to_cam.txt",
        "S_rect_02: 9.6e+01 6.4e+01\nP_rect_02: 8.0e+01 0 4.7e+01 0 0 8.0e+01 3.1e+01 0 0 0 1 0\n",
    ),
    "TUM": ("fr1.txt", "80.5 81.0 47.5 31.5 0.2 -0.9 -0.005 0.003 1.1\n"),
    "DSO": ("camera.txt", "0.8 1.2 0.5 0.5 0.9\n96 64\ncrop\n96 64\n"),
    "DSO, with a name": ("camera.txt", "RadTan 80 81 47 31 -0.1 0.01 0 0.001\n96 64\nfull\n"),
    "Kalibr": (
        "camchain.yaml",
        "cam0:\n  camera_model: pinhole\n  distortion_model: equidistant\n"
        "  intrinsics: [80.5, 81.0, 47.5, 31.5]\n  distortion_coeffs: [0.1, -0.02, 0.01, -0.002]\n"
        "  resolution: [96, 64]\n",
    ),
    "ROS": (
        "ost.yaml",
        f"image_width: 96\nimage_height: 64\ncamera_matrix: {{rows: 3, cols: 3, data: {_PLAIN}}}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0, 0.001, 0]}\n",
    ),
    "OpenCV": (
        "camera.yml",
        "%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        f"   data: {_PLAIN}\n",
    ),
    "our JSON, a lens": (
        "x.json",
        json.dumps({"camera": {"lens": "fisheye:40,40,47.5,31.5,0.1,0,0,0,90@96x64"}}),
    ),
    "our JSON, K": ("x.json", json.dumps({"camera": {"K": [[80, 0, 47], [0, 80, 31], [0, 0, 1]]}})),
    "K as text": ("K.txt", "80 0 47.5\n0 81 31.5\n0 0 1\n"),
}
"""Name and content of a good file of each program."""

TEXTS = (
    *("equirect:180x90", "equirect:90", "fisheye:190"),
    *("equirect:30,30,47.5,31.5", "fisheye:40,40,47.5,31.5,0.1,0,0,0,90@96x64"),
    *("opencv:80,81,47.5,31.5,-0.1,0.01,0,0.001@96x64", "opencv:80,81,47,31,0,0,0,0,0,0,0,0"),
    *("fov:80,81,47.5,31.5,0.9", "pinhole:80,81,47.5,31.5@96x64"),
)
"""Lenses in words."""


def read_of(camera: GivenCamera) -> object:
    """Make a camera for a size and see through it, as every run does."""
    named = camera.given_camera
    assert named is not None, "it is given"
    made = matrix_of(named, _SIZE)
    return made.rays(np.array([[0.0, 47.5, 95.0], [0.0, 31.5, 63.0]]))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")


def _write_texts(folder: Path) -> None:
    for place, text in enumerate(TEXTS):
        write_text(folder / f"{place}.txt", text)


def _read_texts(folder: Path) -> object:
    texts = [_text(folder / f"{place}.txt") for place in range(len(TEXTS))]
    return [read_of(GivenCamera(projection=text)) for text in texts]


def _write_npy(folder: Path) -> None:
    np.save(folder / "K.npy", np.array([[80.0, 0, 47], [0, 80, 31], [0, 0, 1]]))


def _file_reader(program: str, file: str, text: str) -> Reader:
    form = {"json": "json", "yaml": "yaml", "yml": "text"}.get(file.rpartition(".")[2], "text")
    return row(
        f"lens of {program}",
        {file: text},
        {file: form},
        lambda folder: read_of(GivenCamera(camera=str(folder / file))),
        0.4,
    )


READERS = (
    *(_file_reader(program, *given) for program, given in FILES.items()),
    row(
        "lens of K as npy",
        _write_npy,
        "K.npy",
        lambda folder: read_of(GivenCamera(camera=str(folder / "K.npy"))),
        0.3,
    ),
    row(
        "lens in words, as --projection",
        _write_texts,
        {f"{place}.txt": "text" for place in range(len(TEXTS))},
        _read_texts,
        places=False,
    ),
    row(
        "camera in numbers, as --camera",
        {"text.txt": "80.5,81,47.5,31.5"},
        "text.txt",
        lambda folder: read_of(GivenCamera(camera=_text(folder / "text.txt"))),
        0.4,
        places=False,
    ),
)
