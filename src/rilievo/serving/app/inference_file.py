"""A network's answer as an npz file, from which outputs are written without another run."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.spelling import read_spelling, spelling_of
from rilievo.io.files.archives import read_npz_arrays
from rilievo.models.base import Inference

_FIELDS = ("depth", "normals", "confidence", "sky")
_MEMBERS = (*_FIELDS, "valid", "shift", "lens", "source")
_MAX_BYTES = 2**31


def inference_bytes(inference: Inference) -> bytes:
    """Write an inference as the content of an npz file; nothing is rounded."""
    arrays = {"shift": np.array(inference.shift)}
    for name in _FIELDS:
        field = getattr(inference, name)
        if field is not None:
            arrays[name] = field
    if inference.valid is not None:
        arrays["valid"] = inference.valid
    if inference.camera is not None:
        arrays["lens"] = np.array(str(spelling_of(inference.camera.lens)))
        arrays["source"] = np.array(str(inference.camera.source))
    with BytesIO() as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return file.getvalue()


def load_inference(path: Path) -> Inference:
    """Read a file that ``inference_bytes`` wrote."""
    with path.open("rb") as file:
        arrays = read_npz_arrays(file, _MEMBERS, most_bytes=_MAX_BYTES)
    camera = None
    if "lens" in arrays:
        lens = read_spelling(arrays["lens"].item()).lens((2, 2))
        camera = Camera(lens=lens, source=CameraSource(arrays["source"].item()))
    fields: dict[str, Any] = {name: arrays[name] for name in _FIELDS if name in arrays}
    return Inference(
        camera=camera, valid=arrays.get("valid"), shift=float(arrays["shift"].item()), **fields
    )
