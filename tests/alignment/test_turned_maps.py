"""A map that is mirrored or turned against other depth of its picture is noticed."""

import numpy as np
import pytest

from rilievo.alignment.turned_maps import TURNS, detect_turn

SIDE = 96


def room(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Depth [m] that falls to the right and downwards, with a box that has no axis."""
    v, u = np.mgrid[:height, :width] / np.array((height, width))[:, None, None]
    depth = 2 + 3 * (1 - v) + 1.2 * u**2
    depth[height // 8 : height // 3, width // 6 : width // 2] -= 1.5
    return depth.astype(np.float32)


def known(depth: np.ndarray) -> np.ndarray:
    return np.ones(depth.shape, bool)


@pytest.mark.parametrize("words", TURNS)
@pytest.mark.parametrize("is_inverse", [False, True])
def test_a_turned_map_is_told(words: str, is_inverse: bool) -> None:
    v, u = np.mgrid[:SIDE, :SIDE] / SIDE
    depth = (2 + 3 * v + 0.2 * u).astype(np.float32)
    if words == "mirrored":
        depth = depth.T
    turned = TURNS[words](depth)
    turned = 1 / turned if is_inverse else turned
    assert detect_turn(turned, known(depth), depth, known(depth), is_inverse=is_inverse) == words


def test_a_map_in_order_is_not_doubted_whatever_its_noise() -> None:
    depth = room()
    noise = np.random.default_rng(0).normal(0, 0.3, depth.shape)
    for predicted in (depth, 3 * depth + 1, depth + noise):
        assert detect_turn(predicted, known(depth), depth, known(depth)) is None


def test_a_map_in_no_order_is_not_called_turned() -> None:
    depth = room()
    other = np.random.default_rng(1).random(depth.shape).astype(np.float32)
    assert detect_turn(other, known(depth), depth, known(depth)) is None
    few = np.zeros(depth.shape, bool)
    few[:3] = True
    assert detect_turn(depth[::-1], known(depth), depth, few) is None


def test_rows_and_columns_are_exchanged_in_squares_alone() -> None:
    depth = room(96, 128)
    assert detect_turn(depth[::-1], known(depth), depth, known(depth)) == "upside down"
