"""Inverse depth that is read as depth is noticed in ground truth, in predictions and in clips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.io.depth.plausibility import SURFACES_ARE_STRAIGHT, SURFACES_BEND
from support.slanted_rooms import room_depth

PHOTO = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
ROOM = room_depth(240, 320)

INVERSES = {
    "floating-point numbers": (1 / ROOM).astype(np.float32),
    "16 bits": np.rint(65535 * ROOM.min() / ROOM * 0.9).astype(np.uint16),
    "disparity": (40 / ROOM).astype(np.float32),
}


@pytest.mark.parametrize("form", INVERSES)
def test_inverse_truth_and_predictions_are_noticed(form: str, tmp_path: Path) -> None:
    stored = INVERSES[form]
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    if stored.dtype.kind == "u":
        Image.fromarray(stored).save(tmp_path / "depth/a.png")
    else:
        np.save(tmp_path / "depth/a.npy", stored)
    warnings = check_dataset(open_dataset("folder", tmp_path)).warnings
    assert any(SURFACES_ARE_STRAIGHT in warning for warning in warnings)
    for kind in NumberKind:
        opened = open_predictions(
            tmp_path / "depth",
            ["a"],
            value_encoding=ValueEncoding(number_kind=kind, scale=0.001),
            task=Task.DEPTH,
        )
        is_noticed = any(SURFACES_ARE_STRAIGHT in doubt for doubt in opened.number_warnings())
        assert is_noticed is (kind in (NumberKind.METRIC, NumberKind.UP_TO_SCALE))


def test_depth_that_is_given_as_inverse_depth_is_noticed(tmp_path: Path) -> None:
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    np.save(tmp_path / "depth/a.npy", ROOM.astype(np.float32))
    (tmp_path / "rilievo.yaml").write_text(
        "depth: {kind: disparity, baseline: 0.1}\ncamera: {fx: 262.5, cx: 159.5, cy: 119.5}\n"
    )
    [warning] = check_dataset(open_dataset("folder", tmp_path)).warnings
    assert SURFACES_BEND in warning
    for kind in NumberKind:
        opened = open_predictions(
            tmp_path / "depth",
            ["a"],
            value_encoding=ValueEncoding(number_kind=kind),
            task=Task.DEPTH,
        )
        is_noticed = any(SURFACES_BEND in doubt for doubt in opened.number_warnings())
        assert is_noticed is (kind in (NumberKind.DISPARITY, NumberKind.AFFINE_INVERSE))


@pytest.mark.parametrize("shift", [0.0, 0.3, 5.0])
def test_affine_inverse_depth_is_right_with_any_shift(shift: float, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (1 / ROOM + shift).astype(np.float32))
    stored = ValueEncoding(number_kind=NumberKind.AFFINE_INVERSE)
    opened = open_predictions(tmp_path, ["a"], value_encoding=stored, task=Task.DEPTH)
    assert opened.number_warnings() == []


def test_disparity_that_is_declared_is_not_doubted(tmp_path: Path) -> None:
    for folder in ("images", "depth"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "images/a.png")
    np.save(tmp_path / "depth/a.npy", (0.1 * 262.5 / ROOM).astype(np.float32))
    (tmp_path / "rilievo.yaml").write_text(
        "depth: {kind: disparity, baseline: 0.1}\ncamera: {fx: 262.5, cx: 159.5, cy: 119.5}\n"
    )
    assert check_dataset(open_dataset("folder", tmp_path)).warnings == ()
