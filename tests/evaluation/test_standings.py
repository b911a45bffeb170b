"""Models over several benchmarks: mean ranks, their intervals, and the tables they stand in."""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from rilievo.cli import main
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_report import write_comparison
from rilievo.evaluation.tables.leaderboard import wide_table
from rilievo.evaluation.tables.long_table import long_table
from rilievo.evaluation.tables.runs import Run, find_runs, is_across_benchmarks
from rilievo.evaluation.tables.standings import standings, tied_ranks
from rilievo.evaluation.tables.wording import shortlist
from rilievo.io.verification import verify
from rilievo.pages.tables import table_as_csv, table_as_latex, tables_as_markdown
from support.evaluations import METRICS, evaluation, in_folder, random_errors

ABS_REL, _, DELTA1 = METRICS
GAINS = {"good": 0.0, "fair": 0.01, "poor": 0.05}


def run_on(
    benchmark: str, model: str, gain: float | np.ndarray, *, seed: int = 0, **given: object
) -> Evaluation:
    values = random_errors(seed) + gain
    return evaluation(
        model=model,
        benchmark=benchmark,
        sha256=f"{sum(map(ord, benchmark)):064x}",
        values={"abs_rel": values, "delta1": 1 - values},
        metrics=(ABS_REL, DELTA1),
        **given,
    )


def runs_of(*made: Evaluation) -> list[Run]:
    return [Run(folder=Path(f"{index}"), evaluation=each) for index, each in enumerate(made)]


def by_scene(run: Evaluation, sizes: Sequence[int]) -> Evaluation:
    """The run with its images in scenes of these sizes, quoted as the mean of the scenes' means."""
    ends = np.cumsum(sizes)[:-1]
    scenes = [f"{number}" for number, size in enumerate(sizes) for _ in range(size)]

    def quoted(metric: str) -> float:
        parts = np.split(np.array([score.values[metric] for score in run.scores]), ends)
        return float(np.mean([part.mean() for part in parts]))

    return replace(
        run,
        settings={**run.settings, "averaging": "per_scene"},
        scores=tuple(
            replace(each, scene=scene) for each, scene in zip(run.scores, scenes, strict=True)
        ),
        summaries=tuple(
            replace(summary, value=quoted(summary.metric)) for summary in run.summaries
        ),
    )


def test_scenes_count_alike_in_comparisons_and_ranks() -> None:
    sizes = (30, 2, 2, 2, 2, 1, 1)
    chance = np.random.default_rng(3)
    # Better on the long scene, worse on the six short ones.
    gains = np.where(np.arange(40) < 30, -0.02, 0.03) + chance.normal(0, 0.001, 40)
    made = [
        by_scene(run_on("clips", "even", 0.0), sizes),
        by_scene(run_on("clips", "long", gains), sizes),
    ]
    compared = compare(made)
    expected = np.mean([part.mean() for part in np.split(gains, np.cumsum(sizes)[:-1])])
    assert [row.name for row in compared.groups[0].runs] == ["even", "long"]
    difference = compared.groups[0].runs[1].cells["abs_rel"].difference
    assert difference is not None
    assert difference.mean == pytest.approx(expected, rel=1e-9)
    assert "scenes; differences are averaged" in " ".join(compared.notes)
    ranked = standings(runs_of(*made))
    best = ranked.standings[0]
    assert best.name == "even"
    assert (best.low, best.high) == (1, 1)
    cut = [made[0], replace(made[1], scores=made[1].scores[:-1])]
    common = compare(cut, common=True)
    parts = np.split(random_errors(0)[:39], np.cumsum(sizes)[:-2])
    even = next(row for row in common.groups[0].runs if row.name == "even")
    assert even.cells["abs_rel"].value == pytest.approx(np.mean([p.mean() for p in parts]))


