"""Pairs of models over several benchmarks: laws, an independent computation, and false claims."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables.comparison import Comparison, PairOverSets
from rilievo.evaluation.tables.comparison_report import write_comparison
from rilievo.evaluation.tables.leaderboard import model_pairs_table
from rilievo.evaluation.tables.pairs_over_sets import Errors, errors_by_scene, pairs_over_sets
from rilievo.evaluation.tables.runs import Run
from rilievo.evaluation.tables.standings import standings
from support.evaluations import METRICS, evaluation

ABS_REL, _, DELTA1 = METRICS
MODELS = ("a", "b", "c", "d", "e")
ALLOWED = 0.064
"""5%, and what 1,000 draws scatter by: 1.96 times the root of 0.05 x 0.95 / 1,000."""


def equal_models(
    rng: np.random.Generator, scenes: tuple[int, ...], models: int
) -> dict[str, Errors]:
    """Models that are alike: all find the same scenes hard, and differ by chance."""
    sets: dict[str, Errors] = {}
    for number, count in enumerate(scenes):
        hard = rng.normal(0, 0.6, count)
        images = rng.integers(1, 60, count)
        sets[f"set {number}"] = {
            name: images * np.exp(hard + rng.normal(0, 0.4, count)) for name in MODELS[:models]
        }
    return sets


def false_claims(scenes: tuple[int, ...], models: int, *, tries: int, draws: int) -> float:
    """Share of tables of equal models in which any pair is said to differ."""
    rng = np.random.default_rng(sum(scenes) + models)
    claims = 0
    for _ in range(tries):
        pairs = pairs_over_sets(equal_models(rng, scenes, models), draws)
        claims += any(pair.is_claimed for pair in pairs)
    return claims / tries


@pytest.mark.parametrize(("scenes", "models"), [((10, 20, 40), 2), ((8, 8, 8), 5)])
def test_equal_models_are_seldom_said_to_differ(scenes: tuple[int, ...], models: int) -> None:
    # 200 tries scatter by 3%.
    assert false_claims(scenes, models, tries=200, draws=300) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenes", "models"),
    [((10, 20, 40), 2), ((30, 30, 30, 30), 2), ((30, 30, 30, 30), 5), ((8, 8, 8), 2)],
)
def test_of_1000_tables_of_equal_models_at_most_64_claim(
    scenes: tuple[int, ...], models: int
) -> None:
    assert false_claims(scenes, models, tries=1000, draws=2000) <= ALLOWED


def two(rng: np.random.Generator, factor: float = 0.9) -> dict[str, Errors]:
    sets: dict[str, Errors] = {}
    for label, count in (("rooms", 12), ("roads", 25)):
        hard = np.exp(rng.normal(0, 0.7, count))
        noise = np.exp(rng.normal(0, 0.05, (2, count)))
        sets[label] = {"good": factor * hard * noise[0], "poor": hard * noise[1]}
    return sets


def test_a_model_that_is_better_everywhere_is_claimed_by_about_how_much() -> None:
    (found,) = pairs_over_sets(two(np.random.default_rng(1)))
    assert (found.better, found.worse) == ("good", "poor")
    assert found.is_claimed
    assert found.low < 0.9 < found.high < 1
    assert found.p <= 2 / 2001


def test_the_ratio_is_the_geometric_mean_over_sets_that_count_the_same() -> None:
    sets = {
        "one": {"a": np.array([1.0, 2, 3]), "b": np.array([2.0, 4, 6])},
        "two": {"a": np.array([1.0] * 9), "b": np.array([0.125] * 9)},
    }
    (found,) = pairs_over_sets(sets)
    assert (found.better, found.worse) == ("b", "a")
    assert found.ratio == pytest.approx(((6 + 6) / 6 * 1.125 / 9) ** 0.5)
    # No scene differs from its set's ratio, so nothing scatters.
    assert found.low == pytest.approx(found.ratio)
    assert found.high == pytest.approx(found.ratio)


def test_units_of_a_set_and_the_order_of_models_change_nothing() -> None:
    sets = two(np.random.default_rng(2), 0.98)
    (found,) = pairs_over_sets(sets)
    other = {
        label: {name: 39.37 * on[name] for name in reversed(list(on))} for label, on in sets.items()
    }
    (again,) = pairs_over_sets(other)
    assert again.better == found.better
    assert (again.ratio, again.low, again.high, again.p) == pytest.approx(
        (found.ratio, found.low, found.high, found.p), rel=1e-9
    )


def test_models_that_equal_each_other_to_the_bit_are_not_told_apart() -> None:
    errors = np.array([0.1, 0.3, 0.2, 0.25])
    sets = {label: {"a": errors, "b": errors} for label in ("x", "y")}
    (found,) = pairs_over_sets(sets)
    assert (found.ratio, found.low, found.high, found.p) == (1, 1, 1, 1)
    assert not found.is_claimed


def test_intervals_agree_with_a_bootstrap_written_out_scene_by_scene() -> None:
    """The same statistic from its definition: draws of indices, standard errors by residuals."""
    sets = two(np.random.default_rng(4), 0.95)
    (found,) = pairs_over_sets(sets)
    rng = np.random.default_rng(5)

    def statistic(rows: list[np.ndarray]) -> tuple[float, float]:
        middle = spread = 0.0
        for good, poor in rows:
            middle += np.log(good.mean() / poor.mean()) / len(rows)
            residuals = good / good.mean() - poor / poor.mean()
            spread += (residuals.std(ddof=1) / len(good) ** 0.5 / len(rows)) ** 2
        return middle, spread**0.5

    rows = [np.stack([on["good"], on["poor"]]) for on in sets.values()]
    middle, error = statistic(rows)
    away = []
    for _ in range(4000):
        drawn = [row[:, rng.integers(0, row.shape[1], row.shape[1])] for row in rows]
        at, its_error = statistic(drawn)
        away.append(abs(at - middle) / its_error)
    reach = np.quantile(away, 0.95) * error
    assert np.log(found.ratio) == pytest.approx(middle)
    assert np.log(found.high / found.ratio) == pytest.approx(reach, rel=0.06)


def test_more_pairs_make_every_interval_wider() -> None:
    rng = np.random.default_rng(6)
    many = equal_models(rng, (12, 15), 5)
    few = {label: {n: on[n] for n in ("a", "b")} for label, on in many.items()}
    (alone,) = pairs_over_sets(few)
    among = next(e for e in pairs_over_sets(many) if {e.better, e.worse} == {"a", "b"})
    assert among.low < alone.low < among.ratio < alone.high < among.high
    assert among.ratio == pytest.approx(alone.ratio)
    assert among.p >= alone.p


def test_errors_are_summed_by_scene_and_of_shares_what_they_lack() -> None:
    scenes = ("x", "x", "y", None)
    found = errors_by_scene({"a": (1, 2, 4, 8)}, Better.LOWER, "m", scenes, by_scene=False)
    assert found is not None
    assert found["a"].tolist() == [3, 4, 8]
    found = errors_by_scene({"a": (1, 2, 4, 8)}, Better.LOWER, "m", scenes, by_scene=True)
    assert found is not None
    assert found["a"].tolist() == [1.5, 4, 8]
    shares = {"a": (0.75, 1.0, 0.5, 0.25)}
    found = errors_by_scene(shares, Better.HIGHER, "", scenes, by_scene=False)
    assert found is not None
    assert found["a"].tolist() == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("values", "better", "unit", "scenes"),
    [
        ((20.0, 30, 40), Better.HIGHER, "dB", "xyz"),
        ((0.1, -0.1, 0.2), Better.LOWER, "", "xyz"),
        ((0.1, 0.1, 0.2), Better.ZERO, "", "xyz"),
        ((0.1, 0.2, 0.3), Better.LOWER, "", "xxy"),
    ],
)
def test_what_is_no_error_or_has_two_scenes_is_left_out(
    values: tuple[float, ...], better: Better, unit: str, scenes: str
) -> None:
    assert errors_by_scene({"a": values}, better, unit, tuple(scenes), by_scene=False) is None


def table(gains: dict[str, float], labels: tuple[str, ...] = ("rooms", "roads")) -> Comparison:
    runs = []
    for number, (label, model) in enumerate(itertools.product(labels, gains)):
        chance = np.random.default_rng(number)
        hard = np.random.default_rng(len(label) + ord(label[1])).uniform(0.05, 0.3, 40)
        values = hard * (1 + gains[model]) * np.exp(chance.normal(0, 0.03, 40))
        made = evaluation(
            model=model,
            benchmark=label,
            sha256=f"{sum(map(ord, label)):064x}",
            values={"abs_rel": values, "delta1": 1 - values},
            metrics=(ABS_REL, DELTA1),
        )
        runs.append(Run(folder=Path(f"{number}"), evaluation=made))
    return standings(runs)


def claims(found: tuple[PairOverSets, ...]) -> set[tuple[str, str]]:
    return {(each.better, each.worse) for each in found if each.is_claimed}


def test_a_leaderboard_says_which_models_differ_over_all_benchmarks(tmp_path: Path) -> None:
    made = table({"good": 0.0, "like": 0.0, "poor": 0.1})
    assert claims(made.pairs) == {("good", "poor"), ("like", "poor")}
    assert len(model_pairs_table(made).rows) == 3
    for name in ("board.html", "board.md"):
        write_comparison(made, tmp_path / name)
        text = (tmp_path / name).read_text()
        assert "significantly better" in text
        assert "not to other benchmarks" in text


def test_one_benchmark_has_no_pairs_over_benchmarks() -> None:
    made = table({"good": 0.0, "poor": 0.1}, ("rooms",))
    assert made.pairs == ()
    assert not any("Two models are compared" in note for note in made.notes)
