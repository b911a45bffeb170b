"""Metrics are found by name: in the task's table, or in anybody's module."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Task, benchmark_sha256
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics, find_metric
from rilievo.evaluation.metrics.depth import DEPTH_METRICS
from rilievo.evaluation.metrics.metric import Better, Metric, Sums
from rilievo.evaluation.metrics.pairs import DepthPair
from support.tiny_evaluation import TINY, run_tiny, write_predictions


def farther(pair: DepthPair) -> Sums:
    """Counts what is predicted farther than it is."""
    return np.array([float(np.count_nonzero(pair.p > pair.t))])


FARTHER = Metric(
    name="farther", label="Farther", unit="", better=Better.ZERO, summary="p > t", sums=farther
)
TWIN = replace(FARTHER, name="rmse")
HERE = "test_metrics_by_name"
BENCHMARK = replace(
    BENCHMARKS["depth"], name="mine", dataset=TINY, metrics=(f"{HERE}:FARTHER", "abs_rel")
)


@pytest.mark.slow
@pytest.mark.usefixtures("with_report")
def test_a_metric_of_ones_own_is_scored_under_its_own_name(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    out = tmp_path / "out"
    found = run_tiny(
        None, root, BENCHMARK, predictions=tmp_path / "theirs", kind="metric", output=out
    )
    leading, other = found.summaries
    assert (leading.metric, leading.label, other.metric) == ("farther", "Farther", "abs_rel")
    factors = 1 + 0.1 * np.sin(np.arange(64) + 3)
    third = found.scores[3]
    true = np.load(root / "depth" / f"{third.id}.npy")
    expected = np.broadcast_to(factors > 1, true.shape)[true > 0].mean()
    assert third.values["farther"] == pytest.approx(expected, abs=1e-6)
    assert found.settings["metrics"] == f"{HERE}:FARTHER abs_rel"
    assert "p &gt; t" in (out / "report.html").read_text(encoding="utf-8")


def test_a_metric_of_ones_own_makes_another_benchmark() -> None:
    renamed = replace(BENCHMARK, metrics=("abs_rel",))
    assert benchmark_sha256(BENCHMARK) != benchmark_sha256(renamed)
    assert list(benchmark_metrics(BENCHMARK)) == ["farther", "abs_rel"]


def test_names_of_the_table_mean_the_table() -> None:
    assert find_metric(Task.DEPTH, "abs_rel") is DEPTH_METRICS["abs_rel"]
    assert find_metric(Task.DEPTH, f"{HERE}:FARTHER").name == "farther"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abs_rle", "no depth metric 'abs_rle'; did you mean 'abs_rel'"),
        ("nowhere:X", "no metric 'nowhere:X': No module named 'nowhere'"),
        (f"{HERE}:NOTHING", "has no attribute 'NOTHING'"),
        (":X", "no depth metric ':X'"),
        (f"{HERE}:farther", "is of type function, expected a metric"),
        (f"{HERE}:TWIN", "has the name 'rmse', which another depth metric already has"),
    ],
)
def test_what_is_no_metric_is_one_line(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        find_metric(Task.DEPTH, name)
    with pytest.raises(OptionError, match=f"the benchmark 'mine': .*{words}"):
        benchmark_metrics(replace(BENCHMARK, metrics=(name,)))


def test_two_metrics_of_one_name_are_refused() -> None:
    twice = replace(BENCHMARK, metrics=("abs_rel", f"{HERE}:FARTHER", f"{HERE}:FARTHER"))
    with pytest.raises(OptionError, match="'mine' has two metrics with the name 'farther'"):
        benchmark_metrics(twice)
