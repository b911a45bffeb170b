"""The official split of the 1449 labelled images."""

from pathlib import Path

import numpy as np

from rilievo.datasets.files import text_lines
from rilievo.datasets.mat_file import read_mat
from rilievo.errors import InputError
from rilievo.io.limits import printable

LABELLED = 1449
"""Number of labelled images."""

_VARIABLES = {"train": "trainNdxs", "test": "testNdxs"}


def official_indices(split: str) -> tuple[int, ...]:
    """Indices of the labelled images in a split, from 0, in order."""
    if split == "all":
        return tuple(range(LABELLED))
    test = _listed_test()
    if split == "test":
        return test
    return tuple(sorted(set(range(LABELLED)) - set(test)))


def split_indices(splits: Path, split: str, count: int) -> tuple[int, ...]:
    """Indices of a split, from 0, by the user's ``splits.mat``.

    Args:
        splits: The file ``splits.mat``, which comes with the labelled set.
        split: "train", "test" or "all".
        count: Number of labelled images in the data.

    Raises:
        InputError: If the file is broken, or names an image that does not exist, or one twice.
    """
    if split == "all":
        return tuple(range(count))
    name = _VARIABLES[split]
    stored = read_mat(splits, name)[name].ravel()
    indices = np.sort(stored.astype(np.int64)) - 1
    if not len(indices) or indices[0] < 0 or indices[-1] >= count:
        raise InputError(
            f"{printable(splits)}: '{name}' counts from 1 to the number of images, {count}, but "
            f"has {f'{indices[0] + 1} to {indices[-1] + 1}' if len(indices) else 'nothing'}"
        )
    if len(np.unique(indices)) != len(indices):
        raise InputError(f"{printable(splits)}: '{name}' names an image twice")
    return tuple(int(index) for index in indices)


def _listed_test() -> tuple[int, ...]:
    indices: list[int] = []
    for line in text_lines(Path(__file__).with_name("official_test.txt")):
        for run in line.text.split():
            first, _, last = run.partition("-")
            indices += range(int(first), int(last or first) + 1)
    return tuple(indices)
