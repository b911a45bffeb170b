"""A mesh that wears the photograph, as binary glTF 2.0 (Khronos, 2021; ISO/IEC 12113:2022).

glTF's axes are x right, y up, z towards the viewer, so (x, -y, -z) of ours: a rotation by half a
turn, which keeps triangles facing as they do. The material is unlit (KHR_materials_unlit), since
a photograph has its light already, and shows both sides.

Positions are integers with their scale in the node (KHR_mesh_quantization), normals have 8 bits.
Where a step of these integers would be seen near the camera, because something else is very far,
positions are floats. Texture coordinates are floats: trimesh reads integers as they are.
"""

import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32
from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.surface import Mesh, mesh, surface_step
from rilievo.io.facts import FileFacts, SurfaceFacts
from rilievo.io.limits import printable
from rilievo.io.writing import WriteJob
from rilievo.types import Photo

AXES = "x right, y up, z backwards (glTF); the camera is at the origin and looks along -z"

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_BYTE, _UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5120, 5123, 5125, 5126
_LAST = 65535
_COARSEST = 5e-4
"""Largest step of integer positions, relative to the nearest vertex."""
_JPEG_QUALITY = 90
_FLATNESS = 0.004
"""Change of depth for the sake of fewer triangles; networks are ten times less exact."""
_TO_GLTF = np.array([1, -1, -1], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Bytes of the binary chunk and what they are; None for ``accessor`` where a picture."""

    data: bytes
    target: int | None = None
    accessor: Mapping[str, Any] | None = None
    stride: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """Vertices as they are written, and the node that brings them to their places.

    Attributes:
        parts: Positions, normals, texture coordinates and triangles, in this order.
        node: Scale and translation of integer positions; nothing of floats.
    """

    parts: Sequence[_Part]
    node: Mapping[str, Any]


def write(job: WriteJob) -> FileFacts:
    """Write the mesh, with the photograph as its texture where there is one.

    Raises:
        InputError: If no triangle is left.
    """
    depth, options, photo = job.depth, job.options, job.prediction.photo
    step = surface_step(depth.shape, options.surface_points)
    surface = mesh(
        depth.depth(),
        job.camera.K,
        job.surface_pixels,
        normals=job.prediction.normals,
        step=step,
        cut=options.cut,
        flatness=_FLATNESS,
        smooth=True,
        backing=options.backing,
    )
    if not len(surface.triangles):
        raise InputError(
            f"{printable(job.about.source.file)}: no surface is left to write as a mesh"
        )
    texture = None if photo is None else _texture(photo, options.texture_side)
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="mesh of the surface",
        unit=job.depth_facts.unit,
        axes=AXES,
        surface=SurfaceFacts(
            pixel_step=step,
            points=len(surface.points),
            triangles=len(surface.triangles),
            edge_jump=options.edge,
            grazing_degrees=options.grazing,
            specks=options.specks,
            dropped=options.dropped,
            backing=options.backing or None,
            texture_width=None if texture is None else texture.width,
        ),
    )
    form = _form(surface, depth.shape, step / float(job.camera.K[0, 0]))
    parts = [*form.parts, *([] if texture is None else [_Part(data=_jpeg(texture))])]
    about = json.loads(job.about.alone(facts))
    document = _document(
        parts,
        about,
        _camera(job.camera.K, depth.shape),
        form.node,
        with_texture=texture is not None,
    )
    _write_glb(job.path, parts, document)
    return facts


def _texture(photo: Photo, side: int) -> Image.Image:
    image = Image.fromarray(photo.pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return image


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _form(surface: Mesh, shape: tuple[int, int], pitch: float) -> _Form:
    """What is written of the surface, whose neighbours are ``pitch`` apart at a depth of 1."""
    height, width = shape
    # The texture's (0, 0) is the outer corner of the top-left pixel, ours its centre.
    places = (surface.pixels + np.float32(0.5)) / np.array([width, height], np.float32)
    positions, node = _positions(surface.points * _TO_GLTF, min(_COARSEST, pitch / 4))
    normals = np.rint(surface.normals * _TO_GLTF * np.float32(127)).astype(np.int8)
    return _Form(
        parts=[
            positions,
            _vectors(normals, "VEC3", normalized=True),
            _vectors(places, "VEC2"),
            _numbers(surface.triangles, len(surface.points)),
        ],
        node=node,
    )


def _positions(
    points: Float32[np.ndarray, "n 3"], coarsest: float
) -> tuple[_Part, Mapping[str, Any]]:
    """Positions, and what the node has to say of them.

    They are integers where a step of these is at most ``coarsest`` times the nearest depth.
    """
    low = points.min(axis=0).astype(np.float64)
    # One scale for all axes, so that normals stay as they are.
    scale = float((points.max(axis=0) - low).max()) / _LAST
    nearest = float(-points[:, 2].max())
    if not 0 < scale <= coarsest * nearest:
        return _vectors(points, "VEC3", is_bounded=True), {}
    steps = np.clip(np.rint((points - low) / scale), 0, _LAST).astype("<u2")
    node = {"translation": low.tolist(), "scale": [scale] * 3}
    return _vectors(steps, "VEC3", is_bounded=True), node


def _numbers(triangles: Int32[np.ndarray, "m 3"], count: int) -> _Part:
    """Numbers of vertices in as few bytes as they need; the largest number is kept free."""
    is_short = count <= 65535
    return _Part(
        data=triangles.astype("<u2" if is_short else "<u4").tobytes(),
        target=_ELEMENT_ARRAY_BUFFER,
        accessor={
            "componentType": _UNSIGNED_SHORT if is_short else _UNSIGNED_INT,
            "count": triangles.size,
            "type": "SCALAR",
        },
    )


def _vectors(
    rows: np.ndarray, kind: str, *, normalized: bool = False, is_bounded: bool = False
) -> _Part:
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
    return _Part(data=padded.tobytes(), target=_ARRAY_BUFFER, accessor=accessor, stride=stride)


def _camera(K: Float64[np.ndarray, "3 3"], shape: tuple[int, int]) -> Mapping[str, Any]:
    """The photograph's own camera; glTF knows no principal point but the middle."""
    height, width = shape
    return {
        "type": "perspective",
        "perspective": {
            "aspectRatio": float(width * K[1, 1] / (height * K[0, 0])),
            "yfov": 2 * math.atan(height / (2 * float(K[1, 1]))),
            "znear": 0.01,
        },
    }


def _document(
    parts: Sequence[_Part],
    about: Any,
    camera: Mapping[str, Any],
    node: Mapping[str, Any],
    *,
    with_texture: bool,
) -> dict[str, Any]:
    """The JSON chunk of parts that are ordered as ``_Form`` has them, the picture last."""
    views, offset = [], 0
    for part in parts:
        view = {"buffer": 0, "byteOffset": offset, "byteLength": len(part.data)}
        for name, value in (("byteStride", part.stride), ("target", part.target)):
            if value is not None:
                view[name] = value
        views.append(view)
        offset += len(part.data) + -len(part.data) % 4
    accessors = [
        {"bufferView": i, **part.accessor} for i, part in enumerate(parts) if part.accessor
    ]
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if with_texture:
        surface["baseColorTexture"] = {"index": 0}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "rilievo", "extras": {"rilievo": about}},
        "extensionsUsed": ["KHR_materials_unlit", "KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"mesh": 0, "name": Path(about["source"]["file"]).stem, **node},
            {"camera": 0, "name": "photograph"},
        ],
        "cameras": [camera],
        "meshes": [
            {
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
                        "indices": 3,
                        "material": 0,
                    }
                ]
            }
        ],
        "materials": [
            {
                "pbrMetallicRoughness": surface,
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    if with_texture:
        clamp = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}
        document["images"] = [{"bufferView": len(views) - 1, "mimeType": "image/jpeg"}]
        document["samplers"] = [clamp]
        document["textures"] = [{"source": 0, "sampler": 0}]
    return document


def _write_glb(path: Path, parts: Sequence[_Part], document: Mapping[str, Any]) -> None:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = document["buffers"][0]["byteLength"]
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", length, b"BIN\0"))
        for part in parts:
            file.write(part.data + b"\0" * (-len(part.data) % 4))
