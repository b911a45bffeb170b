"""Kinds of frames that teach outlines: patterns, heads, lattices, leaves, skylines, shadows."""

from collections.abc import Callable

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.casters import MARGIN, hard_sun, is_unseen, stand_caster, throw_shadow
from lab.scenes.dice import Dice
from lab.scenes.heads import cover
from lab.scenes.lattices import painted_lattices
from lab.scenes.leaves import flat_leaves
from lab.scenes.models import NO_MODELS
from lab.scenes.patterns import Draw, Pattern
from lab.scenes.prints import PRINTS
from lab.scenes.renderer import render
from lab.scenes.scene import GROUND, WHOLE
from lab.scenes.skies import dramatic, overcast
from lab.scenes.stage import Stage
from lab.scenes.textured_bodies import body
from lab.scenes.textures import BY_NAME, Texture
from rilievo.records.sample import Sample

SIZE = (48, 64)
KINDS = (
    Kind.TEXTURED_BODIES, Kind.HEADS, Kind.LATTICES, Kind.LEAVES, Kind.SKYLINES,
    Kind.SHADOWED_GROUNDS,
)  # fmt: skip


def stage_of(textures: TextureBank, seed: int) -> Stage:
    return Stage(Dice(str(seed)), textures.groups, NO_MODELS)


