"""Predictions as Monodepth2 saves them: one array of a split, disparity without a scale."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Absent
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.foreign_predictions import open_stack
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.records.depth_map import DepthKind
from support.kitti_lookalike import DATE, DRIVE, write_calibration, write_scan
from support.tiny_evaluation import TINY, run_tiny

DISPARITY = ValueEncoding(number_kind=NumberKind.DISPARITY)
LIKE_KITTI = replace(BENCHMARKS["kitti-monodepth2-improved"], name="mine", dataset=TINY, split=None)
IDS = ("a/1", "a/2", "b/1")


def test_the_maps_of_an_array_are_those_of_the_split_in_its_order(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).uniform(0.1, 9, (3, 1, 12, 40)).astype(np.float32)
    np.save(tmp_path / "disps_eigen_split.npy", stored)
    found = open_stack(
        tmp_path / "disps_eigen_split.npy", IDS, value_encoding=DISPARITY, task=Task.DEPTH
    )
    assert found.kind is DepthKind.UP_TO_SCALE
    for place, id in enumerate(IDS):
        depth = found.read(id).depth
        assert depth is not None
        np.testing.assert_allclose(depth.values, 1 / stored[place, 0], rtol=1e-6)


def test_an_array_scores_as_the_original_scores_it(root: Path, tmp_path: Path) -> None:
    """Inverse depth resized by OpenCV, turned into depth, scaled by medians."""
    paths = sorted((root / "depth").rglob("*.npy"))
    stored = np.random.default_rng(1).uniform(0.2, 5, (len(paths), 24, 32)).astype(np.float32)
    np.save(tmp_path / "disps_eigen_split.npy", stored)
    found = run_tiny(
        "monodepth2",
        root,
        LIKE_KITTI,
        predictions=tmp_path / "disps_eigen_split.npy",
        kind="disparity",
        output=tmp_path / "out",
    )
    assert found.made_by.model == "monodepth2"
    assert "--kind disparity" in found.command
    for score, path, small in zip(found.scores, paths, stored, strict=True):
        true = np.load(path).astype(np.float64)
        mask = true > 0
        p = 1 / cv2.resize(small, true.shape[::-1])[mask].astype(np.float64)
        p = np.clip(p * np.median(true[mask]) / np.median(p), 1e-3, 80)
        expected = np.mean(np.abs(p - true[mask]) / true[mask])
        assert score.values["abs_rel"] == pytest.approx(expected, rel=2e-6)


def test_an_array_of_another_length_or_kind_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "disps.npy"
    np.save(path, np.ones((2, 4, 6)))
    with pytest.raises(InputError, match="contains 2 maps, but the split lists 3 images"):
        open_stack(path, IDS, value_encoding=DISPARITY, task=Task.DEPTH)
    with pytest.raises(InputError, match=r"files of the split are missing.*with list"):
        open_stack(path, None, value_encoding=DISPARITY, task=Task.DEPTH)
    with pytest.raises(OptionError, match=r"set kind to .* or disparity"):
        open_stack(path, IDS, value_encoding=ValueEncoding(number_kind=None), task=Task.DEPTH)
    with pytest.raises(OptionError, match="not normals"):
        open_stack(path, IDS, value_encoding=DISPARITY, task=Task.NORMALS)
    np.save(path, np.ones((4, 6)))
    with pytest.raises(
        InputError, match=r"of shape \(4, 6\) and type float64, expected an npy file"
    ):
        open_stack(path, IDS, value_encoding=DISPARITY, task=Task.DEPTH)
    # numpy tokenises a header that it cannot parse.
    unclosed = b"\x93NUMPY\x01\x00\x76\x00" + b"{'shape': (2, 4, 6)".ljust(118)
    for content in (b"no array", unclosed):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not an npy file"):
            open_stack(path, IDS, value_encoding=DISPARITY, task=Task.DEPTH)


def test_kitti_keeps_the_place_of_what_is_absent(tmp_path: Path) -> None:
    write_calibration(tmp_path)
    write_scan(tmp_path, 5, [(3.0, 0.0, 0.0)])
    place = f"{DATE}/{DRIVE}/image_02/data"
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40)).save(tmp_path / place / "0000000005.png")
    (tmp_path / "list.txt").write_text("".join(f"{DATE}/{DRIVE} {k} l\n" for k in (3, 5, 8)))
    found = open_dataset("kitti-raw", tmp_path, list_file=tmp_path / "list.txt")
    assert found.ids == (f"{place}/0000000005",)
    assert found.listed == tuple(f"{place}/000000000{k}" for k in (3, 5, 8))
    assert all(isinstance(each, Absent) for each in found.absent)
