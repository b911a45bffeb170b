"""Lenses: files of calibration programs, and the texts of ``--camera`` and ``--projection``."""

from pathlib import Path

import numpy as np

from lab.torture.reader import SAMPLES, row, sample, sample_file
from rilievo.options.camera_forms import CameraOptions, camera_for_size

_SIZE = (64, 96)


def read_of(camera: CameraOptions) -> object:
    """Make a camera for a size and see through it, as every run does."""
    named = camera.named_camera
    assert named is not None, "it is given"
    made = camera_for_size(named, _SIZE)
    return made.rays(np.array([[0.0, 47.5, 95.0], [0.0, 31.5, 63.0]]))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")


def _read_texts(folder: Path) -> object:
    texts = [_text(path) for path in sorted(folder.iterdir())]
    return [read_of(CameraOptions(projection=text)) for text in texts]


def _read_file(path: Path) -> object:
    return read_of(CameraOptions(camera=str(path)))


def _write_npy(folder: Path) -> None:
    np.save(folder / "K.npy", np.array([[80.0, 0, 47], [0, 80, 31], [0, 0, 1]]))


READERS = (
    *(sample_file(name, _read_file, 0.4) for name in SAMPLES if name.startswith("lens of ")),
    row(
        "lens of K as npy",
        _write_npy,
        "K.npy",
        lambda folder: read_of(CameraOptions(camera=str(folder / "K.npy"))),
        0.3,
    ),
    sample("lens in words, as --projection", _read_texts, places=False),
    sample(
        "camera in numbers, as --camera",
        lambda folder: read_of(CameraOptions(camera=_text(folder / "text.txt"))),
        0.4,
        places=False,
    ),
)
