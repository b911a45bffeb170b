"""Predictions that are turned, or whose near and far are swapped, are told from bad ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rilievo.evaluation.records import Evaluation
from support.tiny_dataset import HEIGHT, WIDTH
from support.tiny_evaluation import run_tiny

SWAPPED = "near and far seem to be swapped"
Depth = np.ndarray


def room(number: int) -> Depth:
    """Depth [m] of a floor and a back wall, with a box and a wall at one side."""
    chance = np.random.default_rng(number)
    v, u = np.mgrid[:HEIGHT, :WIDTH] / np.array((HEIGHT, WIDTH))[:, None, None]
    back = chance.uniform(3, 6)
    depth = np.minimum(back, 0.8 / np.maximum(v - chance.uniform(0.3, 0.5), 0.01))
    depth = np.minimum(depth, 1.5 / np.maximum(u - chance.uniform(0.4, 0.6), 0.01))
    top, left = chance.integers(20, 34), chance.integers(2, 30)
    depth[top : top + 12, left : left + 14] = chance.uniform(1.2, 2)
    return depth.astype(np.float32)


def floor(number: int) -> Depth:
    """Depth [m] of a floor that fills the picture, with a box on it."""
    v, u = np.mgrid[:HEIGHT, :WIDTH] / np.array((HEIGHT, WIDTH))[:, None, None]
    depth = 1.2 / (0.2 + v + 0.05 * u)
    depth[8:30, 2 + number : 22 + number] = 1.2 / (0.2 + 30 / HEIGHT)
    return depth.astype(np.float32)


def run(
    root: Path,
    tmp_path: Path,
    predict: Callable[[Depth, int], Depth],
    kind: str,
    scene: Callable[[int], Depth] = room,
) -> Evaluation:
    """Evaluate what ``predict`` makes of the true depth and the number of each image."""
    theirs = tmp_path / "theirs"
    for number, path in enumerate(sorted((root / "depth").rglob("*.npy"))):
        depth = scene(number)
        np.save(path, depth)
        noise = np.exp(np.random.default_rng(number).normal(0, 0.05, depth.shape))
        file = theirs / path.relative_to(root / "depth")
        file.parent.mkdir(parents=True, exist_ok=True)
        predicted = predict((depth * noise).astype(np.float32), number)
        np.save(file, np.ascontiguousarray(predicted, np.float32))
    return run_tiny(None, root, output=tmp_path / "out", predictions=theirs, kind=kind)


def orientation_remarks(evaluation: Evaluation) -> list[str]:
    return [text for text in evaluation.warnings if "seem" in text and "unit" not in text]


@pytest.mark.parametrize("scene", [room, floor])
@pytest.mark.parametrize("kind", ["metric", "up_to_scale"])
@pytest.mark.parametrize(
    "predict",
    [
        lambda depth, _: 1 / depth,
        lambda depth, _: 600 * 0.2 / depth,
        lambda depth, _: 20 - depth,
    ],
    ids=["inverse depth", "disparity", "reversed depth"],
)
def test_one_remark_says_that_near_and_far_are_swapped(
    root: Path, tmp_path: Path, predict: Callable, kind: str, scene: Callable
) -> None:
    [remark] = orientation_remarks(run(root, tmp_path, predict, kind, scene))
    assert remark.startswith(f"in 6 images, {SWAPPED}: check the kind")


@pytest.mark.parametrize("scene", [room, floor])
@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda depth: depth[::-1], "upside down"),
        (lambda depth: depth[::-1, ::-1], "rotated by 180 degrees"),
    ],
)
def test_a_turned_prediction_is_not_called_swapped(
    root: Path, tmp_path: Path, turn: Callable, words: str, scene: Callable
) -> None:
    remarks = orientation_remarks(
        run(root, tmp_path, lambda depth, _: turn(depth), "metric", scene)
    )
    assert any(f"the prediction seems to be {words}" in remark for remark in remarks)
    assert not any(SWAPPED in remark for remark in remarks)


def test_a_mirrored_prediction_is_not_called_swapped(root: Path, tmp_path: Path) -> None:
    found = run(root, tmp_path, lambda depth, _: depth[:, ::-1], "metric")
    remarks = orientation_remarks(found)
    assert not any(SWAPPED in remark for remark in remarks)


@pytest.mark.parametrize(
    "predict",
    [
        lambda depth, _: depth,
        lambda depth, _: np.full_like(depth, 2),
        lambda depth, number: np.random.default_rng(number).uniform(1, 2, depth.shape),
        lambda depth, number: room(number + 6),
        lambda depth, number: depth * np.exp(np.random.default_rng(number).normal(0, 1, (48, 64))),
        # A third of the images is swapped, as by a model that fails.
        lambda depth, number: depth if number % 3 else 5 - 0.5 * depth,
    ],
    ids=["right", "constant", "noise", "other rooms", "noisy", "some swapped"],
)
def test_a_merely_bad_prediction_is_not_called_swapped_or_turned(
    root: Path, tmp_path: Path, predict: Callable
) -> None:
    found = run(root, tmp_path, predict, "up_to_scale")
    assert not orientation_remarks(found)
    assert not any("seem" in note for score in found.scores for note in score.notes)


def test_the_notes_of_images_agree_with_the_remark_on_the_run(root: Path, tmp_path: Path) -> None:
    def predict(depth: Depth, number: int) -> Depth:
        return 1 / depth if number else depth[::-1]

    found = run(root, tmp_path, predict, "metric", floor)
    [remark] = orientation_remarks(found)
    assert remark.startswith(f"in 5 images, {SWAPPED}")
    assert not any("upside down" in note for score in found.scores for note in score.notes)


@pytest.mark.parametrize("is_turned", [False, True])
def test_normals_in_other_axes_are_told(root: Path, tmp_path: Path, is_turned: bool) -> None:
    """Normals whose axes are those of OpenGL point the other way in two of three axes."""
    for path in (root / "normals").rglob("*.npy"):
        if is_turned:
            np.save(path, np.load(path) * np.array([1, -1, -1], np.float32)[:, None, None])
    evaluation = run_tiny("rilievo/small", root, benchmark="normals", output=tmp_path / "out")
    warning = "in 6 images, the normals are more than 90 degrees off on average"
    assert any(each.startswith(warning) for each in evaluation.warnings) == is_turned
