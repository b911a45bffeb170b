"""Depth and its steps on rendered frames with exact depth.

A step is where depth changes by more than a tenth from a pixel to the next one. F1 counts steps of
the truth and of the answer as the same within 2 px. Invented steps are those of the answer farther
than 8 px from any true one, in % of the land. Pixels beside steps, or beside the sky, are land
within 16 px.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from judge_rows import Rows
from scipy.ndimage import binary_dilation

import rilievo
from rilievo.errors import InputError
from rilievo.models.base import Model

_STEP = float(np.log(1.1))
_SAME, _FAR, _BESIDE = 2, 8, 16
_FEWEST = 200


def shards(folder: Path) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 3"], np.ndarray]]:
    """Yield kind, picture and log depth (infinite in the sky) of the shards of every kind.

    Raises:
        InputError: If the folder has none.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise InputError(f"no shard in {folder}")
    for path in paths:
        kind = path.parent.name
        with np.load(path) as file:
            pictures, logs = file["image"], file["log_depth"]
        for picture, log in zip(pictures, logs, strict=True):
            yield kind, picture, log.astype(np.float32)


def rendered_rows(model: Model, folder: Path) -> Rows:
    """Score a network on rendered frames, by kind."""
    rows = Rows()
    for kind, picture, true in shards(folder):
        depth = rilievo.predict(np.ascontiguousarray(picture), model=model).depth
        far = np.float32(depth.values[depth.valid].max())
        logs = np.log(np.where(depth.valid, depth.values, far))
        for measure, score in rendered_scores(logs, true).items():
            rows.add(measure, kind, score)
    return rows


def rendered_scores(
    logs: Float[np.ndarray, "h w"], true: Float32[np.ndarray, "h w"]
) -> dict[str, float]:
    """Scores of log depth beside the true one, which is infinite in the sky."""
    land = np.isfinite(true)
    t = np.where(land, true, 0)
    ours, theirs = steps(logs, land), steps(t, land)
    disc = np.hypot(*np.mgrid[-_SAME : _SAME + 1, -_SAME : _SAME + 1]) <= _SAME
    precision = _share(binary_dilation(theirs, disc)[ours])
    recall = _share(binary_dilation(ours, disc)[theirs])
    apart = ours & ~binary_dilation(theirs, iterations=_FAR)
    off = np.abs(np.expm1(logs - t - np.median((logs - t)[land])))
    beside = land & binary_dilation(theirs, iterations=_BESIDE)
    skyline = land & binary_dilation(~land, iterations=_BESIDE)
    return {
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "invented": 100 * float(apart.sum() / max(land.sum(), 1)),
        "rendered": float(off[land].mean()),
        "beside_steps": _mean(off, beside),
        "beside_sky": _mean(off, skyline),
    }


def steps(logs: Float[np.ndarray, "h w"], land: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels of the land at a step to the next pixel of the land, on either side of it."""
    found = np.zeros(land.shape, bool)
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        step = (np.abs(logs[first] - logs[second]) > _STEP) & land[first] & land[second]
        found[first] |= step
        found[second] |= step
    return found


def _share(values: Bool[np.ndarray, "n"]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _mean(values: Float[np.ndarray, "h w"], pixels: Bool[np.ndarray, "h w"]) -> float:
    return float(values[pixels].mean()) if np.count_nonzero(pixels) >= _FEWEST else float("nan")
