"""Ranges in which every camera counts the same, judged by fits without that camera."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from range_fit import FULL_COUNT, Trial, TrialTable, judged_cameras

from rilievo.measure.ranges import Circumstances

METHODS = ("known points", "known lengths")
LEVEL = 0.8


def trials(
    camera: str, largest_errors: dict[str, float], frames: int = 40, first: int = 0
) -> list[Trial]:
    """Errors of the photographs of a camera, evenly up to a size that depends on the method."""
    chance = np.random.default_rng([2, first])
    return [
        Trial(
            set=camera,
            camera=camera,
            frame=first + frame,
            what="length",
            given=Circumstances(method=method),
            error=float(chance.uniform(0, size)),
        )
        for frame in range(frames)
        for method, size in largest_errors.items()
        for _ in range(20)
    ]


def test_ranges_of_each_method_cover_the_level() -> None:
    table = TrialTable(trials("a", {METHODS[0]: 0.2, METHODS[1]: 0.8}), METHODS)
    weights = table.fitted(table.everything, LEVEL)
    expected = table.expected(table.everything, weights)
    for number in range(len(METHODS)):
        is_of_method = table.features[:, number] == 1
        assert table.coverage(expected, is_of_method) == pytest.approx(LEVEL, abs=0.03)
    assert weights[1] - weights[0] == pytest.approx(np.log(4), abs=0.1)
    assert np.allclose(weights[len(METHODS) :], 0)


def test_a_camera_of_many_photographs_counts_no_more_than_one_of_few() -> None:
    """The level then lies between the two cameras, wherever most photographs are."""
    [method] = METHODS[:1]
    few, many = trials("few", {method: 1.0}, 10), trials("many", {method: 0.1}, 200, 10)
    table = TrialTable([*few, *many], (method,))
    expected = table.expected(table.everything, table.fitted(table.everything, LEVEL))
    # All errors of the accurate camera lie inside, so three fifths of the other's have to.
    assert table.coverage(expected, table.cameras == "many") == pytest.approx(1)
    assert table.coverage(expected, table.cameras == "few") == pytest.approx(0.6, abs=0.05)


def test_a_camera_of_one_photograph_counts_by_its_number() -> None:
    [method] = METHODS[:1]
    one, full = trials("one", {method: 1.0}, 1), trials("full", {method: 1.0}, FULL_COUNT, 1)
    table = TrialTable([*one, *full], (method,))
    weights = table.camera_weights(table.everything)
    assert weights.sum() == pytest.approx(1)
    assert weights[table.cameras == "one"].sum() == pytest.approx(1 / (1 + FULL_COUNT))


def test_a_camera_is_judged_by_the_fit_to_the_others() -> None:
    """A camera whose errors are ten times those of the others has few inside."""
    [method] = METHODS[:1]
    found = trials("bad", {method: 1.0}, first=900)
    for place, name in enumerate("abc"):
        found += trials(name, {method: 0.1}, first=100 * place)
    table = TrialTable(found, (method,))
    shares = judged_cameras(table, ["a", "bad"])
    assert set(shares) == {"a", "bad"}
    assert shares["bad"] < 0.12
    assert shares["a"] > 0.8


def test_a_circumstance_that_would_narrow_ranges_is_not_used() -> None:
    chance = np.random.default_rng(5)
    far = chance.uniform(0, 1, 2000)
    table = TrialTable(
        [
            Trial(
                set="a",
                camera="a",
                frame=number // 20,
                what="length",
                given=Circumstances(method=METHODS[0], known_size_distance=place),
                error=float(chance.uniform(0, math.exp(place))),
            )
            for number, place in enumerate(far)
        ],
        METHODS[:1],
        ("far",),
    )
    [_, widening] = table.fitted(table.everything, LEVEL)
    assert widening == pytest.approx(1, abs=0.1)
    table.errors = table.errors * np.exp(-2 * far)
    [base, narrowing] = table.fitted(table.everything, LEVEL)
    assert narrowing == 0
    expected = table.expected(table.everything, np.array([base, narrowing]))
    assert table.coverage(expected, table.everything) == pytest.approx(LEVEL, abs=0.02)
