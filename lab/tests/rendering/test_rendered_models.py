"""Models in rendered scenes: their files, their triangles, and rooms furnished with them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.scenes import Kind, TextureBank, command, make_textures, render
from lab.scenes.buffers import View
from lab.scenes.chance import scattered_chance
from lab.scenes.dice import Dice
from lab.scenes.furnishing import put
from lab.scenes.model_files import with_models
from lab.scenes.models import Use, mesh_of
from lab.scenes.renderer import as_sample, draw_scene, shots
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import MESH, Light, Scene
from lab.scenes.stage import Stage
from lab.scenes.trees import MISS, hit_mesh
from lab.scenes.venue import outdoor_ambience
from rilievo.errors import InputError, OptionError
from rilievo.records.sample import Sample

SIZE = (40, 60)
RED, GREEN = (220, 20, 20), (20, 220, 20)
TURN = turn_z(0.5) @ turn_x(0.2)
MIDDLE, HALF = np.array([0.3, 3.0, 0.8]), np.array([0.7, 0.35, 0.45])

BOX = """mtllib box.mtl
v 0 0 0\nv 2 0 0\nv 2 1 0\nv 0 1 0\nv 0 0 1.5\nv 2 0 1.5\nv 2 1 1.5\nv 0 1 1.5
vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1
usemtl painted
f 1/1 2/2 6/3 5/4
usemtl plain
f 4 3 2 1\nf 5 6 7 8\nf 2 3 7 6\nf -5 -8 -4 -1\nf 3 4 8 7
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box of 2 × 1 × 1.5 m, red below and green above in front, and a layout of three."""
    path = tmp_path_factory.mktemp("models")
    (path / "box.obj").write_text(BOX)
    (path / "box.mtl").write_text(
        "newmtl painted\nmap_Kd front.png\nnewmtl plain\nKd 0.2 0.2 0.9\n"
    )
    front = np.zeros((64, 64, 3), np.uint8)
    front[:32], front[32:] = GREEN, RED
    Image.fromarray(front).save(path / "front.png")
    rooms = [
        {"model": name, "pose": [x, 2 * x, 0, 0, 0, x], "scale": [1, 1, 1]}
        for name, x in (("box", 0), ("box", 2), ("gone", 3), ("box", 4))
    ]
    (path / "layouts.json").write_text(json.dumps({"hall": rooms}))
    return path


@pytest.fixture(scope="module")
def bank(folder: Path) -> TextureBank:
    return with_models(make_textures([], share=0.01), [folder])


def shoot(stage: Stage, bank: TextureBank) -> Sample:
    """A frame from one metre above the origin along +y, with a lamp beside the camera."""
    lamp = Light(position=np.array([0.0, 0.0, 1.3]), distant=False, size=0.01, colour=np.ones(3))
    scene = Scene(
        solids=stage.solids(), materials=stage.materials(), lights=(lamp,),
        ambience=outdoor_ambience(Dice(0)), sky=np.full((4, 8, 3), 0.5, np.float32),
        meshes=bank.models.meshes,
    )  # fmt: skip
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], np.float32)
    view = View(np.array([0, 0, 1], np.float32), turn, 50.0, 29.5, 19.5)
    buffers = draw_scene(scene, view, bank, SIZE, scattered_chance(*SIZE))
    colours = np.clip(255 * buffers.colour, 0, 255).astype(np.uint8)
    return as_sample("test", colours, buffers, view)


def test_a_box_of_triangles_is_the_box_of_the_equation(bank: TextureBank) -> None:
    frames = []
    for is_mesh in (False, True):
        stage = Stage(Dice(0), bank.groups, bank.models)
        grey = stage.plain((0.4, 0.4, 0.4))
        for _ in bank.models.every["box"].skins:
            stage.plain((0.4, 0.4, 0.4))
        stage.ground(grey)
        if is_mesh:
            stage.mesh(bank.models.every["box"].tree, MIDDLE, HALF, grey, TURN)
        else:
            stage.box(MIDDLE, 2 * HALF, grey, TURN)
        frames.append(shoot(stage, bank))
    box, mesh = frames
    assert box.depth is not None
    assert mesh.depth is not None
    assert box.normals is not None
    assert mesh.normals is not None
    assert (box.depth > 0).mean() > 0.5
    np.testing.assert_allclose(mesh.depth, box.depth, rtol=1e-4)
    np.testing.assert_allclose(mesh.normals, box.normals, atol=1e-4)
    # The light is that of the same faces, with the same random rays.
    np.testing.assert_allclose(mesh.image.astype(int), box.image.astype(int), atol=2)


def test_a_model_stands_on_the_floor_in_its_own_colours(bank: TextureBank) -> None:
    stage = Stage(Dice(3), bank.groups, bank.models)
    stage.ground(stage.plain((0.1, 0.1, 0.1)))
    box = bank.models.every["box"]
    put(stage, box, (0.0, 4.0, 0.0))
    mesh = stage.solids()[-1]
    assert mesh["centre"][2] == pytest.approx(mesh["half"][2])
    assert 2 * mesh["half"] == pytest.approx([2.0, 1.0, 1.5], rel=0.2)
    image = shoot(stage, bank).image.astype(int)
    upper, lower = image[15, 30], image[24, 30]
    assert upper[1] > 3 * upper[0]
    assert lower[0] > 3 * lower[1]


def test_a_ray_meets_the_nearest_of_many_triangles() -> None:
    draw = np.random.default_rng(0)
    faces = np.arange(900).reshape(-1, 3)
    vertices = draw.uniform(-1, 1, (300, 1, 3)) + draw.normal(0, 0.15, (300, 3, 3))
    vertices = vertices.reshape(-1, 3)
    none = np.zeros(300, np.int64)
    meshes = mesh_of(vertices, faces, np.zeros((300, 3, 2)), none, np.array([False]))
    rows = meshes.triangles
    corner, first, second = rows["corner"], rows["edges"][:, 0], rows["edges"][:, 1]
    met = 0
    for _ in range(200):
        origin = draw.uniform(-2, 2, 3)
        way = draw.uniform(-0.7, 0.7, 3) - origin
        # Cramer's rule for origin + t way = corner + u first + v second, for all triangles.
        sides = np.stack([np.broadcast_to(-way, corner.shape), first, second], axis=-1)
        t, u, v = np.linalg.solve(sides, (origin - corner)[..., None])[..., 0].T
        inside = (u > 0) & (v > 0) & (u + v < 1) & (t > 1e-3) & (t < 100)
        expected = t[inside].min() if inside.any() else MISS
        got, face = hit_mesh(meshes, 0, *origin, *way, 1e-3, 100.0)
        assert got == pytest.approx(expected, rel=1e-4)
        met += inside.any()
        assert not inside.any() or np.flatnonzero(inside)[t[inside].argmin()] == face
    assert 40 < met < 200


def test_smooth_pieces_end_at_sharp_edges(bank: TextureBank) -> None:
    """The two triangles of a side of a box are one piece, and its six sides are six."""
    triangles = bank.models.meshes.triangles
    assert len(triangles) == 12
    assert sorted(np.unique(triangles["patch"], return_counts=True)[1]) == [2] * 6


def test_furnished_rooms_have_the_models(bank: TextureBank) -> None:
    assert bank.models.every["box"].use is Use.FLOOR
    assert len(bank.models.layouts["hall"]) == 3
    first, again, other = (
        render(seed, size=SIZE, textures=bank, kind=Kind.FURNISHED) for seed in (1, 1, 2)
    )
    assert (first.image == again.image).all()
    assert (first.image != other.image).any()


def test_models_join_what_is_drawn_by_chance(bank: TextureBank) -> None:
    """Many of the solids in close views of rooms are models."""
    seeds = range(8)
    shot_at = [next(shots(seed, bank, SIZE, Kind.NEAR_VIEWS)) for seed in seeds]
    assert sum((shot.scene.solids["shape"] == MESH).any() for shot in shot_at) >= 5


@pytest.mark.parametrize("damage", ["cut", "texture", "empty"])
def test_folders_that_are_no_models_are_refused(
    folder: Path, bank: TextureBank, tmp_path: Path, damage: str
) -> None:
    if damage == "cut":
        (tmp_path / "a.npz").write_bytes(b"PK\x03\x04")
    elif damage == "texture":
        for name in ("box.obj", "box.mtl"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match=tmp_path.name):
        with_models(bank, [tmp_path])


def test_furnished_rooms_without_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scenes", "--kind", "furnished"])
    with pytest.raises(OptionError, match="--models"):
        command.plan_of(command.parse())
