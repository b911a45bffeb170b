"""Similarity and uniqueness of the photographs, by FiftyOne's brain."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from rilievo.errors import MissingExtraError, OptionError
from rilievo.io.photographs.photo import read_photo
from rilievo.shapes import Values

SIMILARITY, UNIQUENESS = "similarity", "uniqueness"
"""Key of the index of similarity, and field of each photograph's uniqueness, 0 to 1."""
_SIDE = 16
_LEAST = 4
"""Fewest photographs: uniqueness follows from the distance to three others."""


def check_brain(images: int) -> None:
    """Refuse a view without FiftyOne's brain, or with too few images for it."""
    if find_spec("fiftyone") is None or find_spec("fiftyone.brain") is None:
        raise MissingExtraError("measuring similarity and uniqueness", "view")
    if images < _LEAST:
        raise OptionError(option="brain", problem=f"compares {_LEAST} images or more, got {images}")


def add_similarity(dataset: Any) -> None:
    """Index the photographs of a dataset by similarity, and score how unique each one is.

    They are compared by their colours on a grid of 16 x 16 cells, without a network.

    Source: Torralba et al., 80 million tiny images, 2008.
    """
    brain = import_module("fiftyone.brain")
    vectors = np.stack([tiny_image(path) for path in dataset.values("filepath")])
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    brain.compute_similarity(dataset, embeddings=vectors, brain_key=SIMILARITY, backend="sklearn")
    brain.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=vectors)


def tiny_image(path: str) -> Values:
    """Colours of a photograph on a grid of 16 x 16 cells, as a vector of 768 numbers of 0 to 1."""
    photo = Image.fromarray(read_photo(path, own_depth=False).pixels)
    return np.asarray(photo.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64).ravel() / 255
