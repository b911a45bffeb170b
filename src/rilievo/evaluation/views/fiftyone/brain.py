"""Similarity of photographs, by FiftyOne's brain."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from rilievo.errors import MissingExtraError, OptionError
from rilievo.io.photographs.photo import read_photo
from rilievo.shapes import Values

SIMILARITY, UNIQUENESS = "similarity", "uniqueness"
_SIDE = 16
_LEAST = 4  # uniqueness follows from the distance to three others


def check_brain(images: int) -> None:
    """Refuse a view without FiftyOne's brain, or with too few images."""
    if find_spec("fiftyone") is None or find_spec("fiftyone.brain") is None:
        raise MissingExtraError("measuring similarity and uniqueness", "view")
    if images < _LEAST:
        raise OptionError(option="brain", problem=f"compares {_LEAST} images or more, got {images}")


def add_similarity(dataset: Any) -> None:
    """Index photographs by similarity of colours, and score how unique each is."""
    brain = import_module("fiftyone.brain")
    vectors = np.stack([tiny_image(path) for path in dataset.values("filepath")])
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    brain.compute_similarity(dataset, embeddings=vectors, brain_key=SIMILARITY, backend="sklearn")
    brain.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=vectors)


def tiny_image(path: str) -> Values:
    """Colours on a coarse grid, a vector in [0, 1] (Torralba et al., 2008)."""
    photo = Image.fromarray(read_photo(path, own_depth=False).pixels)
    return np.asarray(photo.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64).ravel() / 255
