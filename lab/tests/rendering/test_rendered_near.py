"""Close views: rooms over furniture that is cut by the border of the picture."""

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.cameras import look
from lab.scenes.renderer import Shot, shots

SIZE = (48, 64)
COUNT = 120


@pytest.fixture(scope="module")
def views(textures: TextureBank) -> list[Shot]:
    return [next(shots(seed, textures, SIZE, Kind.NEAR_VIEWS)) for seed in range(COUNT)]


def pitches(views: list[Shot]) -> np.ndarray:
    """Elevation of the optical axes [degrees]."""
    return np.degrees([np.arcsin(shot.view.turn[2, 2]) for shot in views])


@pytest.mark.slow
def test_cameras_look_down_by_up_to_sixty_degrees(views: list[Shot]) -> None:
    pitch = pitches(views)
    assert (pitch < -30).mean() > 0.2
    assert -80 < pitch.min() < -50
    assert (pitch > -10).mean() > 0.15


@pytest.mark.slow
def test_cameras_stand_as_high_as_eyes_tables_and_robots(views: list[Shot]) -> None:
    height = np.array([shot.view.origin[2] for shot in views])
    for low, high in ((0.15, 0.68), (0.68, 1.3), (1.3, 2.0)):
        assert ((low <= height) & (height < high)).mean() > 0.1


@pytest.mark.slow
def test_near_surfaces_reach_the_border_more_often_than_in_rooms(
    views: list[Shot], textures: TextureBank
) -> None:
    rooms = [next(shots(seed, textures, SIZE, Kind.ROOMS)) for seed in range(COUNT)]

    def share_cut(all_shots: list[Shot]) -> float:
        cut = 0
        for shot in all_shots:
            depth, _ = look(shot.scene, shot.view, SIZE)
            border = np.concatenate([depth[-1], depth[:, 0], depth[:, -1]])
            cut += bool(border.min() < 0.9)
        return cut / len(all_shots)

    assert share_cut(views) > share_cut(rooms) + 0.1


def test_near_views_are_drawn_by_name_alone() -> None:
    """Frames of all kinds stay what they were before there were near views."""
    assert renderer.VENUES[Kind.NEAR_VIEWS][1] == 0
