"""Scored frames were not trained on: neither they nor others of their place."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from real_sets import REAL_SETS, RealSet

from lab.making import nyu_frames
from lab.scenes.pictures import read_photographs, scikit_image_photographs
from rilievo.data.datasets import open_dataset

NYU = "nyuv2_labeled_8bit"
ALIKE = 0.9
"""Correlation of thumbnails from which two photographs show one place."""


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Grey, 32×24, without what a white frame would cover, of mean 0 and length 1."""
    height, width = image.shape[:2]
    inner = image[int(0.1 * height) : int(0.96 * height), int(0.08 * width) : int(0.92 * width)]
    small = Image.fromarray(inner).convert("L").resize((32, 24), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).ravel()
    values -= values.mean()
    return values / max(1e-6, float(np.linalg.norm(values)))


def thumbnails(images: Iterable[np.ndarray]) -> np.ndarray:
    return np.stack([thumbnail(image) for image in images])


@pytest.fixture(scope="module")
def trained(data_folder: Path) -> np.ndarray:
    """Thumbnails of every photograph that training reads."""
    names = nyu_frames._training_names(data_folder / NYU)
    nyu = (np.asarray(Image.open(data_folder / NYU / "rgb" / f"{name}.jpg")) for name in names)
    textures = scikit_image_photographs() + read_photographs([data_folder / "photos_kodak24"])
    return np.concatenate([thumbnails(nyu), thumbnails(textures)])


def test_no_name_is_both_in_nyus_training_and_test_list(data_folder: Path) -> None:
    names = nyu_frames._training_names(data_folder / NYU)
    scored = open_dataset("nyuv2", data_folder / NYU, split="test", variant="filled").ids
    assert len(names) == 795
    assert len(scored) == 94
    assert not {Path(id).stem for id in scored} & set(names)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_SETS)
def test_no_scored_photograph_shows_a_place_of_the_training_frames(
    name: str, data_folder: Path, trained: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RILIEVO_DATA", str(data_folder))
    real: RealSet = REAL_SETS[name]
    opened = open_dataset(
        real.dataset, real.root(data_folder), split=real.split, variant=real.variant
    )
    scored = thumbnails(opened.image(id) for id in opened.ids)
    alike = bool(((scored @ trained.T).max(axis=1) > ALIKE).any())
    assert alike == real.trained
