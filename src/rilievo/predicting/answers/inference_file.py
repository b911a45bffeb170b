"""The file of a network's answer, by which other files of a result are made without a new run.

Numbers are kept exactly: float32 as differences of their bits between neighbours, in planes of
bytes, deflated. Rounding them would make results differ from those of a fresh run.
"""

import math
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from jaxtyping import Bool, Float32

from rilievo.errors import InputError
from rilievo.geometry.cameras.spelling import spelled, spelling_of
from rilievo.io.files.archives import read_arrays
from rilievo.io.files.broken import BROKEN_FILE
from rilievo.io.files.limits import printable
from rilievo.models.base import Inference
from rilievo.types import Camera, CameraSource

MOST_NUMBERS = 16_000_000
"""Most numbers of one field; larger answers are neither kept nor read."""
_FIELDS = ("depth", "normals", "confidence", "sky")
_MASK = "valid"
_MEMBERS = (*_FIELDS, *(f"{name}_shape" for name in _FIELDS), _MASK, "lens", "source")
_MOST_BYTES = 4 * MOST_NUMBERS + 2**20
"""Largest member: packed, numbers that nothing compresses grow a little."""
_LEVEL = 3
# The stubs of isal call its class of errors an error.
_DEFLATING: type[Exception] = isal_zlib.IsalError  # pyright: ignore[reportAssignmentType]
_BROKEN = (*BROKEN_FILE, _DEFLATING)


def write_inference(inference: Inference, target: BufferedIOBase) -> None:
    """Write an inference."""
    # The first name marks the file as ours, after a power cut too: see io/checks/marks.py.
    arrays = {"rilievo": np.array("answer")}
    for name in _FIELDS:
        field = getattr(inference, name)
        if field is not None:
            arrays[name] = np.frombuffer(_packed(field), np.uint8)
            arrays[f"{name}_shape"] = np.array(field.shape, np.int64)
    if inference.valid is not None:
        arrays[_MASK] = inference.valid
    if inference.shift:
        arrays["shift"] = np.array(inference.shift)
    if inference.camera is not None:
        arrays["lens"] = np.array(str(spelling_of(inference.camera.lens)))
        arrays["source"] = np.array(str(inference.camera.source))
    np.savez(target, **arrays)  # pyright: ignore[reportArgumentType]


def read_inference(file: Path | bytes, name: str = "") -> Inference:
    """Read an inference.

    Raises:
        InputError: If the file is broken; the message calls it ``name``.
    """
    try:
        content = file if isinstance(file, bytes) else file.read_bytes()
        found = read_arrays(BytesIO(content), _MEMBERS, most_bytes=_MOST_BYTES)
        camera = None
        if "lens" in found:
            lens = spelled(found["lens"].item()).lens((2, 2))
            camera = Camera(lens=lens, source=CameraSource(found["source"].item()))
        fields: dict[str, Any] = {
            each: _unpacked(found[each], found[f"{each}_shape"])
            for each in _FIELDS
            if each in found
        }
        shift = float(found.get("shift", np.zeros(())).item())
        return Inference(camera=camera, valid=_mask(found.get(_MASK)), shift=shift, **fields)
    except _BROKEN as error:
        shown = name or ("it" if isinstance(file, bytes) else printable(file))
        raise InputError(f"{shown}: not the answer of a network, or broken") from error


def _mask(field: np.ndarray | None) -> Bool[np.ndarray, "h w"] | None:
    if field is not None and (field.dtype != np.bool_ or field.ndim != 2):
        raise ValueError("a mask is boolean")
    return field


def _packed(field: Float32[np.ndarray, "*c h w"]) -> bytes:
    """Bytes of a field: differences to the left and upper neighbours, deflated."""
    bits = np.ascontiguousarray(field, np.float32).view(np.uint32)
    across = bits.copy()
    across[..., 1:] -= bits[..., :-1]
    both = across.copy()
    both[..., 1:, :] -= across[..., :-1, :]
    # Small differences of either sign get small numbers.
    folded = (both << 1) ^ (np.uint32(0) - (both >> 31))
    planes = np.ascontiguousarray(folded.reshape(-1).view(np.uint8).reshape(-1, 4).T)
    return isal_zlib.compress(planes.tobytes(), _LEVEL)


def _unpacked(packed: np.ndarray, shape: np.ndarray) -> Float32[np.ndarray, "*c h w"]:
    size = tuple(map(int, shape))
    count = math.prod(size)
    if len(size) not in (2, 3) or min(size) < 1 or count > MOST_NUMBERS:
        raise ValueError("a field has two or three sides")
    content = isal_zlib.decompressobj().decompress(packed.tobytes(), 4 * count)
    planes = np.frombuffer(content, np.uint8).reshape(4, count)
    folded = np.ascontiguousarray(planes.T).view(np.uint32).reshape(size)
    both = (folded >> 1) ^ (np.uint32(0) - (folded & 1))
    across = np.cumsum(both, axis=-2, dtype=np.uint32)
    return np.cumsum(across, axis=-1, dtype=np.uint32).view(np.float32)
