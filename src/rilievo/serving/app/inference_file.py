"""The output of a network as an npz file, from which files are written without another run."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.spelling import read_spelling, spell_lens
from rilievo.io.files.archives import read_npz_arrays
from rilievo.models.base import Inference

_OPTIONAL_ARRAYS = ("depth", "normals", "confidence", "sky", "valid")
"""Fields of ``Inference`` that are an array or None."""
_ARRAY_NAMES = (*_OPTIONAL_ARRAYS, "shift", "lens", "source")
_MAX_BYTES = 2**31


def encode_inference(inference: Inference) -> bytes:
    """Encode an inference as an npz file, without rounding."""
    arrays = {"shift": np.array(inference.shift)}
    for name in _OPTIONAL_ARRAYS:
        array = getattr(inference, name)
        if array is not None:
            arrays[name] = array
    if inference.camera is not None:
        arrays["lens"] = np.array(str(spell_lens(inference.camera.lens)))
        arrays["source"] = np.array(str(inference.camera.source))
    with BytesIO() as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return file.getvalue()


def read_inference(path: Path) -> Inference:
    """Read a file that ``encode_inference`` wrote."""
    with path.open("rb") as file:
        arrays = read_npz_arrays(file, _ARRAY_NAMES, most_bytes=_MAX_BYTES)
    camera = None
    if "lens" in arrays:
        # The spelling holds all parameters, so the size of the image makes no difference.
        lens = read_spelling(arrays["lens"].item()).lens((2, 2))
        camera = Camera(lens=lens, source=CameraSource(arrays["source"].item()))
    optional_arrays: dict[str, Any] = {name: arrays.get(name) for name in _OPTIONAL_ARRAYS}
    return Inference(camera=camera, shift=float(arrays["shift"].item()), **optional_arrays)
