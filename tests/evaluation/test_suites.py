"""Suites: files that name benchmarks, run with one model that is loaded once, resumably."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rilievo.cli import main
from rilievo.data.datasets import DATASETS
from rilievo.data.datasets.sets.moge_bundle import SETS
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.suite import SuiteRun, bundled_suites, find_suite, suite_names
from rilievo.evaluation.evaluation_folder import read_evaluation
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.suite_run import SuiteResult, run_suite
from rilievo.models import model_options
from rilievo.models.load_options import LoadOptions
from support.tiny_evaluation import TINY, run_tiny, write_predictions

THREE = f"""
title = "three of the tiny dataset"

[[runs]]
benchmark = "depth"
dataset = "{TINY}"
folder = "data"
name = "plain"

[[runs]]
benchmark = "surfaces"
dataset = "{TINY}"
folder = "data"

[[runs]]
benchmark = "depth"
dataset = "{TINY}"
folder = "elsewhere"
name = "missing"
"""


@pytest.fixture
def three(root: Path) -> Path:
    file = root.parent / "three.toml"
    file.write_text(THREE)
    return file


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every loading of a model, as it happens."""
    calls: list[object] = []
    load = model_options.load

    def counted(name: Any, options: LoadOptions) -> Any:
        calls.append(name)
        return load(name, options)

    monkeypatch.setattr(model_options, "load", counted)
    return calls


def run(three: Path, out: Path, **options: Any) -> SuiteResult:
    given = EvaluateOptions(output=out, **options)
    model = None if "predictions" in options else "rilievo/small"
    return run_suite(model, three, three.parent, given, show=False)


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_names_what_exists(name: str) -> None:
    suite = bundled_suites()[name]
    assert suite.title
    for each in suite.runs:
        benchmark = find_benchmark(each.benchmark)
        assert (benchmark.dataset or each.dataset) in DATASETS
        assert benchmark.dataset is None or each.dataset is None
        assert each.folder is not None or each.dataset == "synthetic"


def test_a_suite_scores_what_it_can_and_says_what_it_cannot(
    three: Path, root: Path, tmp_path: Path, loads: list[object]
) -> None:
    result = run(three, tmp_path / "out")
    plain, surfaces, missing = result.rows
    assert loads == ["rilievo/small"]
    assert plain.evaluation is not None
    alone = run_tiny("rilievo/small", root, "depth", output=tmp_path / "alone")
    assert plain.evaluation.scores == alone.scores
    assert plain.evaluation.command.startswith("rilievo evaluate --model rilievo/small --benchmark")
    assert plain.folder == tmp_path / "out" / "plain"
    assert surfaces.label == "surfaces-support.tiny_dataset-Tiny"
    assert surfaces.is_complete
    assert missing.evaluation is None
    assert "elsewhere" in missing.reason
    # The photographs are the same, so they were predicted once.
    assert (plain.folder / "predictions").is_dir()
    assert not (surfaces.folder / "predictions").exists()


def test_a_suite_goes_on_where_it_was(three: Path, root: Path, tmp_path: Path) -> None:
    first = run(three, tmp_path / "out")
    # As if it had been killed while it wrote the second one's results.
    (first.rows[1].folder / "checksums.json").unlink()
    stamps = {
        path: path.stat().st_mtime_ns for path in first.rows[0].folder.rglob("*") if path.is_file()
    }
    (root / "../elsewhere").symlink_to(root)
    again = run(three, tmp_path / "out")
    assert [row.was_finished for row in again.rows] == [True, False, False]
    assert all(row.is_complete for row in again.rows)
    for before, now in zip(first.rows[:2], again.rows[:2], strict=True):
        assert before.evaluation is not None
        assert now.evaluation is not None
        assert now.evaluation.scores == before.evaluation.scores
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    # Of other images, nothing is finished.
    fewer = run(three, tmp_path / "out", limit=2)
    assert [row.was_finished for row in fewer.rows] == [False] * 3
    assert read_evaluation(first.rows[0].folder).data.asked == 2


