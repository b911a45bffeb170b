"""Fit the confidence of ``--confidence mirror``: two numbers of a logistic regression.

    RILIEVO_DATA=folder python tools/fit_mirror_confidence.py

The difference of the default network's depth to that of the mirror image, at pixels of real frames
that do not judge networks, and whether depth is right there within a factor of 1.25 after medians.
Every set counts by the root of its frames. Prints LEVEL and SLOPE of
``rilievo.models.processing.mirror_confidence``, and for each set the area under the sparsification
error as a share of random order's, by the learned confidence and by this one.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from real_frames import samples
from real_sets import REAL_SETS

import rilievo
from rilievo.errors import RilievoError
from rilievo.models.base import Model
from rilievo.models.processing.mirror_confidence import LEAST, MIDDLE, mirror_difference
from rilievo.models.processing.refinement import mirror, mirror_back
from rilievo.models.resampling.resizing import resize
from rilievo.types import Photo, Sample

SETS = ("nyu-kept", "realsense", "sunrgbd", "motorcycle", "replica-47", "replica-156", "icl")
_MOST = 30
_NEAR = 1.25
_PIXELS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Pixels of one frame: difference to the mirror image, learned confidence, error."""

    difference: Float[np.ndarray, "n"]
    learned: Float[np.ndarray, "n"]
    abs_rel: Float[np.ndarray, "n"]
    right: Bool[np.ndarray, "n"]


def frames(model: Model, name: str, data: Path) -> Iterator[Frame]:
    """Compare the network with the truth of one set."""
    for sample in samples(REAL_SETS[name], data, _MOST):
        if sample.depth is not None:
            yield _frame(model, sample)


def _frame(model: Model, sample: Sample) -> Frame:
    photo = Photo(pixels=np.ascontiguousarray(sample.image), camera=sample.camera)
    [one], [other] = model.infer([photo]), model.infer([mirror(photo)])
    other = mirror_back(other)
    assert one.depth is not None
    assert other.depth is not None
    assert one.confidence is not None
    difference = mirror_difference(one.depth, other.depth, np.ones(one.depth.shape, bool))
    true = np.asarray(sample.depth)
    valid = np.isfinite(true) & (true > 0)
    if sample.depth_valid is not None:
        valid &= sample.depth_valid
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(valid))[:_PIXELS]
    depth, apart, learned = (
        resize(np.ascontiguousarray(field), true.shape).ravel()[chosen]
        for field in (one.depth, difference, one.confidence)
    )
    true = true.ravel()[chosen]
    depth *= np.median(true) / np.median(depth)
    return Frame(
        difference=apart,
        learned=learned,
        abs_rel=np.abs(depth - true) / true,
        right=np.maximum(depth / true, true / depth) < _NEAR,
    )


def fitted(sets: dict[str, list[Frame]]) -> tuple[float, float]:
    """Level and slope by Newton's method, every set weighed by the root of its frames."""
    every = [(frame, 1 / np.sqrt(len(found))) for found in sets.values() for frame in found]
    x = np.concatenate([np.log(np.maximum(frame.difference, LEAST)) - MIDDLE for frame, _ in every])
    y = np.concatenate([frame.right for frame, _ in every]).astype(float)
    w = np.concatenate([np.full(len(frame.right), weight) for frame, weight in every])
    X, weights = np.stack([np.ones_like(x), x], axis=1), np.zeros(2)
    for _ in range(30):
        chance = 1 / (1 + np.exp(-X @ weights))
        curvature = (X * (w * chance * (1 - chance))[:, None]).T @ X
        weights += np.linalg.solve(curvature, X.T @ (w * (y - chance)))
    return float(weights[0]), float(weights[1])


def _ratio(frame: Frame, confidence: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Areas between the sparsification curves by a confidence and by the error; and by chance."""
    chance = np.random.default_rng(1).random(len(confidence))
    least = _area(frame.abs_rel, -frame.abs_rel)
    return _area(frame.abs_rel, confidence) - least, _area(frame.abs_rel, chance) - least


def _area(errors: Float[np.ndarray, "n"], confidence: Float[np.ndarray, "n"]) -> float:
    """Mean over what is kept, from all pixels to the surest, of the mean error of those."""
    kept = errors[np.argsort(-confidence, kind="stable")]
    return float((np.cumsum(kept) / np.arange(1, len(kept) + 1)).mean())


def main() -> None:
    """Predict, fit and print."""
    data, model = Path(os.environ["RILIEVO_DATA"]), rilievo.load_model()
    sets: dict[str, list[Frame]] = {}
    for name in SETS:
        try:
            sets[name] = list(frames(model, name, data))
        except RilievoError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    level, slope = fitted({name: found for name, found in sets.items() if found})
    print(f"LEVEL, SLOPE = {level:.2f}, {slope:.2f}")
    for name, found in sets.items():
        learned, own = (
            np.mean([_ratio(frame, order(frame)) for frame in found], axis=0)
            for order in (lambda frame: frame.learned, lambda frame: -frame.difference)
        )
        print(
            f"{name} ({len(found)}): AUSE of random order's {learned[0] / learned[1]:.2f} learned, "
            f"{own[0] / own[1]:.2f} mirror"
        )


if __name__ == "__main__":
    main()
