"""Point clouds and meshes as other programs read them."""

import io
import json
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import trimesh
from PIL import Image

import rilievo
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.outputs.formats.ply import json_comments
from rilievo.io.outputs.sidecar import SurfaceFacts, read_sidecar
from rilievo.prediction import Prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.analytic import camera_matrix, pixel_rays, sphere
from support.ply_files import read_ply
from support.predictions import MADE_BY, prediction, said_beside

CENTRE, RADIUS = np.array([0.3, -0.2, 3.0]), 0.8
HEIGHT, WIDTH = 60, 80
SKIMAGE = Path(skimage.__file__).parent / "data"


def ball(*, kind: DepthKind = DepthKind.METRIC, with_normals: bool = True) -> Prediction:
    """A sphere that wears red growing to the right and green growing downwards."""
    K = camera_matrix(HEIGHT, WIDTH, 70.0)
    view = sphere(pixel_rays(K, HEIGHT, WIDTH), CENTRE, RADIUS)
    depth = np.where(view.seen, view.depth, np.nan).astype(np.float32)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 3 * np.arange(WIDTH), 4 * np.arange(HEIGHT)[:, None]
    normals = np.where(view.seen, view.normals, [[[0]], [[0]], [[-1]]]).astype(np.float32)
    return Prediction(
        depth_or_none=DepthMap(values=depth, kind=kind, valid=view.seen),
        normals=normals if with_normals else None,
        camera=Camera(K=K, source=CameraSource.GIVEN),
        photo=Photo(pixels=pixels, name="Küche.jpg"),
        made_by=MADE_BY,
    )


def surface_facts(folder: Path) -> SurfaceFacts:
    [facts] = read_sidecar(folder / "photo.json").files
    assert facts.surface is not None
    return facts.surface


def write(folder: Path, name: str, given: Prediction, **options: object) -> Path:
    return save(given, folder / "photo", [name], SaveOptions(**options))[0]