def test_a_folder_of_other_results_is_refused_before_the_first_benchmark_is_scored(
    three: Path, root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_tiny("rilievo/small", root, "depth", output=out / "surfaces-support.tiny_dataset-Tiny")
    with pytest.raises(OutputError, match="contains results of the benchmark 'depth'"):
        run(three, out)
    assert not (out / "plain").exists()


def test_predictions_of_others_lie_in_folders_of_the_runs(
    three: Path, root: Path, tmp_path: Path, loads: list[object]
) -> None:
    write_predictions(root, tmp_path / "theirs" / "plain")
    write_predictions(root, tmp_path / "theirs" / "surfaces-support.tiny_dataset-Tiny")
    result = run(three, tmp_path / "out", predictions=tmp_path / "theirs", kind="metric")
    assert [row.is_complete for row in result.rows] == [True, True, False]
    assert loads == []


def test_the_command_says_what_has_results(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--suite", str(three), "--root", str(three.parent), "-m", "rilievo/small"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().out
    assert "2 of 3 benchmarks have results" in printed
    assert "6 of 6" in printed
    assert main([*words, "-b", "depth"]) == 2
    assert "give only one of --benchmark, --suite and --protocols" in capsys.readouterr().err
    assert main([*words, "--split", "other"]) == 2
    assert "--split only applies to a single benchmark" in capsys.readouterr().err
    assert main(["evaluate", "--root", "x"]) == 2
    assert "--benchmark NAME" in capsys.readouterr().err
    nowhere = [*words[:3], "--root", str(tmp_path / "nothing"), "-m", "rilievo/small"]
    assert main([*nowhere, "-o", str(tmp_path / "x")]) == 2
    assert main(["benchmarks"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in listed for name in suite_names())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = 'x'\nruns = []", "has no runs"),
        ("title = 'x'\n[[runs]]\nbenchmrk = 'depth'", "has no 'runs.benchmrk'; did you mean"),
        ("titel = 'x'\n[[runs]]\nbenchmark = 'depth'", "has no 'titel'"),
        ("title = 'x'\n[[runs]]\nfolder = 'y'", "is not a suite of benchmarks"),
        ("title = 'x'\nruns = 5", r"runs is 5, expected a list"),
        ("title = 'x'\nruns = 'depth'", r"runs is .*, expected a list"),
        ("title = 'x'\n[runs]\nbenchmark = 'depth'", r"runs is .*, expected a list"),
        ("title = 'x'\nruns = ['depth']", r"runs\[0\] is .depth., expected a mapping"),
        ("title = ", "is not a suite of benchmarks"),
        ("title = 'x'\n" + "[[runs]]\nbenchmark = 'depth'\n" * 2, "two runs are called 'depth'"),
        (
            "title = 'x'\n[[runs]]\nbenchmark = 'depth'\nname = '..'",
            "of a run cannot name the folder",
        ),
    ],
)
def test_a_broken_suite_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        find_suite(file)


def test_a_wrong_name_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no suite 'marigolds'; did you mean 'marigold'"):
        find_suite("marigolds")
    with pytest.raises(InputError, match=r"none\.toml"):
        find_suite(tmp_path / "none.toml")


def test_names_of_results_fit_folders() -> None:
    one = SuiteRun(benchmark="lab:BENCH", dataset="folder", split="test")
    assert one.label == "lab-BENCH-folder-test"
    assert replace(one, name="../x/y").label == "x-y"


@pytest.mark.parametrize(
    ("suite", "benchmark"), [("moge-depth", "moge-metric"), ("moge-points", "moge-points-metric")]
)
def test_suites_of_moge_score_metres_on_every_set_that_has_them(suite: str, benchmark: str) -> None:
    runs = find_suite(suite).runs
    scored = [run.split for run in runs if run.benchmark == benchmark]
    in_metres = [name for name, each in SETS.items() if each.is_metric]
    assert sorted(map(str, scored)) == sorted(in_metres)
    assert list(find_benchmark("moge-metric").alignment.items()) == [("metric", "none")]


def test_the_suite_of_dsine_is_its_zips_own_protocol() -> None:
    runs = find_suite("dsine-normals").runs
    assert all(find_benchmark(run.benchmark).dataset == "dsine" for run in runs)
    assert len(runs) == 5
