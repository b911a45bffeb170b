"""Means over sets: worked out by hand, the sets named, nobody averaged who lacks one."""

import csv
from pathlib import Path

import pytest

from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.suite_run import SuiteRow, rows_table
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_report import write_comparison
from rilievo.evaluation.tables.leaderboard import wide_table
from rilievo.evaluation.tables.long_table import long_table
from rilievo.evaluation.tables.runs import Run
from rilievo.evaluation.tables.standings import standings
from rilievo.pages.tables import table_as_csv, table_as_latex, tables_as_markdown
from support.evaluations import METRICS, evaluation, random_errors

SETS = ("marigold-nyuv2", "marigold-kitti", "marigold-diode")


def run_on(benchmark: str, model: str, error: float, dataset: str = "rooms") -> Evaluation:
    values = random_errors() * 0 + error
    return evaluation(
        model=model,
        benchmark=benchmark,
        dataset=dataset,
        sha256=f"{sum(map(ord, benchmark + dataset)):064x}",
        values={"abs_rel": values, "delta1": 1 - values},
        metrics=(METRICS[0], METRICS[2]),
    )


def standing(*made: Evaluation) -> Comparison:
    return standings([Run(folder=Path(str(i)), evaluation=each) for i, each in enumerate(made)])


def test_the_mean_counts_every_set_the_same_and_names_it(tmp_path: Path) -> None:
    made = [run_on(name, "a", error) for name, error in zip(SETS, (0.1, 0.2, 0.6), strict=True)]
    made += [run_on(name, "b", 0.25) for name in SETS]
    # Another program's benchmark is no set of Marigold's.
    made += [run_on("sunrgbd", model, 0.9) for model in "ab"]
    standings = standing(*made)
    assert {mean.metric.metric: mean.values for mean in standings.means} == {
        "abs_rel": {"a": pytest.approx(0.3), "b": pytest.approx(0.25)},
        "delta1": {"a": pytest.approx(0.7), "b": pytest.approx(0.75)},
    }
    assert standings.means[0].sets == SETS
    note = f"marigold: mean of 3 datasets, with equal weights: {', '.join(SETS)}."
    for text in (tables_as_markdown(wide_table(standings)), table_as_latex(wide_table(standings))):
        assert "0.3000" in text
        assert note in text
    assert r"\multicolumn{2}{c}{marigold: mean of 3 datasets}" in table_as_latex(
        wide_table(standings)
    )
    rows = csv.DictReader(table_as_csv(long_table(standings)).splitlines())
    [row] = [
        row
        for row in rows
        if (row["benchmark"], row["model"], row["metric"])
        == ("marigold: mean of 3 datasets", "a", "abs_rel")
    ]
    assert float(row["value"]) == pytest.approx(0.3)
    write_comparison(standings, tmp_path / "board.html")
    page = (tmp_path / "board.html").read_text()
    assert '<th scope="col">marigold: mean of 3 datasets: AbsRel ↓</th>' in page
    assert note in page


def test_one_benchmark_on_several_sets_has_a_mean() -> None:
    standings = standing(
        *(run_on("moge-affine", m, e, d) for m in "ab" for d, e in (("x", 0.1), ("y", 0.3)))
    )
    assert [mean.family for mean in standings.means] == ["moge-affine"] * 2
    assert standings.means[0].sets == ("moge-affine on x", "moge-affine on y")
    assert standings.means[0].values["a"] == pytest.approx(0.2)


def test_a_model_that_lacks_a_set_has_no_mean() -> None:
    made = [run_on(name, "a", 0.1) for name in SETS] + [run_on(SETS[0], "b", 0.1)]
    found = standing(*made)
    assert set(found.means[0].values) == {"a"}
    row = next(row for row in wide_table(found).terminal_rows if row[0] == "b")
    assert row[-1] == "–"


def test_a_changed_benchmark_is_not_averaged_with_the_others() -> None:
    assert not standing(run_on(SETS[0], "a", 0.1), run_on(f"{SETS[1]}+median", "a", 0.1)).means


def test_a_suite_ends_with_the_mean_over_its_sets() -> None:
    rows = [
        SuiteRow(label=name, folder=Path(), evaluation=run_on(name, "a", error))
        for name, error in zip(SETS, (0.1, 0.2, 0.6), strict=True)
    ]
    rows.append(SuiteRow(label="marigold-eth3d", folder=Path(), reason="no such folder"))
    made = rows_table(rows)
    assert made.terminal_rows[-1][:3] == ["marigold: mean of 3 datasets", "AbsRel", "0.3000"]
    assert made.terminal_rows[-2][-1] == "no such folder"
    assert "marigold-eth3d" not in made.notes[0]
