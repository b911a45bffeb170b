"""The panel: frames of cameras that no training saw, and what a network says of each.

Four cameras decide which network is the default, the others are only shown: of these rows some have
one view, or fewer than twenty frames, so they say how one photograph went. The training of networks
never looks at either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt16
from real_frames import scored_samples
from real_sets import REAL_SETS

import rilievo
from rilievo.data.datasets.loaders import read_grey_integers
from rilievo.evaluation.metrics.boundary import boundary_counts, boundary_f1
from rilievo.evaluation.metrics.pairs import DepthPair, sparsify
from rilievo.evaluation.scoring.resizing import resize_confidence
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.photographs.photo import read_photo
from rilievo.measure.expected_errors import picture_doubt
from rilievo.measure.ranges import Circumstances, expected_error
from rilievo.models.base import Model
from rilievo.records.sample import Sample

DECIDING = ("nyu", "panel-7scenes", "panel-tum-rpy", "panel-tartanair-hospital")
SHOWN = ("nyu-kept", "nyu-seen", "realsense", "kitti-raw", "icl", "replica-47", "sunrgbd")
"""Cameras, rooms and frames that are only shown. Of NYU's training frames ``nyu-kept`` are those
that choose checkpoints, ``nyu-seen`` some that networks learn from."""
_FARTHEST = {"kitti-raw": 80.0, "kitti-depth": 80.0, "panel-tartanair-hospital": 30.0,
             "panel-7scenes": 8.0, "tartanair": 30.0}  # fmt: skip
_FARTHEST_ELSEWHERE = 10.0
_NEAREST = 0.1
_NOISY = frozenset({"icl", "panel-7scenes", "panel-tum-rpy", "nyu", "nyu-kept", "nyu-seen",
                    "realsense", "sunrgbd", "tum", "tum-pair"})  # fmt: skip
"""Sets whose normals come from the depth of a sensor, so from planes over more pixels."""
_WINDOW = 21
_FACTS, _PLACES = 6, 24
"""Known points of a frame, one after the other, and depths that are measured with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScores:
    """Scores of one network on one frame; depth is scaled by the ratio of medians.

    Attributes:
        camera: Name of the set.
        abs_rel: Mean |predicted - true| / true.
        delta1: Share of pixels within a factor of 1.25.
        angle: Mean angle of the normals [degrees]; NaN where none are known.
        boundary_f1: Depth Pro's F1 of occluding edges.
        ause: Area between the sparsification curves of AbsRel; NaN without a confidence.
        ause_random: The same of pixels taken out at random.
        errors: Size of the logarithms of measured over true depths, after one point was known.
        ranges: Errors that ``rilievo.measure.ranges`` expects of them.
        confidence: Mean confidence of the pixels with true depth; NaN without one.
        doubt: Doubt of the photograph, from which ranges follow.
    """

    camera: str
    abs_rel: float
    delta1: float
    angle: float
    boundary_f1: float
    ause: float
    ause_random: float
    errors: Float64[np.ndarray, "n"]
    ranges: Float64[np.ndarray, "n"]
    confidence: float = float("nan")
    doubt: float = float("nan")


def frames(name: str, data: Path) -> Iterator[Sample]:
    """Yield the frames of a set in order.

    Raises:
        RilievoError: If the set is not there.
    """
    if name == "panel-7scenes":
        yield from _seven_scenes(data / "panel_7scenes")
        return
    yield from scored_samples(REAL_SETS[name], data)


def _seven_scenes(folder: Path) -> Iterator[Sample]:
    """Yield frames with depth brought to the colour camera, as the folder's README says."""
    for path in sorted(folder.glob("*.depth.png")):
        stem = path.name.removesuffix(".depth.png")
        depth = registered(read_grey_integers(path))
        yield Sample(
            id=stem,
            image=read_photo(folder / f"{stem}.color.jpg").pixels,
            depth=depth,
            depth_valid=depth > 0,
            camera=Camera(K=pinhole_K(525.0, 525.0, 320.0, 240.0)),
        )


