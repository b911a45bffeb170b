"""Bathrooms, desks, corridors and low views: what they are asked to show."""

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.cameras import look
from lab.scenes.renderer import Shot, render, shots

SIZE = (48, 64)
NEW = (Kind.BATHROOMS, Kind.DESKS, Kind.CORRIDORS, Kind.LOW_VIEWS)


def taken(kind: Kind, textures: TextureBank, count: int) -> list[Shot]:
    return [next(shots(seed, textures, SIZE, kind)) for seed in range(count)]


def rolls(views: list[Shot]) -> np.ndarray:
    """Angle of the image's rows to the horizon [degrees]."""
    return np.degrees([np.arctan2(-shot.view.turn[2, 0], -shot.view.turn[2, 1]) for shot in views])


@pytest.mark.parametrize("kind", NEW)
def test_a_frame_is_whole_and_drawn_by_name_alone(kind: Kind, textures: TextureBank) -> None:
    assert renderer.VENUES[kind][1] == 0, "frames of all kinds stay what they were"
    sample = render(3, size=SIZE, textures=textures, kind=kind)
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.depth_valid.all(), "indoors there is no sky"
    assert 0.1 < float(sample.depth.min()) < float(sample.depth.max()) < 40
    again = render(3, size=SIZE, textures=textures, kind=kind)
    np.testing.assert_array_equal(sample.image, again.image)


@pytest.mark.slow
def test_low_views_are_near_the_floor(textures: TextureBank) -> None:
    heights = np.array([shot.view.origin[2] for shot in taken(Kind.LOW_VIEWS, textures, 40)])
    assert heights.min() >= 0.14
    assert heights.max() <= 0.64


@pytest.mark.slow
def test_cameras_in_corridors_are_rolled_more_than_elsewhere(textures: TextureBank) -> None:
    corridors, rooms = (
        np.abs(rolls(taken(kind, textures, 40))) for kind in (Kind.CORRIDORS, Kind.ROOMS)
    )
    assert np.median(corridors) > 3 * np.median(rooms)
    assert np.median(corridors) > 7


@pytest.mark.slow
def test_bathrooms_are_small_and_hold_fixtures(textures: TextureBank) -> None:
    views = taken(Kind.BATHROOMS, textures, 30)
    assert max(max(shot.venue.width, shot.venue.length) for shot in views) <= 4.2
    assert np.median([len(shot.scene.solids) for shot in views]) > 25


@pytest.mark.slow
def test_a_desk_is_within_reach_in_most_views_of_desks(textures: TextureBank) -> None:
    views = taken(Kind.DESKS, textures, 40)
    near = [
        float(np.percentile(look(shot.scene, shot.view, SIZE)[0][1:], 25)) < 1.5 for shot in views
    ]
    assert np.mean(near) > 0.7
