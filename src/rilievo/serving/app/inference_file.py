"""The network's answer to a visitor's photograph, of which files are made without another run.

The file is the server's own. Numbers are exact, since rounding them would make files differ from
those of another run, and not compressed: packing them cost as much as the rest of an answer.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.geometry.cameras.spelling import spelled, spelling_of
from rilievo.io.files.archives import read_arrays
from rilievo.models.base import Inference
from rilievo.types import Camera, CameraSource

_FIELDS = ("depth", "normals", "confidence", "sky")
_MEMBERS = (*_FIELDS, "valid", "shift", "lens", "source")
_MOST_BYTES = 2**31


def write_inference(inference: Inference) -> bytes:
    """Content of the file of an inference."""
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


def read_inference(path: Path) -> Inference:
    """Read an inference."""
    with path.open("rb") as file:
        arrays = read_arrays(file, _MEMBERS, most_bytes=_MOST_BYTES)
    camera = None
    if "lens" in arrays:
        lens = spelled(arrays["lens"].item()).lens((2, 2))
        camera = Camera(lens=lens, source=CameraSource(arrays["source"].item()))
    fields: dict[str, Any] = {name: arrays[name] for name in _FIELDS if name in arrays}
    return Inference(
        camera=camera, valid=arrays.get("valid"), shift=float(arrays["shift"].item()), **fields
    )
