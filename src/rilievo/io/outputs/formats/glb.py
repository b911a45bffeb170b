"""A mesh textured with the photograph, as binary glTF 2.0 (Khronos, 2021; ISO/IEC 12113:2022).

The axes of glTF are x right, y up, z towards the viewer: (x, -y, -z) of ours. That is a rotation by
180 degrees, so triangles keep their orientation. The material is unlit (KHR_materials_unlit),
because a photograph contains its lighting, and two-sided. Positions and normals are floats:
integers (KHR_mesh_quantization) would save a quarter of a file, and Open3D reads them wrongly.
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
from jaxtyping import Float32, Float64, Int32, UInt16
from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.cameras.pinhole import Pinhole
from rilievo.geometry.surfaces.closing import goes_round
from rilievo.geometry.surfaces.surface import Mesh, mesh, surface_step
from rilievo.io.outputs.dropping import sky_share, surface_pixels
from rilievo.io.outputs.facts import FileFacts, SurfaceFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.types import Camera, DepthMap, Photo

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5123, 5125, 5126
AXES = "x right, y up, z backwards (glTF); the camera is at the origin and looks along -z"
_REPEAT, _CLAMP = 10497, 33071
_JPEG_QUALITY = 90
_FLATNESS = 0.004
"""Relative change of depth allowed for fewer triangles; networks are ten times less exact."""
_TO_GLTF = np.array([1, -1, -1], np.float32)


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
    """Description of the parts of the binary chunk, for the JSON chunk."""

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


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the mesh, with the photograph as its texture where there is one."""
    options, photo = job.options, job.prediction.photo
    step = surface_step(depth.shape, options.surface_points)
    surface = mesh(
        depth.depth(),
        camera,
        surface_pixels(job.prediction, job.options.drop),
        normals=job.prediction.normals,
        step=step,
        cut=options.cut,
        flatness=_FLATNESS,
        smooth=True,
        backing=options.backing,
    )
    if not len(surface.triangles):
        raise InputError(f"{job.about.source.file}: no surface is left to write as a mesh")
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
            sky=sky_share(job.prediction),
            backing=options.backing or None,
            texture_width=None if texture is None else texture.width,
        ),
    )
    parts = _geometry(surface, depth.shape)
    if texture is not None:
        parts.append(Part(data=_jpeg(texture)))
    about = json.loads(job.about.alone(facts))
    document = _document(
        parts,
        about,
        _camera(camera.K, depth.shape) if isinstance(camera.lens, Pinhole) else None,
        with_texture=texture is not None,
        is_round=goes_round(camera, depth.shape[1]),
    )
    write_glb(job.path, parts, document)
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


def _geometry(surface: Mesh, shape: tuple[int, int]) -> list[Part]:
    """Positions, normals, texture coordinates and triangles, in this order."""
    height, width = shape
    # The (0, 0) of the texture is the outer corner of the top-left pixel; ours is its centre.
    places = (surface.pixels + np.float32(0.5)) / np.array([width, height], np.float32)
    return [
        vectors(surface.points * _TO_GLTF, is_bounded=True),
        vectors(surface.normals * _TO_GLTF),
        vectors(places),
        corners(surface.triangles, len(surface.points)),
    ]


def _camera(K: Float64[np.ndarray, "3 3"], shape: tuple[int, int]) -> Mapping[str, Any]:
    """The photograph's camera; glTF has no principal point, so the image's centre is taken."""
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
    parts: Sequence[Part],
    about: Any,
    camera: Mapping[str, Any] | None,
    *,
    with_texture: bool,
    is_round: bool,
) -> dict[str, Any]:
    """The JSON chunk of parts that are ordered as in ``_geometry``, the picture last."""
    chunk = chunk_of(parts)
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
        "accessors": chunk.accessors,
        "bufferViews": chunk.views,
        "buffers": [{"byteLength": chunk.length}],
    }
    if camera is None:
        # glTF has cameras of pinholes alone; the surface of another lens needs none.
        document["scenes"][0]["nodes"].pop()
        document["nodes"].pop()
        del document["cameras"]
    if with_texture:
        across = _REPEAT if is_round else _CLAMP
        sampler = {"magFilter": 9729, "minFilter": 9987, "wrapS": across, "wrapT": _CLAMP}
        document["images"] = [{"bufferView": len(chunk.views) - 1, "mimeType": "image/jpeg"}]
        document["samplers"] = [sampler]
        document["textures"] = [{"source": 0, "sampler": 0}]
    return document
