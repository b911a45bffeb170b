"""A sensor's map that is upside down or mirrored against the photograph is said to be."""

from collections.abc import Callable

import numpy as np
import pytest
from skimage import data

import rilievo

PHOTO = data.astronaut()


def sensed() -> np.ndarray:
    return 2 * rilievo.predict(PHOTO, model="rilievo/small").depth.values


@pytest.mark.parametrize(
    ("turn", "words"),
    [(lambda depth: depth[::-1], "upside down"), (lambda depth: depth[:, ::-1], "mirrored")],
)
def test_a_turned_sensor_is_said_to_be(turn: Callable, words: str) -> None:
    sparse = np.ascontiguousarray(turn(sensed()))
    with pytest.warns(UserWarning, match=f"seems to be {words}"):
        rilievo.predict(PHOTO, model="rilievo/small", sparse=sparse)


def test_a_sensor_in_order_brings_no_warning() -> None:
    # A warning is an error here.
    rilievo.predict(PHOTO, model="rilievo/small", sparse=sensed())
