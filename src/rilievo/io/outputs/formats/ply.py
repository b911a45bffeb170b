"""Binary PLY of points or a mesh: x y z, nx ny nz, red green blue.

Points stay in our camera frame and unit, as the header states.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, UInt8
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
from rilievo.io.outputs.formats.gltf import TriangleMesh
from rilievo.io.outputs.sidecar import OUR_AXES, FileFacts
from rilievo.io.outputs.surface_points import surface_points
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

# Readers built on RPly fail or crash above 1,023 characters a line.
_LONGEST = 200
_FACE = np.dtype([("count", "u1"), ("vertex_indices", "<i4", (3,))])
"""Row of a triangle: the number of its corners, and the corners."""
_FACE_PROPERTIES = ("property list uchar int vertex_indices",)


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the points of the surface."""
    cloud, facts = surface_points(
        job, depth, camera, form="a point cloud", holds="points of the surface"
    )
    write_ply_points(job.path, cloud, header_comments(job, facts))
    return facts


def write_ply_points(path: Path, cloud: PointCloud, comments: list[str]) -> None:
    """Write points, with colours if they have some."""
    vertices = _vertex_rows(cloud.points, cloud.normals, cloud.colours)
    _write_elements(path, comments, {"vertex": vertices})


def write_ply_mesh(path: Path, mesh: TriangleMesh | Mesh, comments: list[str]) -> None:
    """Write a mesh, with colours if it has some; its axes stay."""
    vertices = _vertex_rows(mesh.points, mesh.normals, mesh.colours)
    faces = np.empty(len(mesh.triangles), _FACE)
    faces["count"] = 3
    faces["vertex_indices"] = mesh.triangles
    _write_elements(path, comments, {"vertex": vertices, "face": faces})


def _write_elements(path: Path, comments: list[str], elements: Mapping[str, np.ndarray]) -> None:
    lines = []
    for name, rows in elements.items():
        lines.append(f"element {name} {len(rows)}")
        lines += _FACE_PROPERTIES if rows.dtype == _FACE else _scalar_properties(rows.dtype)
    with path.open("wb") as file:
        file.write(ply_header(comments, lines))
        for rows in elements.values():
            file.write(rows.data)


def _scalar_properties(columns: np.dtype) -> list[str]:
    """Header's lines of columns that hold one number each."""
    types = {np.dtype("<f4"): "float", np.dtype("u1"): "uchar"}
    return [f"property {types[columns[name]]} {name}" for name in columns.names or ()]


def ply_header(comments: list[str], elements: list[str]) -> bytes:
    """Header of a little-endian binary PLY (Turk, The PLY Polygon File Format, 1994).

    Args:
        comments: Texts of the comments, a line each.
        elements: The lines of the elements and of their properties.
    """
    lines = (
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {comment}" for comment in comments),
        *elements,
        "end_header",
    )
    return ("\n".join(lines) + "\n").encode("ascii")


def header_comments(job: WriteJob, facts: FileFacts) -> list[str]:
    """Comments of the header: unit, axes, and the JSON in pieces."""
    return [
        f"unit: {job.depth_facts.unit} ({job.depth_facts.meaning})",
        f"axes: {OUR_AXES}",
        *json_comments(job.about.embedded_json(facts)),
    ]


def json_comments(text: str) -> list[str]:
    """Comments ``rilievo: ...`` with a JSON in pieces."""
    return [f"rilievo: {piece}" for piece in _json_pieces(text)]


def _json_pieces(text: str) -> Iterator[str]:
    """Pieces without outer spaces, which readers strip."""
    while len(text) > _LONGEST:
        ends = range(_LONGEST, 0, -1)
        end = next((n for n in ends if " " not in text[n - 1 : n + 1]), _LONGEST)
        yield text[:end]
        text = text[end:]
    yield text


def _vertex_rows(
    points: Float32[np.ndarray, "n 3"],
    normals: Float32[np.ndarray, "n 3"],
    colours: UInt8[np.ndarray, "n 3"] | None,
) -> np.ndarray:
    columns = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    if colours is not None:
        columns += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.empty(len(points), columns)
    for axis, name in enumerate("xyz"):
        rows[name] = points[:, axis]
        rows[f"n{name}"] = normals[:, axis]
    if colours is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            rows[name] = colours[:, channel]
    return rows
