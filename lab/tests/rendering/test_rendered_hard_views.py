"""Kinds of views that layout gets wrong: cars, occluders, floors, foregrounds, dark, corridors."""

from dataclasses import replace

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.cameras import is_covered, look
from lab.scenes.car_streets import Crossing, Street, Surroundings
from lab.scenes.dice import Dice
from lab.scenes.frame import glance
from lab.scenes.lens import choose_lens, dimmed
from lab.scenes.models import NO_MODELS
from lab.scenes.renderer import Shot, render, shots
from lab.scenes.scene import GROUND
from lab.scenes.stage import Stage
from lab.scenes.turned_corridors import enclose
from lab.scenes.vehicles import lorry
from lab.scenes.venue import Cover

SIZE = (48, 64)
COUNT = 30
KINDS = (
    Kind.CAR_STREETS, Kind.NEAR_OCCLUDERS, Kind.ROBOT_FLOORS, Kind.CUT_FOREGROUNDS,
    Kind.DARK_ROOMS, Kind.TURNED_CORRIDORS,
)  # fmt: skip


def views_of(
    kind: Kind, textures: TextureBank, size: tuple[int, int] = SIZE, count: int = COUNT
) -> list[Shot]:
    return [next(shots(seed, textures, size, kind)) for seed in range(count)]


def depth_of(shot: Shot, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Depth of a view on a coarse grid [m], not positive in the sky."""
    return look(shot.scene, shot.view, size)[0]


def farthest_solid(shot: Shot, size: tuple[int, int]) -> float:
    """Depth of the farthest solid but for the ground and the hills [m]."""
    depth, row = glance(shot.scene.solids, shot.scene.meshes, shot.view, *size, 2)
    is_near = np.linalg.norm(shot.scene.solids["centre"], axis=1) < 150
    is_thing = is_near & (shot.scene.solids["shape"] != GROUND)
    return float(depth[(row >= 0) & is_thing[row]].max())


def heights(views: list[Shot]) -> np.ndarray:
    """Heights of the cameras above the floor or the ground [m]."""
    return np.array([shot.view.origin[2] for shot in views])


def rolls(views: list[Shot]) -> np.ndarray:
    """Angle of the image's rows to the horizon [degrees]."""
    return np.degrees([np.arctan2(-shot.view.turn[2, 0], -shot.view.turn[2, 1]) for shot in views])


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_whole_and_drawn_by_name_alone(kind: Kind, textures: TextureBank) -> None:
    assert renderer.VENUES[kind][1] == 0, "frames of all kinds stay what they were"
    first, second = (render(7, size=SIZE, textures=textures, kind=kind) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.depth is not None
    assert first.depth_valid is not None
    assert first.depth_valid.mean() > 0.15
    assert np.isfinite(first.depth).all()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 96), (36, 64), (48, 64)])
def test_a_car_looks_along_a_long_road_from_its_lane(
    size: tuple[int, int], textures: TextureBank
) -> None:
    views = views_of(Kind.CAR_STREETS, textures, size)
    height = heights(views)
    assert height.min() >= 1.39
    assert height.max() <= 1.76
    width = np.array([2 * np.arctan(size[1] / 2 / shot.view.focal) for shot in views])
    assert 59 < np.degrees(width.min()) < np.degrees(width.max()) < 101
    assert np.ptp(np.degrees(width)) > 25
    assert np.abs(rolls(views)).max() < 8
    farthest = np.array([farthest_solid(shot, size) for shot in views])
    assert (farthest > 100).mean() > 0.35
    assert np.median(farthest) > 60


@pytest.mark.slow
def test_occluders_cover_a_third_to_two_thirds_and_half_of_the_cameras_are_rolled(
    textures: TextureBank,
) -> None:
    views = views_of(Kind.NEAR_OCCLUDERS, textures)
    near = [(depth > 0) & (depth < 2.3) for depth in map(depth_of, views)]
    assert all(mask.mean() >= 0.3 for mask in near)
    far = [((depth <= 0) | (depth > 1.0)).mean() for depth in map(depth_of, views)]
    assert min(far) >= 0.15, "a part of what is behind is visible"
    assert np.median(far) > 0.4
    turned = np.abs(rolls(views)) > 5
    assert 0.2 < turned.mean() < 0.7