def glb_parts(path: Path) -> tuple[dict, bytes]:
    """The two chunks, after everything that the container's specification asks of them."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    json_length, json_type = struct.unpack_from("<I4s", data, 12)
    binary = 20 + json_length
    bin_length, bin_type = struct.unpack_from("<I4s", data, binary)
    assert (json_type, bin_type) == (b"JSON", b"BIN\0")
    assert json_length % 4 == 0
    assert bin_length % 4 == 0
    assert binary + 8 + bin_length == len(data)
    return json.loads(data[20:binary]), data[binary + 8 :]


def accessors(document: dict, binary: bytes) -> list[np.ndarray]:
    """All accessors by glTF 2.0, 3.6.2; vertices are floats, as readers without extensions need."""
    sizes = {"VEC3": 3, "VEC2": 2, "SCALAR": 1}
    kinds = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
    arrays = []
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        kind, size = np.dtype(kinds[accessor["componentType"]]), sizes[accessor["type"]]
        count = accessor["count"]
        assert view["byteLength"] == kind.itemsize * size * count
        rows = np.frombuffer(binary, kind, size * count, view["byteOffset"]).reshape(count, size)
        arrays.append(rows)
    return arrays


@pytest.mark.parametrize("with_normals", [True, False])
def test_a_ply_is_the_sphere_with_its_normals_and_colours(
    tmp_path: Path, with_normals: bool
) -> None:
    path = write(tmp_path, "ply", ball(with_normals=with_normals))
    vertex = read_ply(path)["vertex"]
    names = ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue")
    assert vertex.dtype.names == names
    points = np.stack([vertex[name] for name in "xyz"], axis=1)
    normals = np.stack([vertex[f"n{name}"] for name in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(points - CENTRE, axis=1), RADIUS, atol=2e-6)
    cosine = (normals * (points - CENTRE) / RADIUS).sum(axis=1)
    assert np.median(cosine) > 0.9995
    u, v = points[:, :2].T / points[:, 2] * 70.0 + [[(WIDTH - 1) / 2], [(HEIGHT - 1) / 2]]
    np.testing.assert_allclose(vertex["red"], 3 * u, atol=0.01)
    np.testing.assert_allclose(vertex["green"], 4 * v, atol=0.01)
    assert surface_facts(tmp_path).points == len(points)


def test_trimesh_reads_the_ply_too(tmp_path: Path) -> None:
    cloud = trimesh.load(write(tmp_path, "ply", ball()))
    np.testing.assert_allclose(np.linalg.norm(cloud.vertices - CENTRE, axis=1), RADIUS, atol=2e-6)
    assert cloud.colors.shape == (len(cloud.vertices), 4)


def test_a_ply_states_unit_frame_and_everything_else(tmp_path: Path) -> None:
    path = write(tmp_path, "ply", ball(kind=DepthKind.UP_TO_SCALE))
    unit, axes, *everything = read_ply(path).comments
    assert unit.startswith("unit: arbitrary (depth along the optical axis times one unknown")
    assert axes.startswith("axes: x right, y down, z forward")
    beside = said_beside(tmp_path)
    assert json.loads("".join(each.removeprefix("rilievo: ") for each in everything)) == beside


def test_no_line_of_a_ply_header_is_too_long_for_readers_built_on_rply(tmp_path: Path) -> None:
    path = write(tmp_path, "ply", ball())
    header, _, _ = path.read_bytes().partition(b"end_header")
    lines = header.split(b"\n")
    assert len(lines) > 15
    assert max(map(len, lines)) < 255


def test_a_ply_without_a_photograph_has_no_colours(tmp_path: Path) -> None:
    path = write(tmp_path, "ply", replace(ball(), photo=None))
    assert "red" not in read_ply(path)["vertex"].dtype.names


@pytest.mark.parametrize("name", ["ply", "glb"])
def test_a_large_photograph_is_thinned_out_and_that_is_said(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, prediction(holes=False), surface_points=100)
    facts = surface_facts(tmp_path)
    assert facts.pixel_step == 3
    assert 50 < facts.points <= 100


@pytest.mark.parametrize("name", ["ply", "glb"])
def test_a_backing_is_written_and_said(tmp_path: Path, name: str) -> None:
    """The backing is behind the edge between two walls."""
    given = prediction(holes=False)
    height, width = given.shape
    values = np.full(given.shape, 2, np.float32)
    values[:, width // 2 :] = 3
    steps = replace(given, depth_or_none=replace(given.depth, values=values))
    points = []
    for backing in (0.0, 0.1):
        folder = tmp_path / str(backing)
        folder.mkdir()
        write(folder, name, steps, backing=backing)
        facts = surface_facts(folder)
        assert facts.backing == (backing or None)
        points.append(facts.points)
    # As many columns behind the near wall; the mesh has every sixth point there, at most.
    columns = -(-width // 10)
    added = points[1] - points[0]
    assert height // 6 <= added < columns * height if name == "glb" else added == columns * height


def test_the_sky_is_a_backdrop_of_a_glb_unless_it_is_dropped(tmp_path: Path) -> None:
    given = ball()
    values = np.full(given.shape, 2, np.float32)
    sky = np.zeros(given.shape, bool)
    sky[: HEIGHT // 2] = True
    flat = replace(given, sky=sky, depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC))
    farthest, facts = {}, {}
    for name, drop in (("with", None), ("without", "sky")):
        (tmp_path / name).mkdir()
        document, binary = glb_parts(write(tmp_path / name, "glb", flat, drop=drop))
        points, *_, indices = accessors(document, binary)
        farthest[name] = -points[:, 2].min()
        facts[name] = surface_facts(tmp_path / name)
        depths = -points[indices.reshape(-1, 3), 2]
        backdrop = facts[name].backdrop or 0
        np.testing.assert_allclose(depths[:backdrop], 4)
        np.testing.assert_allclose(depths[backdrop:], 2)
    np.testing.assert_allclose(farthest["with"], 4)
    np.testing.assert_allclose(farthest["without"], 2)
    assert facts["without"].backdrop is None
    assert facts["with"].triangles == facts["with"].backdrop + facts["without"].triangles


@pytest.mark.parametrize("with_photo", [True, False])
def test_a_glb_keeps_to_the_specification(tmp_path: Path, with_photo: bool) -> None:
    given = ball() if with_photo else replace(ball(), photo=None)
    document, binary = glb_parts(write(tmp_path, "glb", given))
    assert document["asset"]["version"] == "2.0"
    [buffer] = document["buffers"]
    assert buffer == {"byteLength": len(binary)}
    end = 0
    for view in document["bufferViews"]:
        assert view["byteOffset"] >= end
        assert view["byteOffset"] % 4 == 0
        end = view["byteOffset"] + view["byteLength"]
    assert end <= len(binary)
    [primitive] = document["meshes"][0]["primitives"]
    arrays = accessors(document, binary)
    positions, normals, places = (
        arrays[primitive["attributes"][name]] for name in ("POSITION", "NORMAL", "TEXCOORD_0")
    )
    accessor = document["accessors"][primitive["attributes"]["POSITION"]]
    assert accessor["min"] == positions.min(axis=0).tolist()
    assert accessor["max"] == positions.max(axis=0).tolist()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=0.01)
    assert places.min() >= 0
    assert places.max() <= 1
    indices = arrays[primitive["indices"]]
    assert len(indices) % 3 == 0
    assert set(indices.ravel()) == set(range(len(positions)))
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert "extensionsRequired" not in document
    [material] = document["materials"]
    textured = "baseColorTexture" in material["pbrMetallicRoughness"]
    assert textured == with_photo == ("images" in document)
    if with_photo:
        view = document["bufferViews"][document["images"][0]["bufferView"]]
        jpeg = binary[view["byteOffset"] :][: view["byteLength"]]
        with Image.open(io.BytesIO(jpeg)) as image:
            assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))


def check_on_the_sphere(away: np.ndarray) -> None:
    """Vertices at pixels lie on it, those of the smooth rim in planes that touch it."""
    off = np.abs(away - RADIUS)
    assert np.percentile(off, 60) < 2e-6
    assert off.max() < 0.01 * RADIUS


@pytest.mark.parametrize("backing", [0, 0.15])
def test_a_glb_is_the_sphere_in_gltfs_axes_facing_the_camera(
    backing: float, tmp_path: Path
) -> None:
    scene = trimesh.load(write(tmp_path, "glb", ball(), backing=backing), process=False)
    [surface] = scene.geometry.values()
    centre = CENTRE * [1, -1, -1]
    [name] = scene.graph.nodes_geometry
    transform, _ = scene.graph[name]
    surface.apply_transform(transform)
    away = np.linalg.norm(surface.vertices - centre, axis=1)
    if backing:
        # A filled mesh makes one step of the ramp at the rim.
        assert np.abs(away - RADIUS).max() < 0.02 * RADIUS
        away = away[np.abs(away - RADIUS) < 0.01 * RADIUS]
        assert len(away) > 0.98 * len(surface.vertices)
    check_on_the_sphere(away)
    # The camera is at the origin.
    assert ((surface.face_normals * surface.triangles_center).sum(axis=1) < 0).all()
    assert ((surface.vertex_normals * surface.vertices).sum(axis=1) < 0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(surface.vertex_normals, axis=1), 1, atol=0.01)
    facts = surface_facts(tmp_path)
    assert (facts.points, facts.triangles) == (len(surface.vertices), len(surface.faces))


def test_the_mesh_wears_the_photograph_in_the_right_place(tmp_path: Path) -> None:
    scene = trimesh.load(write(tmp_path, "glb", ball()), process=False)
    surface = scene.to_mesh()
    x, y, z = surface.vertices.T
    u, v = 70.0 * x / -z + (WIDTH - 1) / 2, 70.0 * -y / -z + (HEIGHT - 1) / 2
    # trimesh counts v from below.
    across, up = surface.visual.uv.T
    np.testing.assert_allclose(across * WIDTH - 0.5, u, atol=0.01)
    np.testing.assert_allclose((1 - up) * HEIGHT - 0.5, v, atol=0.01)
    texture = np.asarray(surface.visual.material.baseColorTexture.convert("RGB"), float)
    columns, rows = np.rint(u).astype(int), np.rint(v).astype(int)
    np.testing.assert_allclose(texture[rows, columns, 0], 3 * columns, atol=12)
    np.testing.assert_allclose(texture[rows, columns, 1], 4 * rows, atol=12)


def test_normals_of_the_mesh_point_out_of_the_sphere(tmp_path: Path) -> None:
    document, binary = glb_parts(write(tmp_path, "glb", ball()))
    place = document["meshes"][0]["primitives"][0]["attributes"]
    arrays = accessors(document, binary)
    normals, points = arrays[place["NORMAL"]], arrays[place["POSITION"]]
    cosine = (normals * (points - CENTRE * [1, -1, -1])).sum(axis=1) / RADIUS
    assert cosine.min() > 0.98


def test_open3d_reads_points_and_mesh(tmp_path: Path) -> None:
    reader = pytest.importorskip("open3d", reason="Open3D is not installed").io
    cloud = reader.read_point_cloud(str(write(tmp_path, "ply", ball())))
    away = np.linalg.norm(np.asarray(cloud.points) - CENTRE, axis=1)
    np.testing.assert_allclose(away, RADIUS, atol=2e-6)
    assert cloud.has_colors()
    assert cloud.has_normals()
    surface = reader.read_triangle_mesh(str(write(tmp_path, "glb", ball(), backing=0)))
    away = np.linalg.norm(np.asarray(surface.vertices) - CENTRE * [1, -1, -1], axis=1)
    check_on_the_sphere(away)


def test_blender_renders_the_photograph_from_its_camera(tmp_path: Path) -> None:
    """The example for Blender, a wall that wears a photograph, and one sample a pixel."""
    blender, python = shutil.which("blender"), os.environ.get("RILIEVO_BPY")
    if blender is None and python is None:
        pytest.skip("Blender is not installed; RILIEVO_BPY names a Python that has bpy")
    given = prediction(holes=False)
    pixels = skimage.data.coffee()[: given.shape[0], : given.shape[1]].copy()
    given = replace(given, photo=Photo(pixels=pixels, name="wall.jpg"))
    path, script = write(tmp_path, "glb", given), tmp_path / "render.py"
    example = Path(__file__).parents[3] / "examples" / "blender_import.py"
    script.write_text(
        # Debian's Blender 3.4 asks numpy for a name that its numpy has no more.
        "import numpy; numpy.bool = bool\n"
        f"exec(open({str(example)!r}).read())\n"
        "scene.render.engine = 'CYCLES'; scene.cycles.samples = 1\n"
        "scene.cycles.use_denoising = False\n"
        f"scene.render.filepath = {str(tmp_path / 'seen.png')!r}\n"
        "bpy.ops.render.render(write_still=True)\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    program = [python, script] if python else [blender, "-b", "--python-exit-code", "1"]
    subprocess.run(
        [*program, *([] if python else ["--python", script]), "--", path],
        check=True,
        capture_output=True,
        env=clean,
    )
    seen = np.asarray(Image.open(tmp_path / "seen.png"), float)
    assert seen.shape[:2] == given.shape
    covered = seen[..., 3] == 255
    assert covered.mean() > 0.8
    assert np.abs(seen[..., :3] - pixels)[covered].mean() < 8


def test_a_photograph_of_vga_size_makes_at_most_two_and_a_half_megabytes(tmp_path: Path) -> None:
    """The pair of motorcycles has the most edges of scikit-image's photographs."""
    pixels = np.asarray(
        Image.open(SKIMAGE / "motorcycle_left.png").convert("RGB").resize((640, 480))
    )
    path = write(tmp_path, "glb", rilievo.predict(pixels))
    assert path.stat().st_size < 2_500_000


