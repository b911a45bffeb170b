"""Parts of a binary glTF 2.0 file (Khronos, 2021; ISO/IEC 12113:2022).

The axes of glTF are x right, y up, z towards the viewer. Positions and normals are floats: integers
(KHR_mesh_quantization) would save a quarter of a file, and Open3D reads them wrongly.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt16

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5123, 5125, 5126


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes of the binary chunk and what they are; None for ``accessor`` where a picture."""

    data: bytes
    target: int | None = None
    accessor: Mapping[str, Any] | None = None


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
    rows: Float32[np.ndarray, "n k"] | UInt16[np.ndarray, "n 4"], *, is_bounded: bool = False
) -> Part:
    """Rows of floats, or of integers that stand for 0 to 1.

    Args:
        rows: Numbers of one vertex a row.
        is_bounded: State the least and the largest numbers, which glTF requires of positions.
    """
    is_float = rows.dtype == np.float32
    accessor: dict[str, Any] = {
        "componentType": _FLOAT if is_float else _UNSIGNED_SHORT,
        "count": len(rows),
        "type": f"VEC{rows.shape[1]}",
    }
    if not is_float:
        accessor["normalized"] = True
    if is_bounded:
        accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
    data = rows.astype("<f4" if is_float else "<u2").tobytes()
    return Part(data=data, target=_ARRAY_BUFFER, accessor=accessor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Description of the parts of the binary chunk, for the JSON chunk.

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
        if part.target is not None:
            view["target"] = part.target
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
