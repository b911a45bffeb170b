"""The file of a network's answer, by which other files of a result are made without a new run."""

from io import BufferedIOBase
from pathlib import Path

import numpy as np

from rilievo.geometry.cameras.spelling import spelled, spelling_of
from rilievo.models.base import Inference
from rilievo.types import Camera, CameraSource

_FIELDS = ("depth", "valid", "normals", "confidence", "sky", "steps")


def write_inference(inference: Inference, target: BufferedIOBase) -> None:
    """Write an inference."""
    arrays = {
        name: getattr(inference, name) for name in _FIELDS if getattr(inference, name) is not None
    }
    if inference.camera is not None:
        arrays["lens"] = np.array(str(spelling_of(inference.camera.lens)))
        arrays["source"] = np.array(str(inference.camera.source))
    np.savez(target, **arrays)


def read_inference(path: Path) -> Inference:
    """Read an inference."""
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    camera = None
    if "lens" in found:
        lens = spelled(found["lens"].item()).lens((2, 2))
        camera = Camera(lens=lens, source=CameraSource(found["source"].item()))
    return Inference(camera=camera, **{name: found.get(name) for name in _FIELDS})
