"""Kinds of frames that teach layout: shadows, pictures, subjects, wires, nights, still lifes."""

import json

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, make_textures, renderer
from lab.scenes.cast_shadows import is_out_of_sight, throw
from lab.scenes.dice import Dice
from lab.scenes.figures import set_figure, somebody
from lab.scenes.lens import defocused
from lab.scenes.model_files import with_models
from lab.scenes.models import NO_MODELS, Use
from lab.scenes.renderer import render
from lab.scenes.rotations import turn_z
from lab.scenes.stage import Stage

SIZE = (48, 64)
KINDS = (
    Kind.CAST_SHADOWS, Kind.FLAT_PICTURES, Kind.SUBJECTS, Kind.WIRES, Kind.NIGHTS, Kind.STILL_LIFES,
)  # fmt: skip


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> TextureBank:
    """A person, a bust and an animal: pyramids whose index says where their heads are."""
    folder = tmp_path_factory.mktemp("figures")
    entries = {}
    for name, tall in (("person", 1.7), ("bust", 0.5), ("animal", 0.8)):
        np.savez(
            folder / f"{name}.npz",
            vertices=np.array([[-0.3, -0.2, 0], [0.3, -0.2, 0], [0, 0.2, 0], [0, 0, tall]]),
            faces=np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]]),
            uv=np.zeros((3, 3, 2)), material=np.zeros(3, int),
            material_color=np.array([[0.5, 0.4, 0.3]]), material_texture=np.array([""]),
            material_mask=np.array([""]), material_opacity=np.ones(1),
            material_name=np.array(["Main"]),
        )  # fmt: skip
        entries[name] = {"category": name, "pose": "standing relaxed"}
    entries["person"]["head"] = [0.0, -0.1, 1.6]
    (folder / "index.json").write_text(json.dumps({"models": entries}))
    return with_models(make_textures([], share=0.01), [folder])


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_whole_and_drawn_by_name_alone(kind: Kind, textures: TextureBank) -> None:
    assert renderer.VENUES[kind][1] == 0, "frames of all kinds stay what they were"
    one, other = (render(5, size=SIZE, textures=textures, kind=kind) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert one.depth is not None
    assert one.depth_valid is not None
    assert one.depth_valid.mean() > 0.15
    assert np.isfinite(one.depth).all()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_have_figures_of_models(kind: Kind, figures: TextureBank) -> None:
    for seed in range(3):
        assert render(seed, size=SIZE, textures=figures, kind=kind).image.any()


def test_a_figure_stands_on_its_feet_and_tells_where_its_head_is(figures: TextureBank) -> None:
    models = figures.models.categories
    stage = Stage(Dice(1), figures.groups, figures.models)
    with stage.frame((1.0, 2.0, 0.0)):
        head = set_figure(stage, models["person"][0], yaw=np.pi)
    [row] = stage.solids()
    scale = row["half"][2] / 0.85
    np.testing.assert_allclose(row["centre"][2], row["half"][2], rtol=1e-5)
    expected = np.array([1.0, 2.0, 0.0]) + scale * (turn_z(np.pi) @ [0.0, -0.1, 1.6])
    np.testing.assert_allclose(head, expected, atol=1e-6)
    assert models["bust"][0].use is None, "cut below, so it stands on no table"
    assert models["person"][0].use is Use.FLOOR


def test_people_are_made_of_solids_where_there_are_no_models(textures: TextureBank) -> None:
    stage = Stage(Dice(2), textures.groups, NO_MODELS)
    assert 1.0 < somebody(stage)[2] < 1.9
    assert len(stage.solids()) > 10


def test_what_throws_shadows_is_out_of_sight(textures: TextureBank) -> None:
    sun = np.array([0.3, -0.6, 0.8]) / np.linalg.norm([0.3, -0.6, 0.8])
    for seed in range(20):
        stage = Stage(Dice(str(seed)), textures.groups, NO_MODELS)
        throw(stage, np.array([0.5, 4.0, 0.0]), sun, 1.6, -0.2)
        nearest = min(float(np.linalg.norm(each["centre"] - (0.5, 4.0, 0.0))) for each in
                      stage.solids())  # fmt: skip
        assert nearest > 0.5
    assert not is_out_of_sight(np.array([0.0, 3.0, 1.5]), 1.6, -0.2), "before the camera"
    assert is_out_of_sight(np.array([0.0, -3.0, 1.5]), 1.6, -0.2), "behind it"


def test_only_what_is_not_in_focus_is_blurred() -> None:
    draw = np.random.default_rng(0)
    colours = draw.random((40, 60, 3), np.float32)
    depth = np.full((40, 60), 2.0, np.float32)
    depth[:, 30:] = 20.0
    depth[:10, 30:] = 0.0
    seen = defocused(colours, depth, 2.0, 3.0)
    np.testing.assert_allclose(seen[:, :20], colours[:, :20], atol=1e-5)
    for part in (np.s_[20:, 40:], np.s_[:5, 40:]):
        assert seen[part].std() < 0.4 * colours[part].std()
    even = np.full((40, 60, 3), 0.3, np.float32)
    np.testing.assert_allclose(defocused(even, depth, 2.0, 3.0), even, atol=1e-3)
