"""Meshes with colours at their vertices: what is written is what other programs read."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from rilievo.io.outputs.formats.gltf import TriangleMesh, write_gltf
from rilievo.io.outputs.formats.ply import write_ply_mesh
from support.ply_files import read_ply

COLOURS = np.array([[255, 0, 0], [0, 188, 0], [0, 0, 1], [128, 128, 128]], np.uint8)


def tetrahedron() -> TriangleMesh:
    points = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]], np.float32)
    normals = points - points.mean(axis=0)
    return TriangleMesh(
        points=points,
        normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        colours=COLOURS,
        triangles=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
    )


def chunks(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def test_a_glb_keeps_places_and_triangles(tmp_path: Path) -> None:
    about = {"note": "made here"}
    write_gltf(tmp_path / "a.glb", tetrahedron(), name="a", about=about)
    read = trimesh.load(tmp_path / "a.glb").to_geometry()
    np.testing.assert_array_equal(read.bounds, [[0, 0, 0], [2, 2, 2]])
    assert read.volume == pytest.approx(8 / 6)
    assert read.is_watertight
    document, _ = chunks(tmp_path / "a.glb")
    assert document["asset"]["extras"]["rilievo"] == about
    assert "extensionsRequired" not in document


def test_colours_of_a_glb_are_linear(tmp_path: Path) -> None:
    write_gltf(tmp_path / "a.glb", tetrahedron(), name="a", about={})
    document, binary = chunks(tmp_path / "a.glb")
    [primitive] = document["meshes"][0]["primitives"]
    accessor = document["accessors"][primitive["attributes"]["COLOR_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    assert (accessor["type"], accessor["normalized"]) == ("VEC4", True)
    rows = np.frombuffer(binary, "<u2", 16, view["byteOffset"]).reshape(4, 4) / 65535
    assert (rows[:, 3] == 1).all()
    np.testing.assert_allclose(rows[0, :3], [1, 0, 0])
    # 188 of 255 is half of the light, and 1 of 255 is on the straight part of the curve.
    assert rows[1, 1] == pytest.approx(0.503, abs=0.001)
    assert rows[2, 2] == pytest.approx(1 / 255 / 12.92, abs=1e-5)


def test_a_ply_keeps_all(tmp_path: Path) -> None:
    mesh = tetrahedron()
    write_ply_mesh(tmp_path / "a.ply", mesh, ["unit: metre"])
    read = read_ply(tmp_path / "a.ply")
    vertex = read["vertex"]
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1)
    np.testing.assert_array_equal(points, mesh.points)
    found = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
    np.testing.assert_array_equal(found, COLOURS)
    np.testing.assert_array_equal(read["face"]["vertex_indices"], mesh.triangles)
    assert read.comments == ["unit: metre"]


def test_a_turned_mesh_has_turned_normals() -> None:
    R = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mesh, turned = tetrahedron(), tetrahedron().rotate(R)
    np.testing.assert_allclose(turned.points, mesh.points @ R.T, atol=1e-6)
    np.testing.assert_allclose(turned.normals, mesh.normals @ R.T, atol=1e-6)
    np.testing.assert_array_equal(turned.triangles, mesh.triangles)
