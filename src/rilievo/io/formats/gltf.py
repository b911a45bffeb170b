"""Parts of a binary glTF 2.0 file (Khronos, 2021; ISO/IEC 12113:2022).

glTF's axes are x right, y up, z towards the viewer.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_BYTE, _UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5120, 5123, 5125, 5126
_LAST = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes of the binary chunk and what they are; None for ``accessor`` where a picture."""

    data: bytes
    target: int | None = None
    accessor: Mapping[str, Any] | None = None
    stride: int | None = None


def positions(
    points: Float32[np.ndarray, "n 3"], coarsest: float
) -> tuple[Part, Mapping[str, Any]]:
    """Positions, and what the node has to say of them (KHR_mesh_quantization).

    They are integers where a step of these is at most ``coarsest``, and floats elsewhere.
    """
    low = points.min(axis=0).astype(np.float64)
    # One scale for all axes, so that normals stay as they are.
    scale = float((points.max(axis=0) - low).max()) / _LAST
    if not 0 < scale <= coarsest:
        return vectors(points, "VEC3", is_bounded=True), {}
    steps = np.clip(np.rint((points - low) / scale), 0, _LAST).astype("<u2")
    node = {"translation": low.tolist(), "scale": [scale] * 3}
    return vectors(steps, "VEC3", is_bounded=True), node


def corners(triangles: Int32[np.ndarray, "m 3"], count: int) -> Part:
    """Numbers of vertices in as few bytes as they need; the largest number is kept free."""
    is_short = count <= 65535
    return Part(
        data=triangles.astype("<u2" if is_short else "<u4").tobytes(),
        target=_ELEMENT_ARRAY_BUFFER,
        accessor={
            "componentType": _UNSIGNED_SHORT if is_short else _UNSIGNED_INT,
            "count": triangles.size,
            "type": "SCALAR",
        },
    )


def vectors(
    rows: np.ndarray, kind: str, *, normalized: bool = False, is_bounded: bool = False
) -> Part:
    """Rows of floats or integers, each at a multiple of four bytes."""
    stride = -(-rows.shape[1] * rows.itemsize // 4) * 4
    padded = np.zeros((len(rows), stride // rows.itemsize), rows.dtype)
    padded[:, : rows.shape[1]] = rows
    types = {"b": _BYTE, "H": _UNSIGNED_SHORT, "f": _FLOAT}
    accessor: dict[str, Any] = {
        "componentType": types[rows.dtype.char],
        "count": len(rows),
        "type": kind,
    }
    if normalized:
        accessor["normalized"] = True
    if is_bounded:
        accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
    return Part(data=padded.tobytes(), target=_ARRAY_BUFFER, accessor=accessor, stride=stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What the JSON chunk says of the parts of the binary chunk.

    Attributes:
        views: Buffer views, one a part.
        accessors: Accessors of the parts that are no pictures.
        length: Bytes of the binary chunk.
    """

    views: Sequence[Mapping[str, Any]]
    accessors: Sequence[Mapping[str, Any]]
    length: int


def chunk_of(parts: Sequence[Part]) -> Chunk:
    """Lay out the parts one after the other, each at a multiple of four bytes."""
    views: list[dict[str, Any]] = []
    offset = 0
    for part in parts:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": offset, "byteLength": len(part.data)}
        for name, value in (("byteStride", part.stride), ("target", part.target)):
            if value is not None:
                view[name] = value
        views.append(view)
        offset += len(part.data) + -len(part.data) % 4
    accessors = [
        {"bufferView": i, **part.accessor} for i, part in enumerate(parts) if part.accessor
    ]
    return Chunk(views=views, accessors=accessors, length=offset)


def write_glb(path: Path, parts: Sequence[Part], document: Mapping[str, Any]) -> None:
    """Write the header and both chunks."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = document["buffers"][0]["byteLength"]
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", length, b"BIN\0"))
        for part in parts:
            file.write(part.data + b"\0" * (-len(part.data) % 4))