def registered(stored: UInt16[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Depth [m] in the colour camera's image; 0 where no pixel lands. The nearest one wins."""
    rows, columns = np.nonzero(stored)
    metres = stored[rows, columns].astype(np.float32) / 1000
    u = np.rint(525 * (columns - 320) / 585 + 320).astype(int)
    v = np.rint(525 * (rows - 240) / 585 + 240).astype(int)
    inside = (u >= 0) & (u < stored.shape[1]) & (v >= 0) & (v < stored.shape[0]) & (metres <= 8)
    nearest = np.full(stored.shape, np.inf, np.float32)
    np.minimum.at(nearest, (v[inside], u[inside]), metres[inside])
    return np.where(np.isfinite(nearest), nearest, np.float32(0))


def scored(
    name: str, model: Model, sample: Sample, seed: int, *, normals: bool = True
) -> FrameScores:
    """Score a network on one frame, with or without its normals."""
    assert sample.depth is not None
    photo = np.ascontiguousarray(sample.image)
    # Networks are compared, so the lines of a room do not correct their depth.
    given = rilievo.predict(photo, model=model, camera=sample.camera, manhattan=False)
    true, valid = sample.depth, valid_of(name, sample)
    depth = _scaled(given.depth.values, true, valid)
    pair = DepthPair(predicted=depth, true=true, valid=valid)
    off = np.abs(pair.p - pair.t) / pair.t
    ause = random = mean = float("nan")
    if given.confidence is not None:
        said = resize_confidence(given.confidence, true.shape)[valid].astype(np.float64)
        curves = sparsify(said, off)
        ause, random, mean = curves.ause, curves.ause + curves.aurg, float(said.mean())
    doubt = picture_doubt(given)
    errors, ranges = _measured(depth, true, valid, doubt, seed)
    return FrameScores(
        camera=name,
        abs_rel=float(off.mean()),
        delta1=float((np.maximum(pair.p / pair.t, pair.t / pair.p) < 1.25).mean()),
        angle=angle_of_normals(name, given.normals if normals else None, sample, valid),
        boundary_f1=boundary_f1(boundary_counts(pair), 1),
        ause=ause,
        ause_random=random,
        errors=errors,
        ranges=ranges,
        confidence=mean,
        doubt=doubt,
    )


def valid_of(name: str, sample: Sample) -> Bool[np.ndarray, "h w"]:
    """Pixels with true depth that are scored."""
    depth, valid = sample.depth, sample.depth_valid
    assert depth is not None
    farthest = _FARTHEST.get(name, _FARTHEST_ELSEWHERE)
    inside = np.isfinite(depth) & (depth > _NEAREST) & (depth < farthest)
    return inside if valid is None else inside & valid


def _scaled(
    predicted: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    return predicted * np.float32(np.median(true[valid]) / np.median(predicted[valid]))


def angle_of_normals(
    name: str,
    normals: Float32[np.ndarray, "3 h w"] | None,
    sample: Sample,
    valid: Bool[np.ndarray, "h w"],
) -> float:
    """Mean angle of normals to those of the true depth [degrees]; NaN where these are unknown."""
    assert sample.depth is not None
    if normals is None or sample.camera is None or valid.mean() < 0.2:
        return float("nan")
    window = _WINDOW if name in _NOISY else 3
    true, known = normals_from_depth(
        sample.depth.astype(np.float64), sample.camera.K, valid, window=window
    )
    cosine = np.clip((normals * true).sum(axis=0)[known], -1, 1)
    return float(np.degrees(np.arccos(cosine)).mean())


def _measured(
    depth: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    doubt: float,
    seed: int,
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Errors of depths after one point is known, and the errors expected of them."""
    chance = np.random.default_rng(seed)
    rows, columns = np.nonzero(valid)
    seen, off = np.log(depth[valid]), np.log(depth[valid] / true[valid])
    errors, ranges = [], []
    for _ in range(_FACTS):
        fact, *places = chance.integers(len(rows), size=1 + _PLACES)
        for place in places:
            apart = np.hypot(columns[place] - columns[fact], rows[place] - rows[fact])
            given = Circumstances(
                method="known points",
                known_size_distance=float(apart) / depth.shape[1],
                log_depth_ratio=abs(float(seen[place] - seen[fact])),
                doubt=doubt,
            )
            errors.append(abs(float(off[place] - off[fact])))
            ranges.append(expected_error("depth", given))
    return np.array(errors), np.array(ranges)
