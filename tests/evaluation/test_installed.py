"""Datasets, benchmarks and metrics that an installed package offers."""

from pathlib import Path

from rilievo.data.datasets import DATASETS, find_dataset
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.metric_choice import find_metric
from support.lab_package import installed_lab

OTHERS = """
from dataclasses import replace
from rilievo.data.datasets.sets.rendered import Rendered
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS

BENCHMARK = BENCHMARKS["depth"]
CLOSE = replace(DEPTH_METRICS["abs_rel"], name="close")

class Ours(Rendered):
    pass
"""
POINTS = """
[rilievo.datasets]
lab-scans = lab_others:Ours
[rilievo.benchmarks]
lab-benchmark = lab_others:BENCHMARK
[rilievo.metrics]
close = lab_others:CLOSE
"""


def test_all_three_are_found_by_their_installed_name(tmp_path: Path) -> None:
    with installed_lab(tmp_path, POINTS, {"lab_others": OTHERS}, (BENCHMARKS, DATASETS)):
        assert find_dataset("lab-scans").__name__ == "Ours"
        assert find_benchmark("lab-benchmark").name == "lab-benchmark"
        assert find_metric(Task.DEPTH, "close").name == "close"
