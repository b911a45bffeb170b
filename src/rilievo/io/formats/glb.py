"""A mesh that wears the photograph, as binary glTF 2.0 (Khronos, 2021; ISO/IEC 12113:2022).

glTF's axes are x right, y up, z towards the viewer, so (x, -y, -z) of ours: a rotation by half a
turn, which keeps triangles facing as they do. The material is unlit (KHR_materials_unlit), since
a photograph has its light already, and shows both sides.

Positions, normals and texture coordinates are floats. Integers (KHR_mesh_quantization) would save a
quarter of a file in which the photograph is the larger part, and Open3D reads them wrongly.
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
_UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5123, 5125, 5126
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
    parts = _geometry(surface, depth.shape)
    if texture is not None:
        parts.append(_Part(data=_jpeg(texture)))
    about = json.loads(job.about.alone(facts))
    document = _document(
        parts,
        about,
        _camera(job.camera.K, depth.shape),
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


def _geometry(surface: Mesh, shape: tuple[int, int]) -> list[_Part]:
    """Positions, normals, texture coordinates and triangles, in this order."""
    height, width = shape
    # The texture's (0, 0) is the outer corner of the top-left pixel, ours its centre.
    places = (surface.pixels + np.float32(0.5)) / np.array([width, height], np.float32)
    return [
        _vectors(surface.points * _TO_GLTF, is_bounded=True),
        _vectors(surface.normals * _TO_GLTF),
        _vectors(places),
        _numbers(surface.triangles, len(surface.points)),
    ]


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


def _vectors(rows: Float32[np.ndarray, "n k"], *, is_bounded: bool = False) -> _Part:
    accessor: dict[str, Any] = {
        "componentType": _FLOAT,
        "count": len(rows),
        "type": f"VEC{rows.shape[1]}",
    }
    if is_bounded:
        accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
    data = rows.astype("<f4").tobytes()
    return _Part(data=data, target=_ARRAY_BUFFER, accessor=accessor)


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
    *,
    with_texture: bool,
) -> dict[str, Any]:
    """The JSON chunk of parts that are ordered as in ``_geometry``, the picture last."""
    views, offset = [], 0
    for part in parts:
        view = {"buffer": 0, "byteOffset": offset, "byteLength": len(part.data)}
        if part.target is not None:
            view["target"] = part.target
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
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"mesh": 0, "name": Path(about["source"]["file"]).stem},
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
