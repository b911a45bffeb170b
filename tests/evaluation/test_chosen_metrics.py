"""Chosen metrics: their numbers, what leads, what they change, and what is refused."""

from pathlib import Path

import pytest

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.metric_choice import choose_metrics
from rilievo.evaluation.evaluation_folder import metric_names, read_evaluation
from rilievo.evaluation.tables.comparing import shared_metrics
from support.tiny_evaluation import TINY, run_tiny, write_predictions


def test_chosen_metrics_have_the_numbers_of_all_and_lead_in_their_order(
    root: Path, tmp_path: Path
) -> None:
    write_predictions(root, tmp_path / "theirs")
    files = {"predictions": tmp_path / "theirs", "kind": "metric"}
    whole = run_tiny(None, root, output=tmp_path / "whole", **files)
    some = run_tiny(None, root, output=tmp_path / "some", metrics="rmse, abs_rel", **files)
    assert metric_names(some) == ("rmse", "abs_rel")
    own = {summary.metric: summary for summary in whole.summaries}
    assert [own["rmse"], own["abs_rel"]] == list(some.summaries)
    # Both are results of one benchmark, so that they can be compared by what they share.
    assert some.benchmark_sha256 == whole.benchmark_sha256
    assert (some.benchmark, some.settings) == (whole.benchmark, whole.settings)
    assert shared_metrics([whole, some], ["abs_rel"]) == ("abs_rel",)
    assert set(shared_metrics([whole, some])) == {"rmse", "abs_rel"}
    assert "--metrics 'rmse, abs_rel'" in some.command


def test_other_metrics_replace_the_results_in_their_folder(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    words = f"evaluate -b depth --dataset {TINY} --root {root} --predictions {tmp_path / 'theirs'}"
    words += f" --kind metric -o {tmp_path / 'out'} --metrics"
    for chosen, names in (("delta*", ("delta1", "delta2", "delta3")), ("mae", ("mae",))):
        assert main([*words.split(), chosen]) == 0
        found = metric_names(read_evaluation(tmp_path / "out"))
        assert found[: len(names)] == names


@pytest.mark.parametrize(
    ("benchmark", "words", "message"),
    [
        ("depth", "rmes", "did you mean 'rmse'"),
        ("depth", "deltta*", "matches no depth metric"),
        ("depth", "within_30", "contains 'within_30', which is a normals metric"),
        ("normals", "abs_rel", "contains 'abs_rel', which is a depth metric"),
        ("depth", "", "is empty"),
    ],
)
def test_a_metric_that_does_not_apply_is_refused(benchmark: str, words: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        choose_metrics(BENCHMARKS[benchmark], [word for word in words.split(",") if word])


def test_own_stands_for_the_benchmarks_metrics() -> None:
    own = BENCHMARKS["kitti-eigen"].metrics
    assert choose_metrics(BENCHMARKS["kitti-eigen"], ["own"]) == own
    chosen = choose_metrics(BENCHMARKS["kitti-eigen"], ["silog", "own"])
    assert chosen == tuple(dict.fromkeys(("silog", *own)))


def test_a_metric_without_a_pooled_form_is_refused_where_pixels_are_pooled() -> None:
    benchmark = BENCHMARKS["nyuv2-normals"]
    with pytest.raises(OptionError, match="pools the pixels of all images"):
        choose_metrics(benchmark, ["ause_mean"])