def test_a_texture_is_no_larger_than_asked_and_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "glb", ball(), texture_side=40)
    assert surface_facts(tmp_path).texture_width == 40
    [surface] = trimesh.load(path).geometry.values()
    assert surface.visual.material.baseColorTexture.size == (40, 30)


def test_a_glb_has_the_photographs_camera(tmp_path: Path) -> None:
    document, _ = glb_parts(write(tmp_path, "glb", ball()))
    [node] = [each for each in document["nodes"] if "camera" in each]
    assert document["scenes"][0]["nodes"] == [0, document["nodes"].index(node)]
    view = document["cameras"][node["camera"]]["perspective"]
    assert np.tan(view["yfov"] / 2) == pytest.approx(HEIGHT / 2 / 70.0)
    assert view["aspectRatio"] == pytest.approx(WIDTH / HEIGHT)


def test_a_glb_says_what_made_it(tmp_path: Path) -> None:
    document, _ = glb_parts(write(tmp_path, "glb", ball()))
    beside = said_beside(tmp_path)
    assert document["asset"]["extras"]["rilievo"] == beside


def test_no_line_of_a_header_is_too_long_for_other_readers() -> None:
    text = json.dumps({"frames": [f"frame {number:06d}.jpg" for number in range(400)]})
    lines = json_comments(text)
    assert max(map(len, lines)) < 1000, "RPly, which Open3D reads with, ends at 1,024"
    assert "".join(line.removeprefix("rilievo: ") for line in lines) == text
