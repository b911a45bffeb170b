"""The table of a sweep, worked out by hand."""

import csv
import io
from dataclasses import replace

from rilievo.pages.tables import comma_separated, latex, markdown
from rilievo.training.sweep.sweep_results import (
    CellMetric,
    Measured,
    SweepCell,
    make_table,
    mean_and_spread,
)


def cell(value: float, *, seed: int = 0, title: str = "mine") -> SweepCell:
    return SweepCell(
        title=title,
        layers=(0, 1),
        probe="linear",
        task="depth",
        seed=seed,
        run="cells/x",
        backbone_parameters=2_500_000,
        probe_parameters=1000,
        training_cpu_seconds=1.0,
        predicting_cpu_seconds=0.25,
        measured=(
            Measured(
                benchmark="probe3d-nyuv2",
                unscored=0,
                metrics=(
                    CellMetric(label="δ1", unit="", better="higher", value=value),
                    CellMetric(label="RMSE", unit="m", better="lower", value=0.5),
                ),
            ),
        ),
    )


def test_mean_and_spread_worked_out_by_hand() -> None:
    """Values 1, 2, 6: mean 3, deviations 2, 1 and 3, squares 4 + 1 + 9 = 14, half of it 7."""
    assert mean_and_spread([1.0, 2.0, 6.0], "m") == f"3.000 ± {7**0.5:.3f}"
    assert mean_and_spread([1.0], "m") == "1.000"


def test_seeds_become_one_row_with_its_spread_in_percent() -> None:
    table = make_table("t", [cell(0.5), cell(0.7, seed=1), cell(0.9, title="other")])
    text = markdown(table)
    assert "| mine | linear | 60.0 ± 14.1 | 0.500 ± 0.000 | 2.5 M | 0.250 |" in text
    assert "| other (one seed) | linear | 90.0 | 0.500 | 2.5 M | 0.250 |" in text


def test_small_networks_show_their_parameters_too() -> None:
    small = replace(cell(0.5), backbone_parameters=11_000)
    assert "| 0.011 M |" in markdown(make_table("t", [small]))


def test_spreadsheets_get_the_same_cells() -> None:
    text = comma_separated(make_table("t", [cell(0.25), cell(0.75, seed=1)]))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["probe3d-nyuv2: δ1 % ↑"] == "50.0 ± 35.4"
    assert row["probe3d-nyuv2: RMSE m ↓"] == "0.500 ± 0.000"


def test_what_latex_reads_as_its_own_is_written_as_itself() -> None:
    text = latex(make_table("t", [cell(0.5, title="a_b & 50 %")]))
    assert r"a\_b \& 50 \% (one seed) & linear & 50.0" in text
    assert r"$\delta$1 \% $\uparrow$" in text
    rows = text.partition(r"\bottomrule")[0]
    assert rows.count(r"\\") == 3  # benchmarks, headings and a row


def test_images_without_a_score_are_said_below() -> None:
    one = cell(0.5)
    (measured,) = one.measured
    gap = replace(one, measured=(replace(measured, unscored=2, reason="a: b"),))
    assert "2 images have no score under probe3d-nyuv2; the first, a: b" in markdown(
        make_table("t", [gap])
    )


def scored_on(title: str, values: dict[str, float], *, of: int) -> SweepCell:
    """A cell with a share of each image, the others of ``of`` without a score."""
    one = cell(0.5, title=title)
    (measured,) = one.measured
    mean = sum(values.values()) / len(values)
    share = replace(measured.metrics[0], value=mean, by_image=tuple(values.values()))
    measured = replace(
        measured,
        unscored=of - len(values),
        reason="c: the fit has a negative slope" if of > len(values) else None,
        metrics=(share,),
        ids=tuple(values),
    )
    return replace(one, measured=(measured,))


def test_rows_are_ranked_on_the_images_that_all_of_them_have() -> None:
    """A network that fails on hard images is not to look better than one that does not."""
    lucky = scored_on("lucky", {"a": 0.8, "b": 0.7}, of=4)
    strong = scored_on("strong", {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.4}, of=4)
    table = make_table("t", [lucky, strong])
    assert [row[2] for row in table.rows] == ["75.0", "85.0"]
    for text in (markdown(table), latex(table), comma_separated(table)):
        assert "2 common images" in text
    # Where every image has a score, the benchmark's own numbers stay.
    whole = make_table("t", [strong])
    assert whole.rows[0][2] == "60.0"
    assert "common images" not in markdown(whole)


def test_rows_without_a_common_image_have_no_number() -> None:
    cells = [scored_on("x", {"a": 0.8}, of=2), scored_on("y", {"b": 0.9}, of=2)]
    table = make_table("t", cells)
    assert [row[2] for row in table.rows] == [None, None]
    assert "0 images that all rows have" in markdown(table)


def test_a_title_with_a_bar_stays_in_its_column() -> None:
    line = markdown(make_table("t", [cell(0.5, title="a|b")])).splitlines()[4]
    assert line.startswith(r"| a\|b (one seed) | linear |")
