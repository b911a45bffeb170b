"""Confidences in files of other programs: found, pointed the right way, judged as what they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.foreign_confidence import KNOWN_CONFIDENCES, Meaning
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from support.tiny_evaluation import run_tiny

METRIC = ValueEncoding(number_kind=NumberKind.METRIC)
ORDER = ("ause_abs_rel", "aurg_abs_rel", "aurc_abs_rel")


def depth_with_errors(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Depth and the size of its relative error, by id."""
    found = {}
    for number, path in enumerate(sorted((root / "depth").rglob("*.npy"))):
        true = np.load(path)
        error = np.random.default_rng(number).uniform(0, 0.4, true.shape)
        id = path.relative_to(root / "depth").with_suffix("").as_posix()
        found[id] = (np.where(true > 0, true, 2) * (1 + error)).astype(np.float32), error
    return found


def scored(root: Path, folder: Path, output: Path, **options: object) -> dict[str, float]:
    evaluation = run_tiny(
        None, root, "certainty-order", predictions=folder, kind="metric", output=output, **options
    )
    return {summary.metric: summary.value for summary in evaluation.summaries}


@pytest.mark.parametrize(
    ("peer", "sign", "array"),
    [
        ("depth-anything-3", -1, "conf"),
        ("metric3d", -1, "confidence"),
        ("unidepth", 1, "confidence"),
        ("higher", -1, "confidence"),
        ("lower", 1, "confidence"),
    ],
)
def test_a_confidence_that_knows_the_errors_is_perfect_whichever_way_it_points(
    peer: str, sign: int, array: str, root: Path, tmp_path: Path
) -> None:
    for id, (depth, error) in depth_with_errors(root).items():
        file = tmp_path / "theirs" / f"{id}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        # As their networks give it: above 1, and of any scale.
        np.savez(file, depth=depth, **{array: 1 + np.exp(sign * 5 * error)})
    found = scored(root, tmp_path / "theirs", tmp_path / "out", sure=peer)
    assert found["ause_abs_rel"] == pytest.approx(0, abs=2e-5)
    assert found["aurg_abs_rel"] > 0.05
    other = "lower" if sign < 0 else "higher"
    if array == "confidence":
        turned = scored(root, tmp_path / "theirs", tmp_path / "turned", sure=other)
        assert turned["aurg_abs_rel"] < -0.05
        assert turned["aurc_abs_rel"] > found["aurc_abs_rel"] + 0.05


def test_the_mask_of_moge_lies_beside_its_depth(root: Path, tmp_path: Path) -> None:
    for id, (depth, error) in depth_with_errors(root).items():
        place = tmp_path / "theirs" / id
        place.mkdir(parents=True)
        np.save(place / "depth.npy", depth)
        Image.fromarray(np.where(error < 0.2, 255, 0).astype(np.uint8)).save(place / "mask.png")
    found = scored(
        root, tmp_path / "theirs", tmp_path / "out", sure="moge", pattern="{id}/depth.npy"
    )
    # Half of the pixels are told from the other half.
    assert found["aurg_abs_rel"] > 0.03


def opened(folder: Path, peer: str) -> np.ndarray:
    sure = KNOWN_CONFIDENCES[peer]
    found = open_predictions(
        folder, ("a",), value_encoding=METRIC, task=Task.DEPTH, confidence_source=sure
    )
    confidence = found.read("a").confidence
    assert confidence is not None
    return confidence


def test_orders_are_spread_over_0_to_1_and_unknown_pixels_are_least_sure(tmp_path: Path) -> None:
    values = np.array([[1.0, 5.0], [3.0, np.nan]])
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=values)
    assert opened(tmp_path, "higher").tolist() == [[0, 1], [0.5, 0]]
    assert opened(tmp_path, "lower").tolist() == [[1, 0], [0.5, 0]]
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=np.full((2, 2), 7.0))
    assert (opened(tmp_path, "higher") == 0.5).all()
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=np.array([[0.2, 0.4], [0, 1]]))
    assert opened(tmp_path, "probability").ravel().tolist() == pytest.approx([0.2, 0.4, 0, 1])


def test_what_is_missing_or_no_confidence_is_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), sureness=np.ones((2, 2)))
    with pytest.raises(InputError, match="has no array 'conf"):
        opened(tmp_path, "depth-anything-3")
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=np.full((2, 2), 1.5))
    with pytest.raises(InputError, match=r"range from 1\.5 to 1\.5, but probabilities"):
        opened(tmp_path, "probability")
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="NaN or infinite at all"):
        opened(tmp_path, "higher")
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)), confidence=np.ones((2, 2, 3)))
    with pytest.raises(InputError, match="expected one confidence per pixel"):
        opened(tmp_path, "higher")
    with pytest.raises(InputError, match="contains no file that belongs to an image"):
        opened(tmp_path, "moge")
    with pytest.raises(OptionError, match=r"sure does not accept 'mogge'.*moge"):
        EvaluateOptions(predictions=tmp_path, sure="mogge")


def test_an_order_is_never_scored_as_a_probability(root: Path, tmp_path: Path) -> None:
    for id, (depth, error) in depth_with_errors(root).items():
        file = tmp_path / "theirs" / f"{id}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, depth=depth, confidence=1 - error)
    given = {"predictions": tmp_path / "theirs", "kind": "metric"}
    with pytest.raises(OptionError, match="ranks the pixels but is not a probability"):
        run_tiny(None, root, "certainty", sure="metric3d", output=tmp_path / "a", **given)
    with pytest.raises(OptionError, match="does not score confidence"):
        run_tiny(None, root, "depth", sure="metric3d", output=tmp_path / "b", **given)
    order = run_tiny(None, root, "certainty-order", sure="metric3d", output=tmp_path / "c", **given)
    names = {each.metric for each in order.summaries}
    assert set(ORDER) < names
    assert not names & {"ece", "nll", "coverage90_gap"}
    assert order.reliability == ()
    assert "--sure metric3d" in order.command
    whole = run_tiny(None, root, "certainty", sure="probability", output=tmp_path / "d", **given)
    assert {"ece", "nll", "coverage90_gap"} < {each.metric for each in whole.summaries}
    with pytest.raises(OptionError, match="sure only applies to predictions"):
        run_tiny("rilievo/small", root, "certainty", sure="moge", output=tmp_path / "e")


def test_every_peer_says_where_its_authors_say_so() -> None:
    for name, peer in KNOWN_CONFIDENCES.items():
        assert peer.source or name in list(Meaning), name
    assert {metric for metric in BENCHMARKS["certainty-order"].metrics if metric.startswith("au")}