def three_by_two() -> list[Run]:
    rooms = [run_on("rooms", model, gain) for model, gain in GAINS.items()]
    # Outdoors the first two change places.
    swapped = {"good": 0.01, "fair": 0.0, "poor": 0.05}
    roads = [
        run_on("roads", model, gain, seed=1, dataset="roads") for model, gain in swapped.items()
    ]
    return runs_of(*rooms, *roads)


def by_name(table: Comparison) -> dict[str, float | None]:
    return {model.name: model.mean_rank for model in table.standings}


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=5))
@settings(deadline=None)
def test_ranks_are_scipys(rows: list[list[int]]) -> None:
    values = np.array(rows, np.float64)
    np.testing.assert_array_equal(tied_ranks(values), rankdata(values, axis=1))


def test_mean_ranks_are_means_of_ranks() -> None:
    table = standings(three_by_two())
    assert by_name(table) == {"fair": 1.5, "good": 1.5, "poor": 3}
    assert table.standings[-1].name == "poor"
    assert [comparison.label for comparison in table.groups] == ["rooms", "roads"]
    assert table.standings[-1].ranks == {"rooms": 3, "roads": 3}
    # A gain that is the same on every image holds whatever images are drawn.
    for model in table.standings:
        assert (model.low, model.high) == (model.mean_rank, model.mean_rank)


def test_equal_numbers_share_their_ranks() -> None:
    table = standings(
        runs_of(*(run_on(name, model, 0.0) for name in ("a", "b") for model in ("x", "y")))
    )
    assert by_name(table) == {"x": 1.5, "y": 1.5}


def plain_intervals(groups: Sequence[Sequence[np.ndarray]], seed: int) -> list[tuple[float, float]]:
    """Intervals of mean ranks, computed image by image and draw by draw."""
    chance = np.random.default_rng(seed)
    means = []
    for _ in range(3000):
        ranks = []
        for models in groups:
            chosen = chance.integers(0, models[0].size, models[0].size)
            ranks.append(rankdata([values[chosen].mean() for values in models]))
        means.append(np.mean(ranks, axis=0))
    ends = np.percentile(means, [2.5, 97.5], axis=0)
    return [(float(low), float(high)) for low, high in ends.T]


def test_intervals_are_those_of_images_drawn_anew() -> None:
    chance = np.random.default_rng(3)
    groups, made = [], []
    for index, benchmark in enumerate(("a", "b", "c")):
        models = [random_errors(index) + chance.normal(0, 0.02, 40) for _ in range(3)]
        groups.append(models)
        made += [
            evaluation(
                model=name,
                benchmark=benchmark,
                sha256=f"{index:064x}",
                values={"abs_rel": values},
                metrics=(ABS_REL,),
            )
            for name, values in zip("xyz", models, strict=True)
        ]
    table = {model.name: model for model in standings(runs_of(*made)).standings}
    for name, (low, high) in zip("xyz", plain_intervals(groups, 9), strict=True):
        # Mean ranks of three benchmarks go by thirds.
        assert table[name].low == pytest.approx(low, abs=0.34)
        assert table[name].high == pytest.approx(high, abs=0.34)
        assert table[name].low != table[name].high


def test_images_of_one_scene_are_drawn_together() -> None:
    names = tuple(f"{number // 20}" for number in range(40))
    made = [
        run_on(benchmark, model, gain, scenes=names)
        for benchmark in ("a", "b")
        for model, gain in (("x", 0.0), ("y", 0.1))
    ]
    table = standings(runs_of(*made))
    assert all(each.low is None for each in table.standings)
    assert any("Mean ranks have no interval" in note for note in table.notes)


@pytest.mark.parametrize(("scenes", "has_interval"), [(2, False), (3, True)])
def test_three_scenes_are_enough_for_an_interval(scenes: int, has_interval: bool) -> None:
    names = tuple(f"{number % scenes}" for number in range(40))
    made = [
        run_on(benchmark, model, gain, scenes=names)
        for benchmark in ("a", "b")
        for model, gain in (("x", 0.0), ("y", 0.1))
    ]
    table = standings(runs_of(*made))
    assert [each.low is not None for each in table.standings] == [has_interval, has_interval]


