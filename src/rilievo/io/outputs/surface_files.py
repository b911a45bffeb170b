"""``rilievo.save_surface``: the file of a mesh or of a point cloud, without a prediction."""

from pathlib import Path

import numpy as np

from rilievo.errors import InputError, OptionError
from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.outputs.formats.gltf import AXES, TriangleMesh, write_gltf
from rilievo.io.outputs.formats.ply import write_ply_mesh, write_ply_points
from rilievo.io.outputs.sidecar import OUR_AXES

_TO_GLTF = np.array([1, -1, -1], np.float32)
"""Factors from the camera frame, y down and z forward, to the axes of glTF, y up and z back."""


def save_surface(surface: Mesh | PointCloud, path: str | Path) -> Path:
    """Write a mesh or a point cloud to a file; an existing file is replaced.

    Args:
        surface: Mesh or point cloud in the camera frame.
        path: File with the suffix .ply, or .glb for a mesh.

    Raises:
        OptionError: If the path has another suffix.
        InputError: If the surface has no point.
        OutputError: If the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    allowed_suffixes = (".ply", ".glb") if isinstance(surface, Mesh) else (".ply",)
    if suffix not in allowed_suffixes:
        surface_type = type(surface).__name__
        raise OptionError(
            f"a {surface_type} can only be saved as {' or '.join(allowed_suffixes)}, got "
            f"'{path.name}'"
        )
    if not len(surface.points):
        raise InputError("the surface is empty, so there is nothing to write", path=path.name)

    make_folder(path.parent)
    with replacing(path) as part:
        if isinstance(surface, PointCloud):
            write_ply_points(part, surface, [f"axes: {OUR_AXES}"])
        elif suffix == ".ply":
            write_ply_mesh(part, surface, [f"axes: {OUR_AXES}"])
        else:
            mesh_in_gltf_axes = TriangleMesh(
                points=surface.points * _TO_GLTF,
                normals=surface.normals * _TO_GLTF,
                triangles=surface.triangles,
                colours=surface.colours,
            )
            write_gltf(part, mesh_in_gltf_axes, name=path.stem, about={"axes": AXES})
    return path
