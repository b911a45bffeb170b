"""Scenes whose picture has edges that depth has not: shadows, posters, flares of lamps."""

from dataclasses import replace

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.dice import Dice
from lab.scenes.false_edges import false_edges, is_hidden, shade
from lab.scenes.lens import choose_lens, expose, flaring, stars
from lab.scenes.models import NO_MODELS
from lab.scenes.renderer import render
from lab.scenes.stage import Stage
from rilievo.geometry.normals import normals_from_depth

SIZE = (96, 128)
STRONG = 25
"""Least difference of neighbours [grey levels] that is an edge of the picture."""


def false_share(kind: Kind, textures: TextureBank, frames: int) -> float:
    """Share of the strong edges of pictures that have no step of depth of 4% within 2 pixels."""
    strong, false = 0, 0
    for seed in range(frames):
        sample = render(seed, size=SIZE, textures=textures, kind=kind)
        grey = sample.image.mean(axis=2)
        assert sample.depth is not None
        depth = np.log(np.where(sample.depth > 0, sample.depth, 1e3))
        near = np.zeros(SIZE, bool)
        for axis in (0, 1):
            step = np.abs(np.diff(depth, axis=axis)) > 0.04
            for shift in range(-2, 4):
                moved = np.roll(np.pad(step, [(0, 1 - axis), (0, axis)]), shift, axis)
                near |= moved
        edges = np.abs(np.diff(grey, axis=1))[:, :] > STRONG
        strong += int(edges.sum())
        false += int((edges & ~near[:, 1:]).sum())
    return false / max(strong, 1)


def test_a_frame_is_whole_and_drawn_by_name_alone(textures: TextureBank) -> None:
    assert renderer.VENUES[Kind.FALSE_EDGES][1] == 0, "frames of all kinds stay what they were"
    one, other = (render(3, size=SIZE, textures=textures, kind=Kind.FALSE_EDGES) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert one.depth is not None
    assert one.depth.max() < 60
    np.testing.assert_allclose(
        normals_from_depth(one.depth + 1e-6, one.camera.K)[0].shape[1:], SIZE
    )


@pytest.mark.slow
def test_most_edges_of_its_pictures_are_none_of_depth(textures: TextureBank) -> None:
    here, elsewhere = (false_share(kind, textures, 24) for kind in (Kind.FALSE_EDGES, Kind.STREETS))
    assert here > 0.55
    assert here > elsewhere + 0.2


def test_what_throws_shadows_is_out_of_sight(textures: TextureBank) -> None:
    sun = np.array([0.3, -0.6, 0.8])
    sun /= np.linalg.norm(sun)
    for seed in range(20):
        stage = Stage(Dice(str(seed)), textures.groups, NO_MODELS)
        shade(stage, np.array([0.5, 4.0, 1.0]), sun, 1.6)
        [caster] = stage.solids()[:1]
        assert is_hidden(np.asarray(caster["centre"], float), 1.6)
        assert not is_hidden(np.array([0.0, 3.0, 1.5]), 1.6), "what stands before the camera"


def test_its_builders_fit_in_a_scene(textures: TextureBank) -> None:
    flares = {
        false_edges(Stage(Dice(f"{k}/0"), textures.groups, NO_MODELS)).flares for k in range(30)
    }
    assert flares == {False, True}


def test_lamps_flare_in_stars_and_nothing_else_does() -> None:
    draw = np.random.default_rng(0)
    lens = replace(choose_lens(Dice("1"), draw), heading=0.0, grain=0.0)
    star = flaring(lens, Dice("2"))
    light = np.full((81, 81, 3), 0.2, np.float32)
    np.testing.assert_allclose(stars(light, star), 0, atol=1e-6)
    light[40, 40] = 20
    rays = stars(light, star)[..., 0]
    assert rays.min() > -1e-6
    assert rays[40, 45:50].min() > 0, "along the heading"
    assert rays[37, 52] < 1e-6, "between two rays"
    assert rays[40, 44] > rays[40, 50], "it fades"
    plain, flared = (
        expose(light, each, np.float32(0.2), np.random.default_rng(1)) for each in (lens, star)
    )
    assert flared[40, 45].mean() > plain[40, 45].mean() + 20