def with_numbers(made: Evaluation, value: float) -> Evaluation:
    """An evaluation whose quoted number is another than the mean over images."""
    leading, *others = made.summaries
    return replace(made, summaries=(replace(leading, value=value, low=None, high=None), *others))


def test_numbers_that_are_no_means_of_images_have_no_interval() -> None:
    pooled = [
        with_numbers(run_on("pooled", model, gain), value)
        for model, gain, value in (("x", 0.0, 0.2), ("y", 0.1, 0.1))
    ]
    plain = [run_on("plain", model, gain) for model, gain in (("x", 0.0), ("y", 0.1))]
    table = standings(runs_of(*pooled, *plain))
    assert by_name(table) == {"x": 1.5, "y": 1.5}
    assert all(each.low is None and each.high is None for each in table.standings)
    [note] = [note for note in table.notes if "no interval" in note]
    assert "pooled" in note
    assert "plain" not in note


def test_a_bias_of_both_signs_has_no_interval() -> None:
    bias = ("bias", "bias", "", Better.ZERO)
    made = [
        evaluation(
            model=model,
            benchmark=benchmark,
            sha256=benchmark * 64,
            values={"bias": np.linspace(-reach, reach, 12) + at},
            metrics=(bias,),
        )
        for benchmark in "ab"
        # By the mean the first is better, by the mean size of each image the second.
        for model, reach, at in (("wide", 0.5, 0.01), ("narrow", 0.01, 0.1))
    ]
    table = standings(runs_of(*made))
    assert by_name(table) == {"wide": 1, "narrow": 2}
    assert all(each.low is None for each in table.standings)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_bias_that_has_one_sign_on_all_images_has_an_interval(sign: int) -> None:
    bias = ("bias", "bias", "", Better.ZERO)
    made = [
        evaluation(
            model=model,
            benchmark=benchmark,
            sha256=benchmark * 64,
            values={"bias": sign * (np.linspace(-0.01, 0.01, 12) + size)},
            metrics=(bias,),
        )
        for benchmark in "ab"
        for model, size in (("far", 0.2), ("near", 0.1))
    ]
    # The smaller bias is better on every image, so it is better whatever images are drawn.
    ranks = {each.name: (each.low, each.high) for each in standings(runs_of(*made)).standings}
    assert ranks == {"near": (1, 1), "far": (2, 2)}


def test_a_benchmark_that_a_model_lacks_is_shown_but_not_ranked() -> None:
    runs = three_by_two()[:-1]
    table = standings(runs)
    assert table.shared_benchmarks == ("rooms",)
    assert by_name(table) == {"good": 1, "fair": 2, "poor": 3}
    assert "poor" not in table.groups[1].leading.cells
    assert any("roads" in note and "missing" in note for note in table.notes)


def test_bias_is_ranked_by_its_size() -> None:
    bias = ("bias", "bias", "", Better.ZERO)
    made = [
        evaluation(
            model=model,
            benchmark=benchmark,
            sha256=benchmark * 64,
            values={"bias": np.linspace(-0.01, 0.01, 12) + at},
            metrics=(bias,),
        )
        for benchmark in "ab"
        for model, at in (("far", -0.2), ("near", 0.1))
    ]
    assert by_name(standings(runs_of(*made))) == {"near": 1, "far": 2}


def test_one_benchmark_on_several_data_is_told_apart() -> None:
    made = [
        run_on("depth", model, gain, dataset=dataset)
        for dataset in ("rooms", "roads")
        for model, gain in GAINS.items()
    ]
    assert is_across_benchmarks(runs_of(*made))
    assert [item.label for item in standings(runs_of(*made)).groups] == [
        "depth on rooms",
        "depth on roads",
    ]


