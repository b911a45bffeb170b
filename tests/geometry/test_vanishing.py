"""Focal lengths of rendered boxes come back; pictures without clear vanishing points give none."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rilievo.geometry.segments import find_segments
from rilievo.geometry.vanishing import find_vanishing
from support.lens_boxes import SIZE, boxes, turned


def test_segments_lie_on_the_edges_that_were_drawn() -> None:
    image = Image.new("L", (1600, 1600), 60)
    corners = [(200, 240), (1400, 400), (720, 1300)]
    ImageDraw.Draw(image).polygon(corners, fill=200)
    grey = np.asarray(image.resize((400, 400), Image.Resampling.BOX), np.float64)
    found = find_segments(grey, min_length=30)
    assert len(found) == 3
    for (x, y), (u, v) in zip(corners, [*corners[1:], corners[0]], strict=True):
        true = math.atan2(v - y, u - x) % math.pi
        angles = np.arctan2(found.direction[:, 1], found.direction[:, 0]) % math.pi
        off = np.abs((angles - true + math.pi / 2) % math.pi - math.pi / 2)
        best = int(off.argmin())
        assert math.degrees(off[best]) < 0.5
        assert found.length[best] == pytest.approx(math.hypot(u - x, v - y) / 4, rel=0.1)


@pytest.mark.parametrize("fov", [35, 55, 80])
@pytest.mark.parametrize("angles", [(35, 15, 3), (-50, 25, -5), (40, -20, 8)])
def test_the_focal_length_of_boxes_comes_back(
    fov: float, angles: tuple[float, float, float]
) -> None:
    focal = SIZE[1] / 2 / math.tan(math.radians(fov) / 2)
    found = find_vanishing(boxes(focal, turned(*angles)))
    assert found is not None
    assert found.is_clear
    assert found.focal == pytest.approx(focal, rel=0.05)
    # Each true direction is one of those found, either way round.
    agreement = np.abs(found.rotation.T @ turned(*angles)).max(axis=0)
    assert np.degrees(np.arccos(np.minimum(agreement, 1))).max() < 2


def test_a_wall_seen_head_on_is_not_clear() -> None:
    found = find_vanishing(boxes(500, turned(0, 0, 0)))
    assert found is None or not found.is_clear


def test_lines_without_order_and_no_lines_are_not_clear() -> None:
    chance = np.random.default_rng(3)
    image = Image.new("L", (480, 360), 100)
    for _ in range(60):
        ends = [tuple(chance.uniform((0, 0), (480, 360))) for _ in range(2)]
        ImageDraw.Draw(image).line(ends, fill=int(chance.integers(255)), width=4)
    found = find_vanishing(np.asarray(image, np.float64))
    assert found is None or not found.is_clear
    assert find_vanishing(np.full(SIZE, 90.0)) is None
    noise = find_vanishing(chance.uniform(0, 255, SIZE))
    assert noise is None or not noise.is_clear
