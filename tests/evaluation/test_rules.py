"""Rules of one's own: crops, masks, fits and interpolations outside the package, and parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Crop, benchmark_sha256
from rilievo.evaluation.benchmarks.suite import find_suite
from rilievo.evaluation.scoring.comparable_depth import comparable_depth
from rilievo.evaluation.scoring.score import score
from rilievo.extensions.trust import is_import_path, trust
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import depth_of, guess, scene
from support.stored_answers import stored
from support.tiny_evaluation import TINY, run_tiny, write_predictions

HERE = "test_rules"
PLAIN = replace(BENCHMARKS["depth"], name="plain", metrics=("abs_rel",))


def upper_half(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    return 0, shape[0] // 2, 0, shape[1]


def beyond(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    return 0, shape[0] + 1, 0, shape[1]


def nearer_than_11(truth: Truth) -> np.ndarray:
    return depth_of(truth) < 11


def as_numbers(truth: Truth) -> np.ndarray:
    return nearer_than_11(truth).astype(int)


def cubes(predicted: DepthMap, true: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The cube of the prediction, brought to the mean of the truth."""
    x = predicted.values.astype(np.float64) ** 3
    return x * true[valid].mean() / x[valid].mean()


def below(predicted: DepthMap, true: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return cubes(predicted, true, valid) - 1e9


def repeated(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.kron(values, np.ones((shape[0] // values.shape[0], shape[1] // values.shape[1])))


def broken(*_: object) -> None:
    raise ZeroDivisionError("of my own")


NOTHING = 3


def abs_rel(p: np.ndarray, t: np.ndarray) -> float:
    return float(np.mean(np.abs(p - t) / t))


def valid_of(truth: Truth) -> np.ndarray:
    assert truth.depth_valid is not None
    return truth.depth_valid & (depth_of(truth) > 0)


def test_a_crop_and_a_mask_say_which_pixels_count() -> None:
    truth = scene((40, 60))
    predicted = guess(truth, DepthKind.METRIC)
    own = replace(PLAIN, crop=f"{HERE}:upper_half", mask=f"{HERE}:nearer_than_11")
    found = score(own, stored(depth=predicted), truth).score
    mask = valid_of(truth) & (depth_of(truth) < 11)
    mask[20:] = False
    assert found.pixels == mask.sum()
    expected = abs_rel(predicted.values[mask].astype(np.float64), depth_of(truth)[mask])
    assert found.values["abs_rel"] == pytest.approx(expected, rel=1e-6)


def test_a_fit_of_ones_own_takes_any_kind() -> None:
    truth = scene((40, 60))
    predicted = guess(truth, DepthKind.AFFINE_INVERSE)
    own = replace(PLAIN, alignment={DepthKind.AFFINE_INVERSE: f"{HERE}:cubes"})
    found = score(own, stored(depth=predicted), truth).score
    mask = valid_of(truth)
    x = predicted.values.astype(np.float64)[mask] ** 3
    t = depth_of(truth)[mask].astype(np.float64)
    assert found.values["abs_rel"] == pytest.approx(abs_rel(x * t.mean() / x.mean(), t), rel=1e-6)
    assert (found.scale, found.shift) == (None, None)


def test_an_interpolation_of_ones_own_resizes_predictions() -> None:
    truth = scene((40, 60))
    small = np.random.default_rng(0).uniform(1, 9, (20, 30)).astype(np.float32)
    own = replace(PLAIN, interpolation=f"{HERE}:repeated")
    predicted = DepthMap(values=small, kind=DepthKind.METRIC)
    metres = comparable_depth(own, predicted, truth)
    np.testing.assert_array_equal(metres.depth, np.kron(small, np.ones((2, 2), np.float32)))


def test_an_input_crop_of_ones_own_cuts_photograph_and_truth(root: Path, tmp_path: Path) -> None:
    own = replace(PLAIN, dataset=TINY, input_crop=f"{HERE}:upper_half")
    found = run_tiny("rilievo/small", root, own, output=tmp_path / "out")
    assert found.settings["input_crop"] == f"{HERE}:upper_half"
    true = np.load(root / "depth" / f"{found.scores[0].id}.npy")
    assert found.scores[0].pixels == (true[:24] > 0).sum()


def test_words_of_the_enums_still_mean_themselves() -> None:
    assert Crop("nyu_eigen") in list(Crop)
    one = replace(BENCHMARKS["nyuv2-eigen"], crop="nyu_eigen")
    assert benchmark_sha256(one) == benchmark_sha256(BENCHMARKS["nyuv2-eigen"])
    truth = scene((480, 640), far=9)
    answer = stored(depth=guess(truth, DepthKind.METRIC))
    assert score(one, answer, truth).score == score(BENCHMARKS[one.name], answer, truth).score


def test_a_rule_of_ones_own_changes_the_hash() -> None:
    for change in (
        {"crop": f"{HERE}:upper_half"},
        {"mask": f"{HERE}:nearer_than_11"},
        {"interpolation": f"{HERE}:repeated"},
        {"alignment": {DepthKind.METRIC: f"{HERE}:cubes"}},
    ):
        assert benchmark_sha256(replace(PLAIN, **change)) != benchmark_sha256(PLAIN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop": f"{HERE}:beyond"}, "expected .top, bottom, left, right. inside"),
        ({"crop": f"{HERE}:broken"}, "failed: ZeroDivisionError: of my own"),
        (
            {"mask": f"{HERE}:as_numbers"},
            "returns .40, 60. int64, expected a bool array of shape .40, 60.",
        ),
        ({"alignment": {DepthKind.METRIC: f"{HERE}:below"}}, "clip it to a minimum depth"),
        ({"alignment": {DepthKind.METRIC: f"{HERE}:broken"}}, "failed: ZeroDivisionError"),
    ],
)
def test_what_a_rule_gives_is_checked(change: dict[str, object], words: str) -> None:
    truth = scene((40, 60))
    answer = stored(depth=guess(truth, DepthKind.METRIC))
    with pytest.raises(InputError, match=words):
        score(replace(PLAIN, **change), answer, truth)


def test_rules_that_are_not_there_are_refused_before_any_image(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    given = {"predictions": tmp_path / "theirs", "kind": "metric", "output": tmp_path / "out"}
    for change, words in (
        ({"crop": f"{HERE}:nowhere"}, "no crop 'test_rules:nowhere'"),
        ({"mask": f"{HERE}:NOTHING"}, "is of type int, expected a function"),
        ({"interpolation": "no.such:place"}, "no interpolation 'no.such:place'"),
    ):
        with pytest.raises(OptionError, match=words):
            run_tiny(None, root, replace(PLAIN, dataset=TINY, **change), **given)
    assert not (tmp_path / "out").exists()


def test_align_takes_a_function(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    given = {"predictions": tmp_path / "theirs", "kind": "affine", "output": tmp_path / "out"}
    found = run_tiny(None, root, "depth", align=f"{HERE}:cubes", **given)
    assert found.benchmark == f"depth+{HERE}:cubes"
    assert found.alignment == f"{HERE}:cubes"
    assert f"--align {HERE}:cubes" in found.command


def test_a_file_anywhere_holds_a_benchmark(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = tmp_path / "benches"
    folder.mkdir()
    (folder / "lab_rules_bench.py").write_text(
        "from dataclasses import replace\n"
        "from rilievo.evaluation.benchmarks import BENCHMARKS\n"
        "def left(shape):\n"
        "    return 0, shape[0], 0, shape[1] // 2\n"
        "LEFT = replace(BENCHMARKS['depth'], name='left', crop='lab_rules_bench:left')\n"
    )
    place = f"{folder}/lab_rules_bench.py:LEFT"
    assert is_import_path(place)
    try:
        assert find_benchmark(place).name == "left"
        write_predictions(root, tmp_path / "theirs")
        given = {"predictions": tmp_path / "theirs", "kind": "metric", "output": tmp_path / "out"}
        found = run_tiny(None, root, place, **given)
        true = np.load(root / "depth" / f"{found.scores[0].id}.npy")
        assert found.scores[0].pixels == (true[:, :32] > 0).sum()
        (folder / "ours.toml").write_text(
            "title = 'ours'\n[[runs]]\nbenchmark = 'lab_rules_bench.py:LEFT'\n"
        )
        trust(["lab_rules_bench.py:LEFT"])
        [run] = find_suite(folder / "ours.toml").runs
        assert (run.label, find_benchmark(run.benchmark).name) == ("LEFT", "left")
        with pytest.raises(OptionError, match="there is no file"):
            find_benchmark(f"{folder}/none.py:LEFT")
        (folder / "json.py").write_text("LEFT = 3")
        with pytest.raises(OptionError, match="another module is already called 'json'"):
            find_benchmark(f"{folder}/json.py:LEFT")
    finally:
        sys.modules.pop("lab_rules_bench", None)


@pytest.mark.usefixtures("with_report")
def test_parts_stand_beside_the_whole(root: Path, tmp_path: Path) -> None:
    own = replace(PLAIN, dataset=TINY, parts=("room0", "room1", "room2"))
    out = tmp_path / "out"
    found = run_tiny("rilievo/small", root, own, output=out)
    assert [(part.name, part.images) for part in found.parts] == [("room0", 3), ("room1", 3)]
    for part in found.parts:
        own_values = [
            each.values["abs_rel"] for each in found.scores if each.id.startswith(part.name)
        ]
        assert part.summaries[0].value == pytest.approx(np.mean(own_values), rel=1e-12)
    whole = np.mean([part.summaries[0].value for part in found.parts])
    assert found.summaries[0].value == pytest.approx(whole, rel=1e-12)
    assert "room1: 3 images" in (out / "report.html").read_text(encoding="utf-8")
    assert benchmark_sha256(replace(own, parts=())) == benchmark_sha256(own)
    for name in ("diode", "marigold-diode"):
        assert BENCHMARKS[name].parts == ("indoors", "outdoor")