def test_runs_that_do_not_compare_are_refused() -> None:
    one, other = run_on("rooms", "a", 0), run_on("roads", "b", 0)
    assert not is_across_benchmarks(runs_of(one, other))
    twice = runs_of(run_on("rooms", "a", 0), run_on("rooms", "a", 0.1), run_on("roads", "a", 0))
    assert is_across_benchmarks(twice)
    with pytest.raises(OptionError, match="0 and 1 both contain results of 'a' on rooms"):
        standings(twice)
    changed = evaluation(
        model="b",
        benchmark="rooms",
        sha256="ab" * 32,
        values={"abs_rel": random_errors()},
        metrics=(ABS_REL,),
        settings={"crop": "garg"},
    )
    with pytest.raises(InputError, match="different benchmarks"):
        standings(runs_of(run_on("rooms", "a", 0), changed, run_on("roads", "a", 0)))
    with pytest.raises(OptionError, match="rooms have none of the metrics rmse in common"):
        standings(three_by_two(), metrics=["rmse"])


def test_a_model_without_a_rank_on_a_benchmark_has_an_empty_cell() -> None:
    table = standings(three_by_two())
    models = tuple(replace(model, ranks={"rooms": 1.0}) for model in table.standings)
    rows = csv.DictReader(table_as_csv(long_table(replace(table, standings=models))).splitlines())
    ranks = {(row["benchmark"], row["benchmark_rank"]) for row in rows}
    assert ranks == {("rooms", "1.0"), ("roads", "")}


def test_tables_have_every_number(tmp_path: Path) -> None:
    table = standings(three_by_two())
    rows = list(csv.DictReader(table_as_csv(long_table(table)).splitlines()))
    assert len(rows) == 3 * 2 * 2
    poor = [row for row in rows if row["model"] == "poor" and row["metric"] == "abs_rel"]
    assert [row["rank"] for row in poor] == ["3", "3"]
    assert [row["benchmark_rank"] for row in poor] == ["3.0", "3.0"]
    first = Comparison(groups=table.groups[:1], notes=())
    alone = table_as_csv(long_table(first)).splitlines()
    assert alone[0].split(",") == [*rows[0]], "one benchmark has the header of several"
    assert [row["mean_rank"] for row in csv.DictReader(alone)] == [""] * 3 * 2
    text = tables_as_markdown(wide_table(table))
    assert text.splitlines()[0].count("|") == 2 + 1 + 4
    assert "3.00 (3.00 to 3.00)" in text
    page = tmp_path / "board" / "leaderboard.html"
    page.parent.mkdir()
    write_comparison(table, page)
    html = page.read_text()
    assert html.count("rank ") >= 6
    assert "://" not in html


@pytest.mark.parametrize("models", [("good", "fair"), ("good",)])
def test_two_models_have_ranks_on_a_page_and_one_has_none(models: Sequence[str]) -> None:
    made = [run_on(name, model, GAINS[model]) for name in ("rooms", "roads") for model in models]
    table = standings(runs_of(*made))
    links = {item.label: dict.fromkeys(models, "report.html") for item in table.groups}
    cells = (cell for row in wide_table(table, links).rows for cell in row)
    ranks = sorted(rank for cell in cells for rank in getattr(cell, "small_print", ()))
    several = ["rank 1", "rank 1", "rank 2", "rank 2"]
    assert [rank for rank in ranks if rank.startswith("rank")] == several[: 4 * (len(models) - 1)]


