"""Coverage over splits by scene: exact where theory says so, on errors made by chance."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from conformal_coverage import coverage_of_splits


def errors(scenes: int, spread: float) -> list[np.ndarray]:
    """Errors of scenes that differ in difficulty by ``spread``."""
    rng = np.random.default_rng(scenes)
    return [np.abs(rng.laplace(0, np.exp(rng.normal(0, spread)), 200)) for _ in range(scenes)]


@pytest.mark.parametrize(("scenes", "given"), [(31, 19), (94, 49)])
def test_one_error_of_each_scene_holds_nine_tenths_on_average(scenes: int, given: int) -> None:
    found = coverage_of_splits(errors(scenes, 0.5), scenes=given, one_each=True, splits=400)
    assert found.mean == pytest.approx(0.9, abs=0.015)
    # One split scatters as a beta distribution says, plus the choice of the judged.
    assert found.scatter > (0.9 * 0.1 / (given + 2)) ** 0.5 * 0.7


def test_all_errors_hold_more_and_scatter_less() -> None:
    scores = errors(31, 0.3)
    every = coverage_of_splits(scores, scenes=15, one_each=False)
    one = coverage_of_splits(scores, scenes=19, one_each=True)
    assert 0.9 < every.mean < 0.9 + 2 / 16
    assert every.scatter < one.scatter
