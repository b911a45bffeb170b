"""Datasets name the photograph's own file only where it shows just what they read."""

from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.data.datasets.dataset import Dataset


def test_a_dataset_that_says_nothing_has_no_file_of_its_own() -> None:
    loader = find_dataset("moge-bundle")

    assert loader.photo_file is Dataset.photo_file


def test_the_file_of_sun_rgbd_shows_what_the_dataset_reads(data_folder: Path) -> None:
    dataset = open_dataset("sunrgbd", data_folder / "sunrgbd_original", split="all")
    [id] = dataset.ids

    file = dataset.photo_file(id)

    assert file is not None
    with Image.open(file) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), dataset.image(id))
