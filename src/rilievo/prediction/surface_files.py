"""Files of a mesh or of points alone, without a prediction."""

from pathlib import Path

import numpy as np

from rilievo.errors import InputError, OptionError
from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.outputs.formats.glb import AXES
from rilievo.io.outputs.formats.gltf import TriangleMesh, write_gltf
from rilievo.io.outputs.formats.ply import write_ply_mesh, write_ply_points
from rilievo.io.outputs.sidecar import OUR_AXES

_TO_GLTF = np.array([1, -1, -1], np.float32)


def save_surface(surface: Mesh | PointCloud, path: str | Path) -> Path:
    """Write a surface in the suffix's format, over an existing file.

    Raises:
        OptionError: If the suffix is not .ply, or .glb for a mesh.
        InputError: If there is no point.
        OutputError: If the system refuses.
    """
    path = Path(path)
    suffix, is_mesh = path.suffix.lower(), isinstance(surface, Mesh)
    if suffix != ".ply" and not (is_mesh and suffix == ".glb"):
        suffixes = ".ply or .glb" if is_mesh else ".ply"
        raise OptionError(f"a {type(surface).__name__} is saved as {suffixes}, got '{path.name}'")
    if not len(surface.points):
        raise InputError("no surface is left to write", path=path.name)
    make_folder(path.parent)
    with replacing(path) as part:
        if isinstance(surface, PointCloud):
            write_ply_points(part, surface, [f"axes: {OUR_AXES}"])
        elif suffix == ".ply":
            write_ply_mesh(part, surface, [f"axes: {OUR_AXES}"])
        else:
            turned = TriangleMesh(
                points=surface.points * _TO_GLTF,
                normals=surface.normals * _TO_GLTF,
                triangles=surface.triangles,
                colours=surface.colours,
            )
            write_gltf(part, turned, name=path.stem, about={"axes": AXES})
    return path
