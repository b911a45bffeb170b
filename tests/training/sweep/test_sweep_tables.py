"""The table of a sweep: worked out by hand, published rows only where they are comparable."""

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Benchmark, benchmark_sha256
from rilievo.evaluation.probe_scores import published_under
from rilievo.pages.tables import comma_separated, latex, markdown
from rilievo.training.sweep.sweep_results import Better, Cell, Measured, Value
from rilievo.training.sweep.sweep_table import PUBLISHED, Table, make_table, spread_of
from rilievo.training.sweep.sweep_writing import full_table, shown_table

PROBE3D = BENCHMARKS["probe3d-nyuv2"]


def in_markdown(table: Table) -> str:
    return markdown(shown_table(table))


def in_latex(table: Table) -> str:
    return latex(shown_table(table))


def in_csv(table: Table) -> str:
    return comma_separated(full_table(table))


def cell(value: float, *, seed: int = 0, title: str = "mine", sha256: str = "0") -> Cell:
    return Cell(
        title=title,
        backbone="timm/x",
        layers=(0, 1),
        alone=False,
        probe="linear",
        task="depth",
        seed=seed,
        run="cells/x",
        backbone_parameters=2_500_000,
        probe_parameters=1000,
        training_cpu_seconds=1.0,
        predicting_cpu_seconds=0.25,
        predicting_seconds=0.2,
        measured=(
            Measured(
                benchmark=PROBE3D.name,
                sha256=sha256,
                images=5,
                unscored=0,
                values=(
                    Value(metric="delta1", label="δ1", unit="", better=Better.HIGHER, value=value),
                    Value(metric="rmse", label="RMSE", unit="m", better=Better.LOWER, value=0.5),
                ),
            ),
        ),
    )


def with_published(cells: list[Cell], benchmarks: Iterable[Benchmark]) -> Table:
    sha256s = {each.sha256 for one in cells for each in one.measured}
    published: Any = published_under(benchmarks, sha256s)
    return make_table("t", cells, published)


def test_mean_and_spread_worked_out_by_hand() -> None:
    """Values 1, 2, 6: mean 3, deviations 2, 1 and 3, squares 4 + 1 + 9 = 14, half of it 7."""
    score = spread_of([1.0, 2.0, 6.0])
    assert score.mean == 3
    assert score.spread == pytest.approx(7**0.5)
    assert spread_of([1.0]).spread is None


def test_seeds_become_one_row_with_its_spread_in_percent() -> None:
    table = make_table("t", [cell(0.5), cell(0.7, seed=1), cell(0.9, title="other")], {})
    text = in_markdown(table)
    assert "| mine | linear | 60.0 ± 14.1 | 0.500 ± 0.000 | 2.5 M | 0.250 |" in text
    assert "| other (one seed) | linear | 90.0 | 0.500 | 2.5 M | 0.250 |" in text


def test_small_networks_show_their_parameters_too() -> None:
    small = replace(cell(0.5), backbone_parameters=11_000)
    assert "| 0.011 M |" in in_markdown(make_table("t", [small], {}))


def test_published_rows_stand_where_the_benchmark_is_theirs_alone() -> None:
    right = cell(0.5, sha256=benchmark_sha256(PROBE3D))
    table = with_published([right], BENCHMARKS.values())
    published = [row for row in table.rows if row.probe == PUBLISHED]
    assert len(published) == 25
    line = next(line for line in in_markdown(table).splitlines() if line.startswith("| MAE B16 "))
    assert line == "| MAE B16 | published | 67.9 | 0.660 | - | - |"
    other = with_published([cell(0.5, sha256="changed")], BENCHMARKS.values())
    assert not [row for row in other.rows if row.probe == PUBLISHED]


def test_numbers_of_two_sources_never_share_a_row() -> None:
    row = PROBE3D.published[0]
    other = replace(row, values={"delta1": 0.5}, place="another paper")
    elsewhere = replace(row, data="frames, that no dataset here has")
    twice = replace(PROBE3D, published=(row, other, elsewhere))
    right = cell(0.5, sha256=benchmark_sha256(PROBE3D))
    table = with_published([right], [twice])
    published = [each for each in table.rows if each.probe == PUBLISHED]
    assert [(each.title, each.source) for each in published] == [
        ("MAE B16", row.source),
        ("MAE B16", "another paper"),
    ]
    assert [score.mean for score in published[1].scores.values()] == [0.5]
    sources = [each["source"] for each in csv.DictReader(io.StringIO(in_csv(table)))]
    assert sources == ["", row.source, "another paper"]


