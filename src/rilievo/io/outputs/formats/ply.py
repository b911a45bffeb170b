"""Points or a mesh as binary PLY, with normals and colours.

Points stay in rilievo's camera frame and unit, as the header states.
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

_MAX_COMMENT_PIECE = 200
"""Characters of the JSON in a line; readers built on RPly fail above 1,023 characters a line."""
_FACE = np.dtype([("count", "u1"), ("vertex_indices", "<i4", (3,))])
"""Row of a triangle: the number of its corners, and their vertex indices."""
_FACE_PROPERTIES = ("property list uchar int vertex_indices",)


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the points of the surface as PLY."""
    cloud, file_facts = surface_points(
        job, depth, camera, form="a point cloud", holds="points of the surface"
    )
    write_ply_points(job.path, cloud, header_comments(job, file_facts))
    return file_facts


def write_ply_points(path: Path, cloud: PointCloud, comments: list[str]) -> None:
    """Write a point cloud as PLY, with its colours if it has some."""
    vertices = _vertex_rows(cloud.points, cloud.normals, cloud.colours)
    _write_elements(path, comments, {"vertex": vertices})


def write_ply_mesh(path: Path, mesh: TriangleMesh | Mesh, comments: list[str]) -> None:
    """Write a mesh as PLY in its own axes, with its colours if it has some."""
    vertices = _vertex_rows(mesh.points, mesh.normals, mesh.colours)
    faces = np.empty(len(mesh.triangles), _FACE)
    faces["count"] = 3
    faces["vertex_indices"] = mesh.triangles
    _write_elements(path, comments, {"vertex": vertices, "face": faces})


def _write_elements(path: Path, comments: list[str], elements: Mapping[str, np.ndarray]) -> None:
    """Write a header, then the rows of each element; a column is a property of the element."""
    element_lines = []
    for name, rows in elements.items():
        element_lines.append(f"element {name} {len(rows)}")
        is_face = rows.dtype == _FACE
        element_lines += _FACE_PROPERTIES if is_face else _scalar_properties(rows.dtype)
    with path.open("wb") as file:
        file.write(ply_header(comments, element_lines))
        for rows in elements.values():
            file.write(rows.data)


def _scalar_properties(columns: np.dtype) -> list[str]:
    """Declare columns that hold one number each, in lines of the header."""
    types = {np.dtype("<f4"): "float", np.dtype("u1"): "uchar"}
    return [f"property {types[columns[name]]} {name}" for name in columns.names or ()]


def ply_header(comments: list[str], elements: list[str]) -> bytes:
    """Build the header of a little-endian binary PLY (Turk, The PLY Polygon File Format, 1994)."""
    lines = (
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {comment}" for comment in comments),
        *elements,
        "end_header",
    )
    return ("\n".join(lines) + "\n").encode("ascii")


def header_comments(job: WriteJob, file_facts: FileFacts) -> list[str]:
    """List the comments of a file: its unit, its axes, and the embedded JSON in pieces."""
    return [
        f"unit: {job.depth_facts.unit} ({job.depth_facts.meaning})",
        f"axes: {OUR_AXES}",
        *json_comments(job.sidecar.embedded_json(file_facts)),
    ]


def json_comments(text: str) -> list[str]:
    """Write a JSON as comments ``rilievo: ...``, one for each piece."""
    return [f"rilievo: {piece}" for piece in _json_pieces(text)]


def _json_pieces(text: str) -> Iterator[str]:
    """Cut a JSON into pieces that neither begin nor end with a space, which readers strip."""
    while len(text) > _MAX_COMMENT_PIECE:
        end = _piece_end(text)
        yield text[:end]
        text = text[end:]
    yield text


def _piece_end(text: str) -> int:
    """Find the last position for a cut that has no space on either side."""
    for end in range(_MAX_COMMENT_PIECE, 0, -1):
        if " " not in text[end - 1 : end + 1]:
            return end
    return _MAX_COMMENT_PIECE


def _vertex_rows(
    points: Float32[np.ndarray, "n 3"],
    normals: Float32[np.ndarray, "n 3"],
    colours: UInt8[np.ndarray, "n 3"] | None,
) -> np.ndarray:
    """Make the rows of vertices, with columns x y z, nx ny nz, and red green blue if coloured."""
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
