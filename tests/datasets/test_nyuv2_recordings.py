"""NYU Depth V2 as it was recorded: raw disparity and time, and the copies at hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nyu_lookalikes as nyu
from rilievo.datasets import Dataset, open_dataset
from rilievo.datasets.nyuv2.layout import official_indices
from rilievo.errors import InputError


def _recording(folder: Path) -> Dataset:
    disparity = np.full((480, 640), 1000)
    disparity[0, :4] = (2047, 1093, 1058, 1057)
    nyu.write_disparity(folder / "d-1294886362.665769-3143255701.pgm", disparity)
    nyu.write_ppm(folder / "r-1294886362.600000-1.ppm", nyu.scene().photo)
    nyu.write_ppm(folder / "r-1294886363.011060-2.ppm", nyu.scene().photo[::-1])
    return open_dataset("nyuv2", folder.parent, split="all", variant="unregistered")


def test_raw_disparity_becomes_metres_with_the_photograph_nearest_in_time(tmp_path: Path) -> None:
    """351.3 / (1092.5 - 1000) = 3.7978; 1057 is the last whole disparity within 10 m."""
    (tmp_path / "attic").mkdir()
    dataset = _recording(tmp_path / "attic")
    assert dataset.ids == ("attic/d-1294886362.665769-3143255701",)
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is None
    np.testing.assert_allclose(sample.depth[1, 1], 3.797838, rtol=1e-6)
    assert sample.depth_valid[0, :5].tolist() == [False, False, False, True, True]
    np.testing.assert_array_equal(sample.image, nyu.scene().photo)


def test_raw_recordings_are_no_benchmark(tmp_path: Path) -> None:
    (tmp_path / "attic").mkdir()
    _recording(tmp_path / "attic")
    with pytest.raises(InputError, match="does not hold 'raw' but 'unregistered'"):
        open_dataset("nyuv2", tmp_path, split="all")
    with pytest.raises(InputError, match="no official split"):
        open_dataset("nyuv2", tmp_path, variant="unregistered")


def test_recorded_copies_are_read(data_folder: Path) -> None:
    copy = open_dataset("nyuv2", data_folder / "nyuv2_labeled_8bit", variant="filled")
    official = {f"{index:04d}" for index in official_indices("test")}
    assert len(copy) == 94
    assert set(copy.ids) <= official
    train = open_dataset(
        "nyuv2", data_folder / "nyuv2_labeled_8bit", split="train", variant="filled"
    )
    assert train.ids == tuple(f"{index:04d}" for index in official_indices("train"))
    sync = open_dataset("nyuv2", data_folder / "nyu_metric3d", split="all")
    assert sync.ids == ("00000", "00050", "00100")
    sample = sync.sample("00100")
    assert sample.depth is not None
    assert sample.depth_valid is not None
    with Image.open(data_folder / "nyu_metric3d" / "depth" / "sync_depth_00100.png") as stored:
        millimetres = np.asarray(stored)
    np.testing.assert_allclose(sample.depth * 1000, millimetres, rtol=1e-6)
    assert 0.6 < sample.depth_valid.mean() < 0.7
    dump = data_folder / "open3d_testdata_rgbd" / "other_formats"
    sample = open_dataset("nyuv2", dump, split="all", variant="unregistered")[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    inside = sample.depth[sample.depth_valid]
    assert 0.5 < inside.min() < inside.max() < 10
    assert 0.9 < sample.depth_valid.mean() < 0.95
