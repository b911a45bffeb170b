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

Corners = Mapping[Place, Float64[np.ndarray, "n 3"]]
"""Triangulated corners of targets: x [px], y [px] and depth up to one factor a target."""

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


def write_motions(path: Path, motions: Motions, corners: Corners) -> None:
    """Write motions and corners by the places of their frames.

    Raises:
        OutputError: If the file cannot be written.
    """
    make_folder(path.parent)
    places = np.array([[*target, *source] for target, source in motions], np.int64).reshape(-1, 4)
    matrices = np.array(list(motions.values()), np.float64).reshape(-1, 4, 4)
    counts = np.array([[*place, len(each)] for place, each in corners.items()], np.int64)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            places=places,
            source_T_target=matrices,
            corner_counts=counts.reshape(-1, 3),
            corners=np.concatenate([*corners.values(), np.zeros((0, 3))]).astype(np.float32),
        )


def read_corners(path: Path) -> dict[Place, Float64[np.ndarray, "n 3"]]:
    """Read the corners that ``write_motions`` wrote; empty from a run of an older version.

    Raises:
        InputError: If the file is broken.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "corners" not in stored:
                return {}
            counts, corners = stored["corner_counts"], stored["corners"].astype(np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{printable(path)}: no corners of a run: {reason(error)}") from error
    ends = np.cumsum(counts[:, 2]).tolist()
    return {
        Place(int(sequence), int(frame)): corners[end - count : end]
        for (sequence, frame, count), end in zip(counts, ends, strict=True)
    }


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
