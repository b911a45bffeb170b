"""Motions by geometry in the folder of a run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.limits import printable, reason
from rilievo.train.video.targets import Place

Motions = Mapping[tuple[Place, Place], Float64[np.ndarray, "4 4"]]
"""``source_T_target`` by the places of target and source."""

FOLDER = "motions"
FIRST = "training"
"""Name of the file of the first estimate for the training targets; later ones have their step."""


def latest_motions(run: Path) -> dict[tuple[Place, Place], Float64[np.ndarray, "4 4"]]:
    """Read the last estimate for the training targets; empty where there is none.

    Raises:
        InputError: If the file is broken.
    """
    found = sorted((run / FOLDER).glob("[0-9]*.npz")) or [run / FOLDER / f"{FIRST}.npz"]
    return read_motions(found[-1]) if found[-1].is_file() else {}


def write_motions(path: Path, motions: Motions) -> None:
    """Write motions by the places of their frames.

    Raises:
        OutputError: If the file cannot be written.
    """
    make_folder(path.parent)
    places = np.array([[*target, *source] for target, source in motions], np.int64).reshape(-1, 4)
    matrices = np.array(list(motions.values()), np.float64).reshape(-1, 4, 4)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, places=places, source_T_target=matrices)


def read_motions(path: Path) -> dict[tuple[Place, Place], Float64[np.ndarray, "4 4"]]:
    """Read what ``write_motions`` wrote.

    Raises:
        InputError: If the file is broken.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            places, matrices = stored["places"], stored["source_T_target"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{printable(path)}: no motions of a run: {reason(error)}") from error
    return {
        (Place(*map(int, row[:2])), Place(*map(int, row[2:]))): matrix
        for row, matrix in zip(places, matrices, strict=True)
    }
