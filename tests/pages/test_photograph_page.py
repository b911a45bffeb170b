"""Facts on the page of a photograph."""

from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.prediction.saving import save
from rilievo.records.prediction_record import Calibration
from support.predictions import prediction


@pytest.mark.parametrize(
    ("count", "said"),
    [(2, "known lengths: 1,2,3,4,5; 1,2,3,4,5"), (13, "known lengths: 13 known points or lengths")],
)
def test_many_known_lengths_are_counted_and_not_called_points(
    tmp_path: Path, count: int, said: str
) -> None:
    calibration = Calibration(
        method="known lengths",
        asked=("1,2,3,4,5",) * count,
        space="depth",
        scale=2.0,
        shift=0.0,
        residuals=(0.25, -0.5),
        expected_error=0.17,
    )
    [page, _] = save(replace(prediction(), calibration=calibration), tmp_path / "page", ["html"])
    text = page.read_text("utf-8")
    assert f"<dd>{said}</dd>" in text
    assert "<dd>scale 2, shift 0 in depth</dd>" in text
    assert "<dd>+0.25 m, -0.5 m</dd>" in text
    assert "<dd>below 17% for 8 out of 10 pixels</dd>" in text
