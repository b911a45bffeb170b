"""Text of a page about the origin of its values."""

from dataclasses import replace

import pytest

from predictions import prediction
from rilievo.io.sidecar import describe
from rilievo.pages.photograph_facts import facts_of
from rilievo.types import Calibration


@pytest.mark.parametrize(
    ("count", "said"),
    [(2, "known lengths: 1,2,3,4,5; 1,2,3,4,5"), (13, "known lengths: 13 known points or lengths")],
)
def test_many_known_lengths_are_counted_and_not_called_points(count: int, said: str) -> None:
    calibration = Calibration(
        method="known lengths", asked=("1,2,3,4,5",) * count, space="depth", scale=2.0, shift=0.0
    )
    about = describe(replace(prediction(), calibration=calibration))
    assert dict(facts_of(about, None))["metres from"] == said