def flat_share(sample: Sample) -> tuple[int, int]:
    """Number of strong edges of the picture, and of those across which depth is smooth."""
    assert sample.depth is not None
    depth = np.log(np.where(sample.depth > 0, sample.depth, 1e3))
    edge = np.abs(np.diff(sample.image.mean(axis=2), axis=1))[1:-1, 1:-1] > 25
    # The second difference is 0 where depth is a plane, as seen from near.
    bend = np.zeros(edge.shape)
    for shift in (-1, 0, 1):
        second = np.abs(np.diff(depth, n=2, axis=1))[1:-1]
        bend = np.maximum(bend, np.roll(second, shift, axis=1)[:, : edge.shape[1]])
    return int(edge.sum()), int((edge & (bend < 0.03)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_whole_and_drawn_by_name_alone(kind: Kind, textures: TextureBank) -> None:
    assert renderer.VENUES[kind][1] == 0, "frames of all kinds stay what they were"
    one, other = (render(5, size=SIZE, textures=textures, kind=kind) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert one.depth is not None
    np.testing.assert_array_equal(one.depth, other.depth)
    assert one.depth_valid is not None
    assert one.depth_valid.mean() > 0.15
    assert np.isfinite(one.depth).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", dict.fromkeys(PRINTS))
def test_a_print_repeats_without_a_seam_and_is_strong(
    make: Callable[[Draw], Pattern], seed: int
) -> None:
    sheet = make(np.random.default_rng(seed))
    assert sheet.std() > 0.05
    for axis in (0, 1):
        inside = np.abs(np.diff(sheet, axis=axis)).mean(axis=(1 - axis, 2))
        first, last = np.take(sheet, 0, axis), np.take(sheet, -1, axis)
        assert np.abs(first - last).mean() < 1.3 * inside.max() + 0.02


def test_prints_are_drawn_by_name_alone(textures: TextureBank) -> None:
    stage = stage_of(textures, 1)
    for _ in range(2000):
        stage.material()
    added = {row for use in BY_NAME for row in textures.groups[use]}
    assert not added & set(stage.materials()["texture"].tolist())
    assert min(added) > max(textures.groups[Texture.SPINES]), "older ones keep their rows"


def test_a_body_has_one_pattern_and_no_holes(textures: TextureBank) -> None:
    for seed in range(60):
        stage = stage_of(textures, seed)
        face = stage.material(Texture.PRINT, mix=1.0)
        body(stage, stage.dice.log_uniform(0.1, 9.0), face)
        solids = stage.solids()
        assert (solids["material"] == face).all()
        assert (solids["holes"] == WHOLE).all()


def test_painted_lattices_have_the_depth_of_their_wall(textures: TextureBank) -> None:
    painted = textures.groups[Texture.GRID]
    for seed in range(20):
        stage = stage_of(textures, seed)
        painted_lattices(stage)
        materials, solids = stage.materials(), stage.solids()
        wall = solids[np.isin(materials["texture"][solids["material"]], painted)]
        wall = wall[materials["mix"][wall["material"]] > 0]
        assert len(wall) >= 1
        assert (wall["holes"] == WHOLE).all()


def test_fallen_leaves_are_the_ground(textures: TextureBank) -> None:
    uses = (Texture.LITTER, Texture.FOLIAGE, Texture.GRASS)
    rows = [row for use in uses for row in textures.groups[use]]
    for seed in range(10):
        stage = stage_of(textures, seed)
        flat_leaves(stage)
        solids, materials = stage.solids(), stage.materials()
        [ground] = solids[solids["shape"] == GROUND]
        assert materials[ground["material"]]["texture"] in rows
        assert materials[ground["material"]]["mix"] >= 0.7


@pytest.mark.slow
def test_edges_of_its_pictures_are_less_often_those_of_depth(textures: TextureBank) -> None:
    shares = {}
    for kind in (Kind.TEXTURED_BODIES, Kind.SHADOWED_GROUNDS, Kind.STREETS):
        samples = (render(seed, size=(96, 128), textures=textures, kind=kind) for seed in range(20))
        edges, flat = np.sum([flat_share(sample) for sample in samples], axis=0)
        shares[kind] = flat / edges
    assert shares[Kind.TEXTURED_BODIES] > shares[Kind.STREETS] + 0.05
    assert shares[Kind.SHADOWED_GROUNDS] > shares[Kind.STREETS] + 0.1


def test_headgear_is_on_the_head(textures: TextureBank) -> None:
    for seed in range(20):
        stage = stage_of(textures, seed)
        with stage.frame((1.0, 2.0, 0.3), seed / 3):
            cover(stage, stage.world((0.0, -0.1, 1.6)))
            skull = stage.world((0.0, -0.01, 1.635))
        away = np.linalg.norm(stage.solids()["centre"] - skull, axis=1)
        assert away.max() < 0.35
        assert away.min() < 0.08


def test_casters_are_out_of_sight(textures: TextureBank) -> None:
    count = 0
    for seed in range(40):
        stage = stage_of(textures, seed)
        sun = hard_sun(stage, behind=seed % 2 == 0, low=seed % 3 == 0)
        assert len(stage.lights) == 1
        place = np.array([0.3, 4.0, 0.0])
        assert throw_shadow(stage, place, sun, 1.6, -0.2, 0.5) is bool(len(stage.solids()))
        assert all(is_unseen(each["centre"], 0.0, 1.6, -0.2) for each in stage.solids())
        before = len(stage.solids())
        if stand_caster(stage, 6.0, sun, 1.6, -0.3):
            count += 1
            assert len(stage.solids()) > before
    assert count > 10
    ahead = np.array([0.0, 4.0 * np.cos(-0.2), 1.6 + 4.0 * np.sin(-0.2)])
    assert not is_unseen(ahead, 0.0, 1.6, -0.2)
    beside = np.array([4.0 * np.tan(MARGIN + 0.1), 4.0, 1.6])
    assert is_unseen(beside, 0.0, 1.6, 0.0)
    assert not is_unseen(beside, 2.0, 1.6, 0.0), "a part of it would be in sight"


def test_skies_of_skylines_are_of_every_brightness() -> None:
    skies = [dramatic(np.random.default_rng(seed)) for seed in range(40)]
    levels = [float(np.median(heaven)) for heaven in skies]
    assert skies[0].shape == overcast(np.random.default_rng(0)).shape
    assert min(heaven.min() for heaven in skies) > 0
    assert np.quantile(levels, 0.9) > 4 * np.quantile(levels, 0.1)


def test_half_of_a_skyline_is_sky(textures: TextureBank) -> None:
    shares = []
    for seed in range(16):
        sample = render(seed, size=SIZE, textures=textures, kind=Kind.SKYLINES)
        assert sample.sky is not None
        shares.append(sample.sky.mean())
    assert np.median(shares) > 0.45
