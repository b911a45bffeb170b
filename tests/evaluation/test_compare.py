"""Comparisons: what is significant, what is refused, and what its tables say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import benchmark_settings, benchmark_sha256
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison_report import comparison_tables
from rilievo.evaluation.tables.long_table import long_table
from rilievo.pages.tables import table_as_csv, table_as_latex, tables_as_markdown
from support.evaluations import METRICS, evaluation, in_folder, random_errors, run_of

ABS_REL, DELTA1 = METRICS[0], METRICS[2]


def test_the_baseline_is_named_as_shown_or_by_the_whole_path_of_its_model() -> None:
    runs = [run_of("/runs/rooms", random_errors(0)), run_of("small", random_errors(1))]
    assert compare(runs, baseline="rooms").groups[0].baseline == "rooms"
    assert compare(runs, baseline="/runs/rooms").groups[0].baseline == "rooms"
    with pytest.raises(OptionError, match="no run '/runs/room' to use as the baseline"):
        compare(runs, baseline="/runs/room")


@given(st.integers(0, 10_000))
def test_swapping_two_runs_turns_the_difference_around(seed: int) -> None:
    a, b = run_of("a", random_errors(seed)), run_of("b", random_errors(seed + 1))
    there = {
        row.name: row.cells["abs_rel"] for row in compare([a, b], baseline="a").groups[0].rows
    }["b"]
    back = {row.name: row.cells["abs_rel"] for row in compare([a, b], baseline="b").groups[0].rows}[
        "a"
    ]
    assert there.difference is not None
    assert back.difference is not None
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.p == pytest.approx(back.difference.p)
    assert there.difference.low == pytest.approx(-(back.difference.high or 0), abs=1e-9)


def test_equal_runs_do_not_differ_and_none_is_best() -> None:
    compared = compare([run_of("a", random_errors()), run_of("b", random_errors())])
    cells = [row.cells["abs_rel"] for row in compared.groups[0].rows]
    assert [cell.rank for cell in cells] == [1, 1]
    assert not any(cell.is_best or cell.is_marked for cell in cells)
    (difference,) = [cell.difference for cell in cells if cell.difference]
    assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_a_run_that_is_better_on_every_image_is_best_and_says_by_how_much() -> None:
    values = random_errors(images=12)
    compared = compare(
        [run_of("worse", values + np.linspace(0.01, 0.02, 12)), run_of("ok", values)]
    )
    first, second = compared.groups[0].rows
    assert (first.name, second.name) == ("ok", "worse")
    assert first.cells["abs_rel"].is_best
    difference = second.cells["abs_rel"].difference
    assert difference is not None
    assert difference.mean == pytest.approx(0.015)
    assert 0.01 < (difference.low or 0) < 0.015 < (difference.high or 0) < 0.02
    # All twelve signs alike, on either side; one run needs no correction.
    assert difference.p == pytest.approx(2 / 2**12)


def test_the_best_is_bold_only_where_it_beats_every_run_significantly() -> None:
    values = random_errors()
    close = values + np.random.default_rng(1).normal(0.0005, 0.02, values.size)
    compared = compare([run_of("a", values), run_of("b", close), run_of("c", values + 0.05)])
    marked = {row.name: row.cells["abs_rel"].is_marked for row in compared.groups[0].rows}
    assert marked["c"]
    assert not marked["b"] or not marked["a"]
    assert not any(row.cells["abs_rel"].is_best for row in compared.groups[0].rows)


def test_what_p_alone_calls_significant_is_not_marked_where_the_interval_holds_zero() -> None:
    """Better on 35 of 40 images, but much worse on five: ranks say so, the mean does not."""
    values = random_errors()
    shift = np.where(np.arange(40) < 35, -0.01, 0.08)
    compared = compare([run_of("a", values), run_of("b", values + shift)], baseline="a")
    ((_, _, difference),) = compared.groups[0].differences()
    assert difference.p < 0.05
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < 0 < difference.high
    assert not difference.is_significant
    assert not any(row.cells["abs_rel"].is_best for row in compared.groups[0].rows)
    assert not any(row.cells["abs_rel"].is_marked for row in compared.groups[0].rows)


def test_frames_of_scenes_are_compared_scene_by_scene() -> None:
    values = random_errors()
    shift = np.linspace(0.01, 0.02, 40)
    names = tuple(f"{number // 8}" for number in range(40))
    runs = [
        run_of(name, each, scenes=names) for name, each in (("a", values), ("b", values + shift))
    ]
    compared = compare(runs, baseline="a")
    ((_, _, difference),) = compared.groups[0].differences()
    # Five scenes, all of one sign.
    assert difference.p == pytest.approx(2 / 2**5)
    assert difference.low is not None
    assert "5 scenes" in " ".join(compared.notes)
    one = tuple("seq-01" for _ in range(40))
    runs = [run_of(name, each, scenes=one) for name, each in (("a", values), ("b", values + 0.1))]
    compared = compare(runs)
    ((_, _, difference),) = compared.groups[0].differences()
    assert (difference.low, difference.high, difference.p) == (None, None, 1)
    assert not any(row.cells["abs_rel"].is_best for row in compared.groups[0].rows)
    assert "no intervals" in " ".join(compared.notes)
    assert "Wilcoxon" not in " ".join(compared.notes)


def test_two_images_are_too_few_for_the_tests_that_the_notes_explain() -> None:
    runs = [run_of("a", random_errors(images=2)), run_of("b", random_errors(1, images=2))]
    notes = " ".join(compare(runs).notes)
    assert "too few images" in notes
    assert "Wilcoxon" not in notes


def test_higher_is_better_where_the_metric_says_so() -> None:
    values = random_errors()
    runs = [
        evaluation(model=name, values={"delta1": each}, metrics=(DELTA1,))
        for name, each in (("low", values), ("high", values + 0.1))
    ]
    assert [row.name for row in compare(runs).groups[0].rows] == ["high", "low"]
    assert compare(runs).groups[0].rows[0].cells["delta1"].is_best


def test_what_is_best_near_zero_is_compared_by_its_size() -> None:
    bias = (("bias", "bias", "", Better.ZERO),)
    spread = np.linspace(-0.001, 0.001, 40)
    runs = [
        evaluation(model=name, values={"bias": each}, metrics=bias)
        for name, each in (
            ("over", 0.1 + spread),
            ("under", -0.1 + spread),
            ("near", 0.05 + spread),
        )
    ]
    compared = compare(runs, baseline="over")
    cells = {row.name: row.cells["bias"] for row in compared.groups[0].rows}
    assert compared.groups[0].rows[0].name == "near"
    assert cells["near"].is_best
    assert cells["near"].value == pytest.approx(0.05)
    assert cells["under"].value == pytest.approx(-0.1)
    assert cells["under"].difference is not None
    assert cells["under"].difference.mean == pytest.approx(0)
    assert not cells["under"].is_marked
    assert "the absolute value" in " ".join(compared.notes)


def test_p_values_carry_holms_correction_for_the_runs_of_a_metric() -> None:
    rng = np.random.default_rng(5)
    values = random_errors()
    others = [values + rng.normal(0.004, 0.01, values.size) for _ in range(2)]
    alone = [
        compare([run_of("a", values), run_of("x", difference)], baseline="a")
        for difference in others
    ]
    single = sorted(next(one.groups[0].differences())[2].p for one in alone)
    both = compare(
        [run_of("a", values), *(run_of(f"x{i}", o) for i, o in enumerate(others))], baseline="a"
    )
    together = sorted(difference.p for _, _, difference in both.groups[0].differences())
    assert together[0] == pytest.approx(2 * single[0])
    assert together[1] == pytest.approx(max(2 * single[0], single[1]))


def test_images_are_paired_by_id_and_not_by_place() -> None:
    values = random_errors()
    ids = tuple(f"{i:03}" for i in range(40))
    order = np.random.default_rng(0).permutation(40)
    a = run_of("a", values, ids=ids)
    b = run_of("b", values[order] + 0.01, ids=tuple(ids[i] for i in order))
    ((_, _, difference),) = compare([a, b], baseline="a").groups[0].differences()
    assert difference.low == pytest.approx(0.01)
    assert difference.high == pytest.approx(0.01)


def test_different_images_are_refused_unless_the_common_ones_are_asked_for() -> None:
    a, b = run_of("a", random_errors(0, 40)), run_of("b", random_errors(1, 36))
    with pytest.raises(
        InputError,
        match=r"40 and 36 images.*; .* only one of the runs has 'room/0036'.*use common .* 36 ",
    ):
        compare([a, b])
    compared = compare([a, b], common=True)
    assert compared.groups[0].image_count == 36
    cell = next(row for row in compared.groups[0].rows if row.name == "a").cells["abs_rel"]
    assert cell.value == pytest.approx(random_errors(0, 40)[:36].mean())
    assert cell.low is not None
    assert cell.low < cell.value
    assert "not the benchmark's own numbers" in "".join(compared.notes)
    assert "a 40, b 36" in "".join(compared.notes)


def test_runs_on_the_same_images_keep_their_own_numbers_with_common_too() -> None:
    a = replace(
        run_of("a", random_errors()),
        summaries=(replace(run_of("a", random_errors()).summaries[0], value=9.0),),
    )
    compared = compare([a, run_of("b", random_errors(1))], common=True)
    assert {row.name: row.cells["abs_rel"].value for row in compared.groups[0].rows}["a"] == 9.0


def test_runs_without_a_common_image_are_refused() -> None:
    a, b = (
        run_of("a", random_errors(images=2), ids=("1", "2")),
        run_of("b", random_errors(images=2), ids=("3", "4")),
    )
    with pytest.raises(InputError, match=r"no image has a score in every run.*'1' in a, '3' in b"):
        compare([a, b], common=True)


def test_different_benchmarks_are_refused_by_what_differs() -> None:
    a = run_of("a", random_errors(), settings={"crop": "none", "max_depth": 10.0})
    b = run_of(
        "b",
        random_errors(),
        settings={"crop": "none", "max_depth": 80.0, "clip": True},
        sha256="0" * 64,
    )
    with pytest.raises(InputError) as caught:
        compare([a, b])
    assert "max depth is 10 for the first run and 80 for the second" in str(caught.value)
    assert "crop" not in str(caught.value)
    with pytest.raises(InputError, match="look the same"):
        compare([a, replace(b, settings=a.settings)])
    with pytest.raises(InputError, match="the datasets are 'rooms' and 'halls'"):
        compare([a, run_of("b", random_errors(), dataset="halls", settings=dict(a.settings))])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"baseline": "bb"}, "no run 'bb' to use as the baseline"),
        ({"metrics": ["abs_rell"]}, "did you mean 'abs_rel'"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(given: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        compare([run_of("a", random_errors()), run_of("b", random_errors())], **given)
    with pytest.raises(OptionError, match="no run to compare"):
        compare([])


def test_metrics_come_in_the_order_that_was_asked_for() -> None:
    runs = [evaluation(model=name, seed=seed) for seed, name in enumerate("ab")]
    columns = compare(runs, metrics=["delta1", "abs_rel", "delta1"]).groups[0].columns
    assert [column.metric for column in columns] == ["delta1", "abs_rel"]


def test_a_metric_that_some_images_lack_says_on_how_many_it_rests() -> None:
    a, b = run_of("a", random_errors()), run_of("b", random_errors(1))
    cut = replace(a, scores=(replace(a.scores[0], values={}), *a.scores[1:]))
    compared = compare([cut, b])
    assert len(compared.groups[0].columns[0].ids) == 39
    assert "AbsRel: runs are compared on the 39 images" in "".join(compared.notes)


def test_runs_of_one_model_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [
        in_folder(run_of("m", random_errors(i)), tmp_path / name) for i, name in enumerate("xy")
    ]
    names = {row.name for row in compare([*folders, folders[0] / "evaluation.json"]).groups[0].rows}
    assert names == {"m (x)", "m (y)", "m (x) #2"}


def test_training_runs_are_named_by_as_much_of_their_path_as_tells_them_apart() -> None:
    models = ["/home/me/runs/rooms", "/home/me/kitti/street", "/home/me/nyu/street", "m"]
    compared = compare([run_of(model, random_errors(i)) for i, model in enumerate(models)])
    names = {row.name for row in compared.groups[0].rows}
    assert names == {"rooms", "kitti/street", "nyu/street", "m"}


def test_a_training_run_and_predictions_of_the_same_name_are_told_apart() -> None:
    runs = [run_of("/home/me/runs/rooms", random_errors()), run_of("rooms", random_errors(1))]
    assert {row.name for row in compare(runs).groups[0].rows} == {"runs/rooms", "rooms"}


def test_published_rows_stand_below_with_their_sources() -> None:
    card = find_benchmark("nyuv2-eigen")
    settings = {**benchmark_settings(card), "title": card.title}
    known = {"settings": settings, "sha256": benchmark_sha256(card)}
    run = run_of("a", random_errors(), benchmark="nyuv2-eigen", **known)
    compared = compare([run])
    published = [row for row in compared.groups[0].rows if row.is_published]
    with_metric = [model for model in card.published if "abs_rel" in model.values]
    best_first = sorted(with_metric, key=lambda model: model.values["abs_rel"])
    assert [row.name for row in published] == [model.model for model in best_first]
    assert with_metric
    assert compared.groups[0].title == card.title
    for text in (
        tables_as_markdown(*comparison_tables(compared)),
        table_as_latex(comparison_tables(compared)[0]),
        table_as_csv(long_table(compared)),
    ):
        assert "ublished" in text
        assert f"{with_metric[0].values['abs_rel']:g}" in text
    assert all(
        model.source[:12] in tables_as_markdown(*comparison_tables(compared))
        for model in with_metric
    )
    other = {**known["settings"], "max_depth": 80.0}
    for name, settings in (("nyuv2-eigen+log", known["settings"]), ("nyuv2-eigen", other)):
        changed = run_of("a", random_errors(), benchmark=name, settings=settings)
        assert not any(row.is_published for row in compare([changed]).groups[0].rows)


def test_a_part_of_a_split_is_said() -> None:
    made = [evaluation(model=name, images=12, seed=seed) for seed, name in enumerate("ab")]
    assert made[0].data.official == 17
    assert any("split has 17 images, but 12" in note for note in compare(made).notes)


def test_runs_of_different_processing_are_told_in_one_note() -> None:
    runs = [run_of(name, random_errors()) for name in "abc"]
    for index, settings in enumerate(({"processing": 1}, {"processing": 7})):
        made_by = replace(runs[index].made_by, settings=settings)
        runs[index] = replace(runs[index], made_by=made_by)
    [note] = [note for note in compare(runs).notes if "different processing" in note]
    assert "(a: 1, b: 7)" in note


def test_notes_say_where_runs_were_treated_differently() -> None:
    lost = (Unscored(id="z", reason="broken"),)
    a = run_of("a", random_errors(), unscored=lost, warnings=("looks like mm",))
    b = replace(run_of("b", random_errors(1), alignment="log"), version="9.9", kind=None)
    notes = " ".join(compare([a, b]).notes)
    assert "aligned in different ways" in notes
    assert "a: median, b: log" in notes
    assert "different versions" in notes
    assert "different processing" not in notes
    assert "up_to_scale, b: none" in notes
    assert "a: looks like mm." in notes
    assert "a: 1 of 41 images has no score: broken (z)." in notes
    pooled = run_of("a", random_errors(), settings={"averaging": "pooled"})
    assert "pools the pixels" in " ".join(compare([pooled]).notes)