@pytest.mark.parametrize("ending", [".md", ".csv", ".tex", ".html"])
def test_a_table_has_its_checksum_beside_it(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"board{ending}"
    write_comparison(standings(three_by_two()), path)
    assert (tmp_path / f"board{ending}.checksums.json").exists()
    assert verify(path).whole == 1
    path.write_bytes(path.read_bytes()[:-1])
    assert [fault.file for fault in verify(path).faults] == [str(path)]


@pytest.mark.parametrize("ending", [".md", ".csv", ".tex", ".html"])
def test_a_table_that_is_stopped_leaves_the_one_before_with_its_checksum(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"board{ending}"
    write_comparison(standings(three_by_two()), path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    def stopped(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rilievo.io.files.atomic.sync_tree", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_comparison(standings(three_by_two()), path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    assert verify(path).is_whole


def test_latex_has_bold_only_what_beats_every_other_run_significantly() -> None:
    text = table_as_latex(wide_table(standings(three_by_two())))
    lines = {line.partition(" &")[0]: line for line in text.splitlines() if " & " in line}
    assert [lines[name].count("\\textbf") for name in GAINS] == [2, 2, 0]
    assert "underline" not in text
    width = len(re.findall(r"\\begin\{tabular\}\{(l+r+)\}", text)[0])
    assert {line.count("&") for line in lines.values() if "multicolumn" not in line} == {width - 1}
    assert text.count("\\multicolumn{2}{c}") == 2
    chance = np.random.default_rng(0)
    alike = runs_of(
        *(run_on(name, model, chance.normal(0, 0.02, 40)) for name in "ab" for model in "xy")
    )
    assert "textbf" not in table_as_latex(wide_table(standings(alike)))


def test_a_terminal_shows_more_than_a_wide_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certainty = find_benchmark("kitti-uncertainty").metrics
    assert {"ece", "rmse"} < {*shortlist(certainty)}
    for benchmark in ("rooms", "roads"):
        for model in ("a", "b"):
            made = evaluation(
                model=model,
                benchmark=benchmark,
                sha256=f"{sum(map(ord, benchmark)):064x}",
            )
            folder = tmp_path / "runs" / model / benchmark
            folder.parent.mkdir(parents=True, exist_ok=True)
            in_folder(made, folder)
    assert main(["compare", str(tmp_path / "runs")]) == 0
    assert METRICS[1][1] in capsys.readouterr().out
    board = tmp_path / "board.md"
    assert main(["compare", str(tmp_path / "runs"), "-o", str(board)]) == 0
    assert METRICS[1][1] not in board.read_text()


def test_the_command_makes_a_leaderboard_of_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for index, run in enumerate(three_by_two()):
        suite = tmp_path / "runs" / run.evaluation.made_by.model
        suite.mkdir(parents=True, exist_ok=True)
        folder = in_folder(run.evaluation, suite / run.evaluation.benchmark)
        (folder / "predictions").mkdir()
        (folder / "report.html").write_text(f"{index}")
    assert main(["compare", "runs"]) == 0
    printed = capsys.readouterr().out
    assert "mean rank (95% interval)" in printed
    assert main(["compare", "runs/good", "runs/fair", "-o", "board.html"]) == 0
    html = (tmp_path / "board.html").read_text()
    assert set(re.findall(r'href="([^"#:]+)"', html)) == {
        f"runs/{model}/{name}/report.html"
        for model in ("good", "fair")
        for name in ("rooms", "roads")
    }
    assert main(["compare", "runs/good/rooms", "runs/fair/rooms"]) == 0
    assert "rooms" in capsys.readouterr().out
    assert main(["compare", "runs/good/rooms", "runs/fair/roads"]) == 2
    assert "different benchmarks" in capsys.readouterr().err
    assert main(["compare", "runs", "--baseline", "good"]) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"nor one inside it has an evaluation\.json"):
        find_runs([tmp_path / "empty"])


def test_training_runs_have_one_name_on_all_benchmarks_and_no_absolute_path() -> None:
    runs = runs_of(
        run_on("alpha", "/home/me/kitti/street", 0.0),
        run_on("alpha", "/home/me/nyu/street", 0.01),
        run_on("beta", "/home/me/kitti/street", 0.0),
    )
    compared = standings(runs)
    assert [model.name for model in compared.standings] == ["kitti/street", "nyu/street"]
    assert [[row.name for row in group.rows] for group in compared.groups] == [
        ["kitti/street", "nyu/street"],
        ["kitti/street"],
    ]
