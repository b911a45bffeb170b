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

AXES = "x right, y up, z backwards (glTF)"

# Constants of OpenGL that glTF uses.
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5123, 5125, 5126
_REPEAT, _CLAMP = 10497, 33071
_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987
_MAX_SHORT_VERTICES = 65535  # with 16-bit indices, of which glTF reserves the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """JPEG picture on a mesh.

    Attributes:
        wraps_around: Whether its right edge continues on the left, as in a panorama.
    """

    jpeg: bytes
    wraps_around: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangleMesh:
    """Triangle mesh with vertex colours, with a texture, or with neither.

    Attributes:
        normals: Unit normals, towards the side that the camera saw.
        triangles: Vertex indices of the corners, counter-clockwise as seen from that side.
        texture_coordinates: Horizontal and vertical position in the texture, from 0 to 1. (0, 0) is
            the outer corner of the top-left pixel.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]
    colours: UInt8[np.ndarray, "n 3"] | None = None
    texture_coordinates: Float32[np.ndarray, "n 2"] | None = None
    texture: Texture | None = None

    def rotate(self, R: Matrix) -> "TriangleMesh":
        """Return a copy whose points and normals are rotated by ``R``."""
        points = (self.points @ R.T).astype(np.float32)
        normals = (self.normals @ R.T).astype(np.float32)
        return replace(self, points=points, normals=normals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BufferPart:
    """Part of the binary buffer.

    Attributes:
        target: OpenGL's constant for its use; None for a picture.
        accessor: glTF's description of the numbers in it; None for a picture.
    """

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
    """Write a mesh as binary glTF.

    Args:
        path: File to write.
        mesh: Triangles in the axes of glTF, with colours or a texture.
        name: Name of the mesh in programs.
        about: JSON that becomes ``asset.extras.rilievo``.
        camera: Camera at the origin, as glTF describes it; None for none.
        unit: Sentence on the unit, which programs show as a property of the object; "" for metres,
            which are glTF's unit.
    """
    attributes = {
        "POSITION": _attribute_part(mesh.points, with_bounds=True),
        "NORMAL": _attribute_part(mesh.normals),
    }
    if mesh.texture_coordinates is not None:
        attributes["TEXCOORD_0"] = _attribute_part(mesh.texture_coordinates)
    if mesh.colours is not None:
        attributes["COLOR_0"] = _attribute_part(_linear_colours(mesh.colours))
    parts = [*attributes.values(), _index_part(mesh.triangles, len(mesh.points))]
    if mesh.texture is not None:
        parts.append(_BufferPart(data=mesh.texture.jpeg))
    document = {
        **_scene_json(name, list(attributes), about, camera, unit),
        **_material_json(mesh.texture is not None),
        **_buffer_json(parts),
        **_texture_json(mesh.texture, image_part=len(parts) - 1),  # the last part
    }
    _write_glb(path, document, parts)


def _index_part(triangles: Int32[np.ndarray, "m 3"], vertex_count: int) -> _BufferPart:
    """Make the part with the vertex indices of triangles, of 16 bits each if they suffice."""
    is_short = vertex_count <= _MAX_SHORT_VERTICES
    return _BufferPart(
        data=triangles.astype("<u2" if is_short else "<u4").tobytes(),
        target=_ELEMENT_ARRAY_BUFFER,
        accessor={
            "componentType": _UNSIGNED_SHORT if is_short else _UNSIGNED_INT,
            "count": triangles.size,
            "type": "SCALAR",
        },
    )


def _attribute_part(
    vectors: Float32[np.ndarray, "n k"] | UInt16[np.ndarray, "n 4"], *, with_bounds: bool = False
) -> _BufferPart:
    """Make the buffer part of a vertex attribute, such as normals.

    glTF requires the bounds of positions. 16-bit integers, as of colours, stand for 0 to 1.
    """
    is_float = vectors.dtype == np.float32
    accessor: dict[str, Any] = {
        "componentType": _FLOAT if is_float else _UNSIGNED_SHORT,
        "count": len(vectors),
        "type": f"VEC{vectors.shape[1]}",
    }
    if not is_float:
        accessor["normalized"] = True
    if with_bounds:
        accessor |= {"min": vectors.min(axis=0).tolist(), "max": vectors.max(axis=0).tolist()}
    data = vectors.astype("<f4" if is_float else "<u2").tobytes()
    return _BufferPart(data=data, target=_ARRAY_BUFFER, accessor=accessor)


def _linear_colours(colours: UInt8[np.ndarray, "n 3"]) -> UInt16[np.ndarray, "n 4"]:
    """Convert sRGB colours to linear, opaque RGBA of 16 bits, as glTF requires them."""
    linear = linear_light()[colours]
    alpha = np.ones((len(colours), 1), np.float32)
    return np.rint(np.concatenate([linear, alpha], axis=1) * 65535).astype(np.uint16)


def _scene_json(
    name: str, attributes: Sequence[str], about: Any, camera: Mapping[str, Any] | None, unit: str
) -> dict[str, Any]:
    """Describe a scene with the mesh and, if there is one, a camera."""
    primitive = {
        # Indices of accessors: those of the attributes come first, then that of the triangles.
        "attributes": {attribute: index for index, attribute in enumerate(attributes)},
        "indices": len(attributes),
        "material": 0,
    }
    mesh_node: dict[str, Any] = {"mesh": 0, "name": name}
    if unit:
        mesh_node["extras"] = {"unit": unit}
    nodes = [mesh_node]
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


def _material_json(has_texture: bool) -> dict[str, Any]:
    """Describe a material without lighting, since the photograph contains its own."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if has_texture:
        surface["baseColorTexture"] = {"index": 0}
    unlit = {"KHR_materials_unlit": {}}
    material = {"pbrMetallicRoughness": surface, "doubleSided": True, "extensions": unlit}
    return {"materials": [material]}


def _buffer_json(parts: Sequence[_BufferPart]) -> dict[str, Any]:
    """Describe where each part lies in the buffer; parts begin at multiples of 4 bytes."""
    views: list[dict[str, Any]] = []
    offset = 0
    for part in parts:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": offset, "byteLength": len(part.data)}
        if part.target is not None:
            view["target"] = part.target
        views.append(view)
        offset += len(part.data) + _padding(part.data)
    accessors = [
        {"bufferView": index, **part.accessor} for index, part in enumerate(parts) if part.accessor
    ]
    buffers = [{"byteLength": offset}]
    return {"accessors": accessors, "bufferViews": views, "buffers": buffers}


def _texture_json(texture: Texture | None, *, image_part: int) -> dict[str, Any]:
    """Describe the texture, whose JPEG is a part of the buffer; {} if there is no texture."""
    if texture is None:
        return {}
    sampler = {
        "magFilter": _LINEAR,
        "minFilter": _LINEAR_MIPMAP_LINEAR,
        "wrapS": _REPEAT if texture.wraps_around else _CLAMP,
        "wrapT": _CLAMP,
    }
    return {
        "images": [{"bufferView": image_part, "mimeType": "image/jpeg"}],
        "samplers": [sampler],
        "textures": [{"source": 0, "sampler": 0}],
    }


def _write_glb(path: Path, document: Mapping[str, Any], parts: Sequence[_BufferPart]) -> None:
    """Write the header, the chunk of JSON and the chunk of binary data."""
    text = _padded(json.dumps(document, separators=(",", ":")).encode(), b" ")
    buffer_bytes = document["buffers"][0]["byteLength"]
    header_bytes, chunk_header_bytes = 12, 8
    file_bytes = header_bytes + chunk_header_bytes + len(text) + chunk_header_bytes + buffer_bytes
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, file_bytes))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", buffer_bytes, b"BIN\0"))
        for part in parts:
            file.write(_padded(part.data))


def _padded(data: bytes, filler: bytes = b"\0") -> bytes:
    return data + filler * _padding(data)


def _padding(data: bytes) -> int:
    return -len(data) % 4
