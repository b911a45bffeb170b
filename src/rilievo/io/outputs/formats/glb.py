"""The output ``glb``: a textured mesh of a photograph."""

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Matrix, Pixels
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.meshes import mesh, surface_step
from rilievo.io.outputs.formats.gltf import AXES, Texture, TriangleMesh, write_gltf
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.sky import surface_pixels
from rilievo.io.outputs.sky_backdrop import join_meshes, sky_backdrop
from rilievo.io.outputs.surface_points import mesh_facts
from rilievo.io.outputs.surface_texture import photo_coordinates, surface_texture
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.photographs.photo import shrink_to_image
from rilievo.records.depth_map import DepthKind, DepthMap

NO_METRES = "arbitrary, not metres: the depth is known only up to scale"
"""Unit that a file states for relative depth, in a format whose unit is the metre."""

_JPEG_QUALITY = 90

_FLATNESS = 0.004
"""Relative change of depth up to which triangles are joined; networks are ten times less exact."""
_MAX_POINTS = 26_000  # of a mesh; a larger surface is made coarser
_TO_GLTF = np.array([1, -1, -1], np.float32)
"""Factors from the camera frame, y down and z forward, to the axes of glTF, y up and z back."""

_MESH_OUTPUTS = ("glb", "usdz")
"""Outputs that are made from the same mesh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TexturedMesh:
    """Textured surface in glTF's axes, and the description of its file."""

    mesh: TriangleMesh
    file_facts: FileFacts


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the surface as binary glTF, textured if there is a photograph."""
    textured = textured_mesh(job, depth, camera)
    # glTF can only describe pinhole cameras. The surface is right without a camera, too.
    is_pinhole = isinstance(camera.lens, Pinhole)
    write_gltf(
        job.path,
        textured.mesh,
        name=Path(job.sidecar.source.file).stem,
        about=json.loads(job.sidecar.embedded_json(textured.file_facts)),
        camera=_gltf_camera(camera.K, depth.shape) if is_pinhole else None,
        unit="" if depth.kind is DepthKind.METRIC else NO_METRES,
    )
    return textured.file_facts


def textured_mesh(job: WriteJob, depth: DepthMap, camera: Camera) -> TexturedMesh:
    """Make the textured mesh of a surface, or take the one that another output made."""
    cache_key = ("mesh", job.options)
    textured: TexturedMesh | None = job.cache.pop(cache_key, None)
    if textured is None:
        textured = _make_textured_mesh(job, depth, camera)
    is_needed_later = not job.later_outputs.isdisjoint(_MESH_OUTPUTS)
    if is_needed_later:
        job.cache[cache_key] = textured
    return replace(
        textured, file_facts=replace(textured.file_facts, file=job.file, output=job.output)
    )


def _make_textured_mesh(job: WriteJob, depth: DepthMap, camera: Camera) -> TexturedMesh:
    """Make the mesh of a surface in glTF's axes, with the photograph as its texture."""
    options, photo = job.options, job.prediction.photo
    step = surface_step(depth.shape, options.surface_points)
    is_surface = surface_pixels(job.prediction, options.drops)
    surface = mesh(
        depth.depth(),
        camera,
        is_surface,
        hollow=None if photo is None else photo.transparent,
        colours=None if photo is None else photo.pixels,
        normals=job.prediction.normals,
        step=step,
        cut=options.cut,
        flatness=_FLATNESS,
        most=_MAX_POINTS,
        smooth=True,
        backing=options.mesh_backing,
    )
    if not len(surface.triangles):
        raise InputError(
            "no surface is left to write as a mesh: sky, pixels without depth and dropped parts "
            "are left out",
            path=job.sidecar.source.file,
        )
    sky = sky_backdrop(job.prediction, depth.depth()[is_surface], camera, options.drops)
    if sky is not None:
        surface = join_meshes(sky, surface)
    triangle_mesh = TriangleMesh(
        points=surface.points * _TO_GLTF,
        normals=surface.normals * _TO_GLTF,
        triangles=surface.triangles,
        texture_coordinates=photo_coordinates(surface, depth.shape),
    )
    texture_width = None
    if photo is not None:
        small_photo = np.asarray(shrink_to_image(photo, options.texture_side))
        texture = surface_texture(surface, small_photo, depth.shape)
        texture_width = texture.picture.shape[1]
        triangle_mesh = replace(
            triangle_mesh,
            texture_coordinates=texture.coordinates,
            texture=Texture(
                jpeg=_jpeg_bytes(texture.picture),
                wraps_around=camera.lens.goes_round(depth.shape[1]),
            ),
        )
    file_facts = replace(
        job.describe_file("mesh of the surface"),
        unit=job.depth_facts.unit,
        axes=f"{AXES}; the camera is at the origin and looks along -z",
        surface=mesh_facts(job, surface, step=step, texture_width=texture_width),
    )
    return TexturedMesh(mesh=triangle_mesh, file_facts=file_facts)


def _jpeg_bytes(picture: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _gltf_camera(K: Matrix, shape: tuple[int, int]) -> Mapping[str, Any]:
    """Describe a pinhole camera for glTF, whose principal point is always the picture's centre."""
    height, width = shape
    return {
        "type": "perspective",
        "perspective": {
            "aspectRatio": float(width * K[1, 1] / (height * K[0, 0])),
            "yfov": 2 * math.atan(height / (2 * float(K[1, 1]))),
            "znear": 0.01,
        },
    }
