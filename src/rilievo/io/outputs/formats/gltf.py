"""Triangle meshes as binary glTF 2.0 (ISO/IEC 12113:2022)."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float32, Int32, Matrix, UInt8, UInt16
from rilievo.io.map_pictures import linear_light

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5123, 5125, 5126
_REPEAT, _CLAMP = 10497, 33071


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """JPEG picture; ``is_round`` where its right edge continues on the left."""

    jpeg: bytes
    is_round: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangleMesh:
    """Triangle mesh, plain, with colours or with a texture.

    Attributes:
        normals: Unit normals, towards the side that was seen.
        triangles: Corners, counter-clockwise as seen from there.
        places: Texture coordinates: (0, 0) is the outer corner of the top-left pixel.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]
    colours: UInt8[np.ndarray, "n 3"] | None = None
    places: Float32[np.ndarray, "n 2"] | None = None
    texture: Texture | None = None

    def rotate(self, R: Matrix) -> "TriangleMesh":
        """Copy with points and normals R p."""
        points, normals = ((rows @ R.T).astype(np.float32) for rows in (self.points, self.normals))
        return replace(self, points=points, normals=normals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BufferPart:
    data: bytes
    target: int | None = None
    accessor: Mapping[str, Any] | None = None


def write_gltf(
    path: Path,
    mesh: TriangleMesh,
    *,
    name: str,
    about: Any,
    camera: Mapping[str, Any] | None = None,
    unit: str = "",
) -> None:
    """Write a mesh in glTF's axes.

    Args:
        path: File to write.
        mesh: Triangles, with colours or a texture.
        name: Name of the mesh in programs.
        about: JSON that becomes ``asset.extras.rilievo``.
        camera: Camera of glTF, at the origin.
        unit: Sentence on the unit, if it is not the metre that glTF's is; programs show it as a
            property of the object.
    """
    attributes = {
        "POSITION": _vector_part(mesh.points, is_bounded=True),
        "NORMAL": _vector_part(mesh.normals),
    }
    if mesh.places is not None:
        attributes["TEXCOORD_0"] = _vector_part(mesh.places)
    if mesh.colours is not None:
        attributes["COLOR_0"] = _vector_part(_linear_colours(mesh.colours))
    parts = [*attributes.values(), _index_part(mesh.triangles, len(mesh.points))]
    if mesh.texture is not None:
        parts.append(_BufferPart(data=mesh.texture.jpeg))
    document = {
        **_scene_json(name, list(attributes), about, camera, unit),
        **_material_json(mesh.texture is not None),
        **_buffer_json(parts),
        **_texture_json(mesh.texture, last=len(parts) - 1),
    }
    _write_glb(path, document, parts)


def _index_part(triangles: Int32[np.ndarray, "m 3"], count: int) -> _BufferPart:
    """Part of vertex numbers; glTF keeps the largest free."""
    is_short = count <= 65535
    return _BufferPart(
        data=triangles.astype("<u2" if is_short else "<u4").tobytes(),
        target=_ELEMENT_ARRAY_BUFFER,
        accessor={
            "componentType": _UNSIGNED_SHORT if is_short else _UNSIGNED_INT,
            "count": triangles.size,
            "type": "SCALAR",
        },
    )


def _vector_part(
    rows: Float32[np.ndarray, "n k"] | UInt16[np.ndarray, "n 4"], *, is_bounded: bool = False
) -> _BufferPart:
    """Part of rows of numbers; glTF needs the bounds of positions."""
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
    return _BufferPart(data=data, target=_ARRAY_BUFFER, accessor=accessor)


def _linear_colours(colours: UInt8[np.ndarray, "n 3"]) -> UInt16[np.ndarray, "n 4"]:
    """Linear RGBA of 16 bits, opaque."""
    linear = linear_light()[colours]
    opaque = np.ones((len(colours), 1), np.float32)
    return np.rint(np.concatenate([linear, opaque], axis=1) * 65535).astype(np.uint16)


def _scene_json(
    name: str,
    attributes: Sequence[str],
    about: Any,
    camera: Mapping[str, Any] | None,
    unit: str,
) -> dict[str, Any]:
    primitive = {
        "attributes": {attribute: number for number, attribute in enumerate(attributes)},
        "indices": len(attributes),
        "material": 0,
    }
    extras = {"extras": {"unit": unit}} if unit else {}
    nodes: list[dict[str, Any]] = [{"mesh": 0, "name": name, **extras}]
    if camera is not None:
        nodes.append({"camera": 0, "name": "photograph"})
    return {
        "asset": {"version": "2.0", "generator": "rilievo", "extras": {"rilievo": about}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        **({} if camera is None else {"cameras": [camera]}),
        "meshes": [{"primitives": [primitive]}],
    }


def _material_json(with_texture: bool) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if with_texture:
        surface["baseColorTexture"] = {"index": 0}
    unlit = {"KHR_materials_unlit": {}}
    material = {"pbrMetallicRoughness": surface, "doubleSided": True, "extensions": unlit}
    return {"materials": [material]}


def _buffer_json(parts: Sequence[_BufferPart]) -> dict[str, Any]:
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
    buffers = [{"byteLength": offset}]
    return {"accessors": accessors, "bufferViews": views, "buffers": buffers}


def _texture_json(texture: Texture | None, *, last: int) -> dict[str, Any]:
    if texture is None:
        return {}
    across = _REPEAT if texture.is_round else _CLAMP
    sampler = {"magFilter": 9729, "minFilter": 9987, "wrapS": across, "wrapT": _CLAMP}
    return {
        "images": [{"bufferView": last, "mimeType": "image/jpeg"}],
        "samplers": [sampler],
        "textures": [{"source": 0, "sampler": 0}],
    }


def _write_glb(path: Path, document: Mapping[str, Any], parts: Sequence[_BufferPart]) -> None:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = document["buffers"][0]["byteLength"]
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", length, b"BIN\0"))
        for part in parts:
            file.write(part.data + b"\0" * (-len(part.data) % 4))
