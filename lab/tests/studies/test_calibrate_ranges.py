"""The size of ranges holds, method by method, on photographs that the fit did not see."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from calibrate_ranges import Table, Trial

from rilievo.calibration.ranges import COVERAGE, Circumstances

METHODS = ("known points", "known lengths")


def trials(sizes: dict[str, float]) -> list[Trial]:
    """Errors of forty photographs, evenly up to a size that depends on the method."""
    chance = np.random.default_rng(2)
    return [
        Trial(
            set="camera",
            frame=frame,
            what="length",
            given=Circumstances(method=method),
            error=float(chance.uniform(0, size)),
        )
        for frame in range(40)
        for method, size in sizes.items()
        for _ in range(20)
    ]


def test_ranges_of_each_method_are_scaled_to_hold_eight_in_ten() -> None:
    table = Table(trials({METHODS[0]: 0.2, METHODS[1]: 0.8}), METHODS)
    everything = np.ones(len(table.errors), bool)
    start = np.zeros(table.features.shape[1])
    weights = table.scaled(start, everything)
    inside = table.errors <= table.expected(everything, weights)
    for number in range(len(METHODS)):
        share = inside[table.features[:, number] == 1].mean()
        assert share == pytest.approx(COVERAGE, abs=0.03)
    assert weights[1] - weights[0] == pytest.approx(np.log(4), abs=0.1)
    assert not weights[len(METHODS) :].any()
