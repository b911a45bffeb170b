"""Copies of NYU Depth V2 at hand."""

from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.nyuv2.layout import official_indices


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
