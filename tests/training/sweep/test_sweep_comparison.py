"""The comparison of a sweep's cells, worked out by hand."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.errors import InputError
from rilievo.evaluation.probe_comparison import ComparedProbes, compare_probes
from rilievo.pages.tables import tables_as_markdown
from rilievo.training.sweep.sweep_cell import CellMetric, CellScores, SweepCell

IMAGES = {"a": 0.5, "b": 0.25, "c": 0.75, "d": 0.5}


def cell(
    errors: Mapping[str, float],
    *,
    seed: int = 0,
    title: str = "mine",
    task: str = "depth",
    benchmark: str = "depth",
) -> SweepCell:
    """A cell with AbsRel of some images of a benchmark."""
    mean = sum(errors.values()) / len(errors)
    return SweepCell(
        title=title,
        layers=(0, 1),
        probe="linear",
        task=task,
        seed=seed,
        run="cells/x",
        backbone_parameters=2_500_000,
        probe_parameters=1000,
        training_cpu_seconds=1.0,
        predicting_cpu_seconds=0.25,
        measured=(
            CellScores(
                benchmark=benchmark,
                unscored=0,
                metrics=(
                    CellMetric(
                        label="AbsRel",
                        unit="",
                        better="lower",
                        value=mean,
                        by_image=tuple(errors.values()),
                    ),
                ),
                ids=tuple(errors),
            ),
        ),
    )


def compared(*cells: SweepCell) -> ComparedProbes:
    return compare_probes("Six backbones", cells, "nyuv2", "test", notes=())


def values(*cells: SweepCell) -> Mapping[str, float]:
    [comparison] = compared(*cells).compared.groups
    return {row.name: row.cells["abs_rel"].value for row in comparison.rows}


def shifted(by: float) -> Mapping[str, float]:
    return {id: value + by for id, value in IMAGES.items()}


def test_seeds_are_one_row_of_means_that_says_their_spread() -> None:
    """Seeds 0.5 and 0.7: mean 0.6, standard deviation 0.2 / sqrt 2."""
    both = (cell(IMAGES), cell(shifted(0.2), seed=1))
    assert values(*both) == {"mine, linear": pytest.approx(0.6)}
    text = tables_as_markdown(compared(*both, cell(shifted(0.1), title="other")).table)
    assert "Six backbones" in text
    assert "standard deviation over 2 seeds: AbsRel 0.141" in text
    assert "other, linear: one seed" in text
    assert "2.5 M parameters in the backbone, 0.250 CPU seconds per image" in text


def test_rows_are_compared_image_by_image_over_the_mean_of_their_seeds() -> None:
    """Each image of the other is worse by 0.1: the difference is, in each image."""
    comparison = compared(
        cell(IMAGES), cell(shifted(0.2), seed=1), cell(shifted(0.2), title="other")
    ).compared.groups[0]
    ((row, _, difference),) = comparison.differences()
    assert row.name == "other, linear"
    assert difference.mean == pytest.approx(0.1)


def test_rows_are_ranked_on_the_images_that_all_of_them_have() -> None:
    """A network that fails on hard images is not to look better than one that does not."""
    lucky = cell({"a": 0.2, "b": 0.3}, title="lucky")
    strong = cell({"a": 0.1, "b": 0.2, "c": 0.7, "d": 0.6}, title="strong")
    assert values(lucky, strong) == {
        "strong, linear": pytest.approx(0.15),
        "lucky, linear": pytest.approx(0.25),
    }
    # Where every image has a score, the benchmark's own numbers stay.
    assert values(strong) == {"strong, linear": pytest.approx(0.4)}


def test_images_without_a_score_and_probes_that_learned_nothing_are_said() -> None:
    one = replace(cell(IMAGES, seed=4), doubts=("no better than a constant",))
    (measured,) = one.measured
    gap = replace(one, measured=(replace(measured, unscored=2, reason="e: negative slope"),))
    text = tables_as_markdown(compared(gap).table)
    assert (
        "seed 4: 2 images have no score for depth; the reason for the first one: e: negative slope"
        in text
    )
    assert "seed 4 seems to have learned nothing: no better than a constant" in text


def test_frames_of_a_scene_are_no_independent_evidence() -> None:
    for scenes, has_interval in ((("x", "x", "x", "y"), False), ((None,) * 4, True)):
        rows = []
        for title, errors in (("one", IMAGES), ("other", {**IMAGES, "a": 0.9})):
            row = cell(errors, title=title)
            (measured,) = row.measured
            rows.append(replace(row, measured=(replace(measured, scenes=scenes),)))
        [comparison] = compared(*rows).compared.groups
        assert {row.cells["abs_rel"].low is not None for row in comparison.rows} == {has_interval}
        ((_, _, difference),) = comparison.differences()
        assert (difference.low is not None) is has_interval


def test_seeds_of_other_images_are_averaged_over_those_that_all_have() -> None:
    lucky = cell({"a": 0.2, "b": 0.3}, seed=1)
    assert values(cell(IMAGES), lucky) == {"mine, linear": pytest.approx((0.35 + 0.275) / 2)}


def test_rows_without_a_common_image_are_left_out_with_a_word() -> None:
    apart = [cell({"a": 0.8}, title="x"), cell({"b": 0.9}, title="y")]
    with pytest.raises(
        InputError, match="no image has a score in every row of the sweep for depth"
    ):
        compared(*apart)
    other = [cell(IMAGES, title=title, benchmark="depth-si") for title in ("x", "y")]
    text = tables_as_markdown(compared(*apart, *other).table)
    assert "depth is left out, because no image has a score in every row" in text


def test_tasks_that_share_a_benchmark_are_no_seeds_of_each_other() -> None:
    rows = values(cell(IMAGES, task="both"), cell(shifted(0.2)))
    assert rows == {"mine, linear, both": 0.5, "mine, linear, depth": pytest.approx(0.7)}


def test_several_benchmarks_stand_side_by_side_in_every_file(tmp_path: Path) -> None:
    probes = compared(
        *(
            cell(shifted(by), title=title, benchmark=benchmark)
            for title, by in (("a_b & 50%", 0.0), ("other", 0.1))
            for benchmark in ("depth", "depth-si")
        )
    )
    for name in ("table.md", "table.csv", "table.tex", "page.html"):
        probes.write(tmp_path / name)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["benchmark"], row["value"]) for row in rows[:2]] == [
        ("a_b & 50%, linear", "depth", "0.5"),
        ("other, linear", "depth", "0.6"),
    ]
    assert r"a\_b \& 50\%, linear" in (tmp_path / "table.tex").read_text("utf-8")
    assert "https:" not in (tmp_path / "page.html").read_text("utf-8")
