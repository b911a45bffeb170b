"""A mesh with a colour at every vertex, as binary glTF 2.0 or as binary PLY."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8, UInt16

from rilievo.io.outputs.formats.glb import Part, chunk_of, corners, vectors, write_glb

SUFFIXES = (".glb", ".ply")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColouredMesh:
    """A triangle mesh in the world frame.

    Attributes:
        points: Vertices.
        normals: Unit normals, towards the side from which the surface was seen.
        colours: RGB of the vertices.
        triangles: Numbers of their corners, counter-clockwise as seen from the side of the normals.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]

    def turned(self, R: Float64[np.ndarray, "3 3"]) -> "ColouredMesh":
        """The same mesh in a frame that is turned about the origin: points become R p."""
        return ColouredMesh(
            points=(self.points @ R.T).astype(np.float32),
            normals=(self.normals @ R.T).astype(np.float32),
            colours=self.colours,
            triangles=self.triangles,
        )


def write_coloured_glb(
    path: Path, mesh: ColouredMesh, *, name: str, about: Mapping[str, Any]
) -> None:
    """Write a mesh, unlit, since its colours are those of photographs.

    Args:
        path: File to write.
        mesh: Mesh in glTF's axes: x right, y up, z towards the viewer.
        name: Name of the mesh in viewers.
        about: Facts for ``asset.extras.rilievo``.
    """
    parts = [
        vectors(mesh.points, is_bounded=True),
        vectors(mesh.normals),
        vectors(_linear(mesh.colours)),
        corners(mesh.triangles, len(mesh.points)),
    ]
    write_glb(path, parts, _document(parts, name, about))


def write_coloured_ply(path: Path, mesh: ColouredMesh, comments: list[str]) -> None:
    """Write a mesh with x y z, nx ny nz, red green blue, and triangles.

    Args:
        path: File to write.
        mesh: Mesh; its axes are not changed.
        comments: Lines of the header.
    """
    from plyfile import PlyData, PlyElement

    columns = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    columns += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.empty(len(mesh.points), columns)
    for axis, letter in enumerate("xyz"):
        rows[letter] = mesh.points[:, axis]
        rows[f"n{letter}"] = mesh.normals[:, axis]
    for channel, colour in enumerate(("red", "green", "blue")):
        rows[colour] = mesh.colours[:, channel]
    faces = np.empty(len(mesh.triangles), [("vertex_indices", "<i4", (3,))])
    faces["vertex_indices"] = mesh.triangles
    elements = [PlyElement.describe(rows, "vertex"), PlyElement.describe(faces, "face")]
    with path.open("wb") as file:
        PlyData(elements, byte_order="<", comments=comments).write(file)


def _linear(colours: UInt8[np.ndarray, "n 3"]) -> UInt16[np.ndarray, "n 4"]:
    """Colours as glTF has them at vertices: linear, not sRGB (IEC 61966-2-1), with an opacity."""
    level = np.arange(256) / 255
    table = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear: Float32[np.ndarray, "n 3"] = table[colours].astype(np.float32)
    opaque = np.ones((len(colours), 1), np.float32)
    return np.rint(np.concatenate([linear, opaque], axis=1) * 65535).astype(np.uint16)


def _document(parts: list[Part], name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    chunk = chunk_of(parts)
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    surface = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    material = {
        "pbrMetallicRoughness": surface,
        "doubleSided": True,
        "extensions": {"KHR_materials_unlit": {}},
    }
    return {
        "asset": {"version": "2.0", "generator": "rilievo", "extras": {"rilievo": about}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [material],
        "accessors": chunk.accessors,
        "bufferViews": chunk.views,
        "buffers": [{"byteLength": chunk.length}],
    }