@pytest.mark.slow
def test_robots_see_mostly_floor_in_the_lower_half(textures: TextureBank) -> None:
    views = views_of(Kind.ROBOT_FLOORS, textures)
    height = heights(views)
    assert height.min() >= 0.15
    assert height.max() <= 0.5
    shares = []
    for seed in range(12):
        sample = render(seed, size=SIZE, textures=textures, kind=Kind.ROBOT_FLOORS)
        assert sample.normals is not None
        assert sample.world_T_cam is not None
        up = np.einsum("k,khw->hw", sample.world_T_cam[2, :3], sample.normals)
        shares.append((up[SIZE[0] // 2 :] > 0.99).mean())
    assert np.median(shares) > 0.5


@pytest.mark.slow
def test_foregrounds_are_cut_by_the_lower_border_before_a_room(textures: TextureBank) -> None:
    depths = [depth_of(shot) for shot in views_of(Kind.CUT_FOREGROUNDS, textures)]
    assert np.mean([depth[-1].min() < 1.5 for depth in depths]) > 0.8
    assert np.mean([depth.max() > 2.0 for depth in depths]) > 0.7


@pytest.mark.slow
def test_dark_rooms_are_darker_than_rooms(textures: TextureBank) -> None:
    dark, usual = (
        [
            np.median(render(seed, size=SIZE, textures=textures, kind=kind).image)
            for seed in range(16)
        ]
        for kind in (Kind.DARK_ROOMS, Kind.ROOMS)
    )
    assert np.median(dark) < 0.8 * np.median(usual)
    ambient = [shot.venue.ambience.bright.max() for shot in views_of(Kind.DARK_ROOMS, textures)]
    assert max(ambient) < 0.15
    assert all(len(shot.scene.lights) >= 1 for shot in views_of(Kind.DARK_ROOMS, textures))


@pytest.mark.slow
def test_corridors_are_turned_and_a_wall_fills_half_of_many(textures: TextureBank) -> None:
    views = views_of(Kind.TURNED_CORRIDORS, textures, count=40)
    assert 7 < np.sqrt(np.mean(rolls(views) ** 2)) < 18
    pitch = np.degrees([np.arcsin(shot.view.turn[2, 2]) for shot in views])
    assert pitch.std() > 5
    beside = [shot for shot in views if shot.venue.cover is not None]
    assert 0.3 < len(beside) / len(views) < 0.7
    assert all(0.3 <= (depth_of(shot) < 1.8).mean() <= 0.75 for shot in beside)


def test_a_view_is_covered_by_what_is_near_and_not_by_the_sky(textures: TextureBank) -> None:
    venue = next(shots(0, textures, SIZE, Kind.ROOMS)).venue
    depth = np.full((4, 10), 5.0, np.float32)
    depth[:, :4], depth[:, 4:6] = 0.5, 0.0
    assert is_covered(venue, depth), "it asks for nothing"
    for least, most, expected in ((0.3, 0.6, True), (0.41, 0.6, False), (0.1, 0.39, False)):
        asking = replace(venue, cover=Cover(within=1.0, least=least, most=most))
        assert is_covered(asking, depth) == expected


def test_lanes_are_on_the_own_side_and_crossings_stay_free() -> None:
    crossing = Crossing(x=20.0, width=6.0)
    street = Street(
        surroundings=Surroundings.TOWN, road=14.0, front=10.0, side=-1, crossing=crossing
    )
    assert street.lanes == 2
    np.testing.assert_allclose([street.lane(0), street.lane(1)], [-1.75, -5.25])
    assert street.is_free(0.0, 14.4)
    assert not street.is_free(10.0, 30.0)
    assert not street.is_free(24.0, 26.0)
    assert street.is_free(25.6, 40.0)
    assert replace(street, crossing=None).is_free(10.0, 30.0)


def test_a_lorry_stands_on_the_ground_between_its_ends(textures: TextureBank) -> None:
    for seed in range(10):
        stage = Stage(Dice(seed), textures.groups, NO_MODELS)
        lorry(stage)
        rows = stage.solids()
        turns = np.swapaxes(rows["axes"], 1, 2) * rows["half"][:, None]
        reach = np.einsum("nij,nj->ni", np.abs(turns), rows["half"])
        low, high = (rows["centre"] - reach).min(axis=0), (rows["centre"] + reach).max(axis=0)
        np.testing.assert_allclose(low[2], 0.0, atol=0.01)
        assert 2.5 < high[2] < 4.0
        assert -7.0 < low[0] < high[0] < 7.0, "queues count on it"


def test_a_passage_has_rooms_on_both_sides(textures: TextureBank) -> None:
    stage = Stage(Dice(3), textures.groups, NO_MODELS)
    passage = enclose(stage)
    [row] = stage.solids()
    np.testing.assert_allclose(2 * row["half"][0], passage.width + 2 * passage.room, rtol=1e-6)


def test_a_dim_lens_is_darker_and_noisier() -> None:
    dice, draw = Dice(1), np.random.default_rng(1)
    lenses = [choose_lens(dice, draw) for _ in range(200)]
    dim = [dimmed(lens, dice) for lens in lenses]
    for name, factor in (("brightness", 0.75), ("grain", 1.5)):
        usual, low = (np.mean([getattr(lens, name) for lens in group]) for group in (lenses, dim))
        assert low < factor * usual if name == "brightness" else low > factor * usual
