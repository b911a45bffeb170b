"""Predictions of a whole split in one npy file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.stored import Stored, depth_of, said_kind, stranger
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.io.files.limits import check_regular, printable, reason
from rilievo.types import DepthKind, MadeBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """An npy file with a map for each image; ``open_stack`` makes it."""

    path: Path
    stored: Stored
    kind: DepthKind
    made_by: MadeBy
    places: Mapping[str, int]

    def read(self, id: str) -> StoredPrediction:
        """The prediction of one image; nothing else is read."""
        numbers = np.array(_opened(self.path)[self.places[id]])
        try:
            depth = depth_of(numbers, self.stored)
            return StoredPrediction(made_by=self.made_by, depth_or_none=depth)
        except InputError as error:
            place = f"{printable(self.path)}[{self.places[id]}]"
            raise InputError(f"{place}: {error}") from error


def open_stack(path: Path, order: Sequence[str] | None, *, stored: Stored, task: Task) -> Stack:
    """The predictions of a split in one npy file, such as Monodepth2's ``disps_eigen_split.npy``.

    Args:
        path: An array (images, height, width), or with an axis of length one.
        order: Ids of all images of the split, those without files too; None where it is not known.
        stored: Meaning of the values.
        task: Quantity that is to be scored.
    """
    if task not in (Task.DEPTH, Task.PICTURE):
        raise OptionError(f"{path}: one array of a whole split holds depth, not {task}")
    kind = said_kind(stored, path)
    count = len(_opened(path))
    if order is None:
        raise InputError(
            f"{path}: its maps are in the split's order, but files of the split are missing, and "
            "so is its order; name the images that are there with --list"
        )
    if count != len(order):
        raise InputError(
            f"{path}: holds {count} maps, but the split lists {len(order)} images; it is read in "
            "the split's order, one map an image"
        )
    return Stack(
        path=path,
        stored=stored,
        kind=kind,
        made_by=stranger(path, kind, stored),
        places={id: place for place, id in enumerate(order)},
    )


def _opened(path: Path) -> Shaped[np.ndarray, "n h w"]:
    """The array, of which only what is asked for is read."""
    check_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is no npy file ({reason(error)})") from error
    if isinstance(array, np.ndarray) and array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "uif":
        shape = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(
            f"{path}: is {shape}, expected an npy file of numbers (images, height, width); a "
            "folder of predictions has a file an image"
        )
    return array
