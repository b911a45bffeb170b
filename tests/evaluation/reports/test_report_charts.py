"""Charts of a report: what they leave out they say, and what they hold is right."""

import re
from itertools import pairwise

import numpy as np
import pytest

from rilievo.evaluation.records import RangeError
from rilievo.evaluation.tables.report_charts import error_against_depth, histogram
from support.evaluations import evaluation


@pytest.mark.slow
def test_a_histogram_tells_of_the_images_that_its_ends_take_in() -> None:
    summary = evaluation().summaries[0]
    near = np.random.default_rng(0).normal(1, 0.1, 300)
    assert "outside the plotted range" not in histogram(summary, near).caption
    caption = histogram(summary, np.r_[near, 1e6]).caption
    assert re.search(
        r"1 image is outside the plotted range; all values are between 0\.\d+ and 1e\+06$", caption
    )
    assert "beyond" not in histogram(summary, np.full(9, 0.1)).caption


@pytest.mark.slow
def test_charts_have_no_colours_of_their_own_and_no_names_in_common() -> None:
    made = evaluation(images=50)
    values = np.array([score.values["abs_rel"] for score in made.scores])
    drawn = [
        histogram(made.summaries[0], values),
        error_against_depth(made.ranges),
    ]
    ids = [name for chart in drawn for name in re.findall(r' id="([^"]*)"', chart.svg)]
    assert len(set(ids)) == len(ids) > 0
    for chart in drawn:
        used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', chart.svg))
        assert used <= set(ids)
        assert set(re.findall(r"#[0-9a-f]{6}\b", chart.svg)) <= {"#000000", "#ffffff"}
        assert "var(--ink)" in chart.svg
        assert "var(" not in chart.file


def test_ticks_keep_their_digits() -> None:
    """Only places of lines are shortened, not numbers that are read."""
    summary = evaluation().summaries[0]
    drawn = histogram(summary, np.linspace(0.9921, 0.9999, 100))
    ticks = re.findall(r">(0\.99\d+|1\.0\d*)<", drawn.svg)
    assert len(set(ticks)) == len(ticks) > 2


def test_ticks_of_a_narrow_range_are_whole_numbers_and_no_sums() -> None:
    """An axis never has "1e-5+9.999e-1" beside it."""
    values = np.random.default_rng(0).uniform(0.99990, 0.99992, 40)
    texts = re.findall(
        r"<text[^>]*>([^<]*)</text>", histogram(evaluation().summaries[0], values).svg
    )
    ticks = [text for text in texts if text[:1].isdecimal()]
    assert any(text.startswith("0.9999") for text in ticks)
    assert not any("e" in text for text in ticks)


def test_depth_lies_on_a_logarithmic_axis_only_where_ranges_begin_above_zero() -> None:
    """A logarithmic axis has ticks at 1, 2 and 5, and no place for zero."""
    for near, expected in ((1.0, {"1", "2", "5"}), (0.0, {"0", "2", "4", "6"})):
        edges = (near, 2.0, 4.0, 7.5)
        ranges = tuple(
            RangeError(near=first, far=last, pixels=5, abs_rel=0.1, bias=0.0)
            for first, last in pairwise(edges)
        )
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", error_against_depth(ranges).svg)
        [end] = (place for place, text in enumerate(texts) if text == "true depth [m]")
        assert set(texts[texts.index("bias") + 1 : end]) == expected