def test_both_benchmarks_of_normals_have_the_25_rows() -> None:
    for name in ("probe3d-nyuv2-normals", "probe3d-navi-normals"):
        rows = {row.model: row.values for row in BENCHMARKS[name].published}
        assert len(rows) == 25
        for values in rows.values():
            assert values["within_11_25"] < values["within_22_5"] < values["within_30"]
    assert rows["DINOv2 L14"] == {
        "within_11_25": 0.5015,
        "within_22_5": 0.747,
        "within_30": pytest.approx(0.8312),
        "rmse": 24.52,
    }


def test_every_number_is_in_the_comma_separated_table() -> None:
    text = in_csv(make_table("t", [cell(0.25), cell(0.75, seed=1)], {}))
    (row,) = csv.DictReader(io.StringIO(text))
    assert float(row["probe3d-nyuv2/delta1"]) == 0.5
    assert float(row["probe3d-nyuv2/delta1 spread"]) == pytest.approx(0.353553, abs=1e-6)
    assert (row["layers"], row["seeds"]) == ("0 1", "2")


def test_what_latex_reads_as_its_own_is_written_as_itself() -> None:
    text = in_latex(make_table("t", [cell(0.5, title="a_b & 50 %")], {}))
    assert r"a\_b \& 50 \% (one seed) & linear & 50.0" in text
    assert r"$\delta$1 \% $\uparrow$" in text
    rows = text.partition(r"\bottomrule")[0]
    assert rows.count(r"\\") == 2


def test_images_without_a_score_are_said_below() -> None:
    one = cell(0.5)
    (measured,) = one.measured
    gap = replace(one, measured=(replace(measured, unscored=2, reason="a: b"),))
    assert "2 images have no score under probe3d-nyuv2; the first, a: b" in in_markdown(
        make_table("t", [gap], {})
    )


def scored_on(title: str, values: dict[str, float], *, of: int) -> Cell:
    """A cell with a share of each image, the others of ``of`` without a score."""
    one = cell(0.5, title=title)
    (measured,) = one.measured
    mean = sum(values.values()) / len(values)
    share = replace(measured.values[0], value=mean, each=tuple(values.values()))
    measured = replace(
        measured,
        images=len(values),
        unscored=of - len(values),
        reason="c: the fit has a negative slope" if of > len(values) else None,
        values=(share,),
        ids=tuple(values),
    )
    return replace(one, measured=(measured,))


def test_rows_are_ranked_on_the_images_that_all_of_them_have() -> None:
    """A network that fails on hard images is not to look better than one that does not."""
    lucky = scored_on("lucky", {"a": 0.8, "b": 0.7}, of=4)
    strong = scored_on("strong", {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.4}, of=4)
    table = make_table("t", [lucky, strong], {})
    (column,) = table.columns
    assert [row.scores[column].mean for row in table.rows] == pytest.approx([0.75, 0.85])
    for text in (in_markdown(table), in_latex(table), in_csv(table)):
        assert "2 common images" in text
    assert "85.0" in in_markdown(table)
    # Where every image has a score, the benchmark's own numbers stay.
    whole = make_table("t", [strong], {})
    assert next(iter(whole.rows[0].scores.values())).mean == pytest.approx(0.6)
    assert "common images" not in in_markdown(whole)


def test_rows_without_a_common_image_have_no_number() -> None:
    cells = [scored_on("x", {"a": 0.8}, of=2), scored_on("y", {"b": 0.9}, of=2)]
    table = make_table("t", cells, {})
    assert [dict(row.scores) for row in table.rows] == [{}, {}]
    assert "0 images that all rows have" in in_markdown(table)


def test_a_title_with_a_bar_stays_in_its_column() -> None:
    line = in_markdown(make_table("t", [cell(0.5, title="a|b")], {})).splitlines()[4]
    assert line.startswith(r"| a\|b (one seed) | linear |")
