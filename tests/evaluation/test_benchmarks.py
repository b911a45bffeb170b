"""The table of benchmarks: complete, told apart by their hashes, with words for the reader."""

from dataclasses import replace

import pytest

from rilievo.data.datasets import DATASETS, find_dataset
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Averaging, Benchmark, Task, benchmark_sha256
from rilievo.evaluation.benchmarks.metric_choice import TABLES, benchmark_metrics
from rilievo.evaluation.scoring.comparable_depth import ALIGNED_TASKS

MINE = replace(BENCHMARKS["depth"], name="mine")
NOT_ONE = "a text"
PROMISED = {
    "nyuv2-eigen",
    "nyuv2-eigen-filled",
    "kitti-eigen",
    "kitti-eigen-improved",
    "kitti-dav2",
    "kitti-monodepth2-improved",
    "kitti-kb-eigen",
    "sunrgbd",
    "ibims",
    "diode",
    "probe3d-nyuv2",
    "probe3d-nyuv2-si",
    "probe3d-navi",
    "probe3d-navi-si",
    "nyuv2-normals",
    "marigold-nyuv2",
    "marigold-kitti",
    "marigold-diode",
    "marigold-nyuv2-normals",
    "moge-affine",
    "moge-scale",
    "moge-disparity",
    "depth",
    "normals",
    "sunrgbd-article",
}


def test_every_promised_benchmark_is_there() -> None:
    assert set(BENCHMARKS) >= PROMISED


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=str)
def test_a_benchmark_names_what_exists(benchmark: Benchmark) -> None:
    assert list(benchmark_metrics(benchmark)) == list(benchmark.metrics)
    assert benchmark.reproduces
    assert benchmark.hides
    for row in benchmark.published:
        assert set(row.values) <= set(benchmark.metrics)
        assert row.source
        for name, value in row.values.items():
            share = name.startswith(("delta", "within"))
            assert 0 < value <= 1 or not share, (row.model, name)
    if benchmark.dataset in DATASETS:
        card = find_dataset(benchmark.dataset).card
        assert benchmark.split in (None, *card.splits)
        assert benchmark.variant in (None, *card.variants)


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=str)
def test_a_benchmark_of_depth_says_how_it_aligns(benchmark: Benchmark) -> None:
    assert bool(benchmark.alignment) == (benchmark.task in ALIGNED_TASKS)


def test_hashes_tell_benchmarks_apart_and_words_change_none() -> None:
    assert len({benchmark_sha256(each) for each in BENCHMARKS.values()}) == len(BENCHMARKS)
    one = BENCHMARKS["nyuv2-eigen"]
    words = replace(one, name="x", title="x", reproduces="x", hides="x", published=())
    assert benchmark_sha256(words) == benchmark_sha256(one)


@pytest.mark.parametrize(
    "change",
    [
        {"max_depth": 9.0},
        {"clip": None},
        {"split": "train"},
        {"averaging": Averaging.POOLED},
        {"metrics": ("rmse",)},
        {"rounding": 3},
        {"version": 2},
        {"alignment": {}},
    ],
    ids=str,
)
def test_whatever_changes_numbers_changes_the_hash(change: dict[str, object]) -> None:
    one = BENCHMARKS["nyuv2-eigen"]
    assert benchmark_sha256(replace(one, **change)) != benchmark_sha256(one)


def test_a_benchmark_of_ones_own_is_found_by_its_place() -> None:
    assert find_benchmark(f"{__name__}:MINE") is MINE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nyu", "no benchmark 'nyu'; did you mean 'nyuv2-eigen'"),
        ("nyuv2-eigne", "no benchmark 'nyuv2-eigne'; did you mean 'nyuv2-eigen'"),
        ("no.such.module:X", "no benchmark 'no.such.module:X': No module"),
        (f"{__name__}:OTHER", "has no attribute 'OTHER'"),
        (f"{__name__}:NOT_ONE", "is of type str, expected a Benchmark"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        find_benchmark(name)


def test_a_metric_that_no_table_has_is_named() -> None:
    with pytest.raises(OptionError, match="no depth metric 'abs_rl'; did you mean 'abs_rel'"):
        benchmark_metrics(replace(MINE, metrics=("abs_rl",)))
    assert set(TABLES) == set(Task)
