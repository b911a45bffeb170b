"""The panel: its statistics against other computations, its rule, its depth and its rows."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from judge_models import judge, relearned, summary, table, verdict
from panel import DECIDING, FrameScores, registered
from panel_rule import BLOCK, DRAWS, Change, changes, compare, decide

from rilievo.models import MODELS, load_model
from rilievo.models.default.embedded import read_long_card


def errors(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4.0, 0.04, count)


def width(draws: np.ndarray) -> float:
    low, high = np.quantile(draws, [0.05, 0.95])
    return float(high - low)


def test_an_interval_is_that_of_the_ratio_of_means_by_the_delta_method() -> None:
    """Frames of one block are alike, so there are as many independent ones as blocks."""
    old = np.repeat(errors(0, 300), BLOCK)
    new = np.repeat(0.9 * errors(0, 300) * np.random.default_rng(1).normal(1, 0.2, 300), BLOCK)
    ratio = new.mean() / old.mean()
    residual = (new - ratio * old)[::BLOCK] / old.mean()
    expected = 2 * 1.645 * residual.std() / np.sqrt(300)
    draws = changes(old, new, np.random.default_rng(2))
    assert width(draws) == pytest.approx(expected, rel=0.08)
    assert draws.mean() == pytest.approx(ratio - 1, abs=3e-3)


def test_draws_are_paired_and_of_whole_blocks() -> None:
    old = errors(3, 48)
    assert np.ptp(changes(old, 1.1 * old, np.random.default_rng(0))) < 1e-9
    blocks = np.repeat([0.0, 1.0], BLOCK)
    drawn = changes(np.ones(2 * BLOCK), 1 + blocks, np.random.default_rng(0))
    assert set(np.round(drawn, 9)) == {0.0, 0.5, 1.0}
    assert np.mean(drawn == 0.5) == pytest.approx(0.5, abs=4 / np.sqrt(DRAWS))


def test_a_last_block_that_is_shorter_weighs_by_its_frames() -> None:
    old = np.ones(BLOCK + 1)
    drawn = changes(old, np.array([1.0] * BLOCK + [2.0]), np.random.default_rng(0))
    assert set(np.round(drawn, 9)) == {0.0, 1.0, round(1 / (BLOCK + 1), 9)}


@pytest.mark.parametrize(
    ("together", "cameras", "replaces"),
    [
        ((-0.05, -0.09, 0.01), ((-0.2, -0.3, -0.1), (0.1, -0.01, 0.2)), True),
        ((-0.01, -0.02, -0.001), ((-0.01, -0.1, 0.1),), True),
        ((-0.02, -0.05, 0.01), ((-0.02, -0.1, 0.1),), False),
        ((-0.09, -0.12, -0.06), ((-0.3, -0.4, -0.2), (0.05, 0.01, 0.1)), False),
    ],
)
def test_the_rule(
    together: tuple[float, float, float],
    cameras: tuple[tuple[float, float, float], ...],
    *,
    replaces: bool,
) -> None:
    def change(of: tuple[float, float, float]) -> Change:
        return Change(mean=of[0], low=of[1], high=of[2])

    found = decide({str(k): change(each) for k, each in enumerate(cameras)}, change(together))
    assert found[0] is replaces
    assert found[1]


def test_cameras_count_alike_and_a_worse_one_forbids() -> None:
    old = {name: np.full(count, 0.2) for name, count in (("a", 24), ("b", 96))}
    found = compare(old, {"a": 0.5 * old["a"], "b": old["b"]})
    assert found.together.mean == pytest.approx(-0.25)
    assert found.replaces
    worse = compare(old, {"a": 0.5 * old["a"], "b": 1.01 * old["b"]})
    assert not worse.replaces
    assert "b" in worse.reason


def test_few_frames_and_other_frames_decide_nothing() -> None:
    few = {"a": np.full(19, 0.2)}
    with pytest.raises(ValueError, match="19 frames"):
        compare(few, few)
    with pytest.raises(ValueError, match="same frames"):
        compare({"a": np.full(30, 0.2)}, {"a": np.full(29, 0.2)})


def test_depth_lands_where_the_colour_camera_sees_it_and_the_nearest_wins() -> None:
    stored = np.zeros((480, 640), np.uint16)
    stored[240, 320] = 1500  # the middle stays
    stored[240, 320 + 117] = 2000  # 117 of 585 becomes 105 of 525
    stored[100, 301], stored[100, 302] = 900, 800  # both land on one pixel
    stored[0, 0] = 9000  # beyond 8 m
    found = registered(stored)
    assert found[240, 320] == pytest.approx(1.5)
    assert found[240, 320 + 105] == pytest.approx(2.0)
    row, (first, second) = (
        round(240 - 140 * 525 / 585),
        (round(320 - 525 * each / 585) for each in (19, 18)),
    )
    assert {float(found[row, first]), float(found[row, second])} <= {
        np.float32(0.9), np.float32(0.8)
    }  # fmt: skip
    assert np.count_nonzero(found) in (3, 4)


def scores(camera: str, error: float, expected: float, count: int = 24) -> list[FrameScores]:
    chance = np.random.default_rng(0)
    return [
        FrameScores(
            camera=camera, abs_rel=error, delta1=0.7, angle=20.0, boundary_f1=0.1, ause=0.08,
            ause_random=0.1, errors=error * np.abs(chance.standard_normal(50)),
            ranges=np.full(50, expected),
        )
        for _ in range(count)
    ]  # fmt: skip


def test_ranges_are_learned_on_the_other_cameras() -> None:
    """80% of normal errors lie within 1.2816 deviations, however large the expected ones are."""
    alike = {name: scores(name, 0.2, 0.9) for name in DECIDING}
    held, wide = relearned(alike, DECIDING[0])
    assert held == pytest.approx(0.8, abs=0.02)
    assert wide == pytest.approx(1.0, abs=0.02)
    one = {**alike, DECIDING[0]: scores(DECIDING[0], 0.4, 0.9)}
    assert relearned(one, DECIDING[0])[0] == pytest.approx(0.478, abs=0.04)
    assert relearned(one, DECIDING[1])[0] > 0.85


def test_the_table_and_the_summary_say_the_figures() -> None:
    old = {name: scores(name, 0.2, 0.9) for name in DECIDING}
    new = {name: scores(name, 0.15, 0.9) for name in DECIDING}
    text = table(("a", "b"), (old, new))
    assert text.count("0.2000 / 0.700") == text.count("0.1500 / 0.700") == len(DECIDING)
    assert "nyu (24) | a" in text
    better = summary("b", "a", verdict(old, new))
    assert "- mean of the cameras: -25.0% [-25.0%, -25.0%]\n- nyu: -25.0%" in better
    assert "`b` meets both conditions." in better
    worse = summary("a", "b", verdict(new, old))
    assert "`a` does not meet the rule: worse on nyu" in " ".join(worse.split())


@pytest.mark.slow
def test_the_hospital_of_the_panel_scores_what_the_card_says(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = read_long_card(MODELS["rilievo/base"])
    assert details is not None
    row = re.search(r"hospital \(24\).*\n\|  \| rilievo/base \| (\S+) / (\S+) ", details)
    assert row is not None
    monkeypatch.setenv("RILIEVO_DATA", str(data_folder))
    base = load_model("rilievo/base", device="cpu", threads=1)
    (found,) = judge([base], ["panel-tartanair-hospital"], data_folder)
    kept = found["panel-tartanair-hospital"]
    assert len(kept) == 24
    assert np.mean([each.abs_rel for each in kept]) == pytest.approx(float(row[1]), abs=1.5e-3)
    assert np.mean([each.delta1 for each in kept]) == pytest.approx(float(row[2]), abs=2e-3)
