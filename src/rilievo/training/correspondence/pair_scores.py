"""Errors of the correspondences of a pair, and means over pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Transform
from rilievo.training.correspondence.protocols import Protocol

_MIN_DEPTH = 1e-9
"""Depth to which points behind the camera are set before they are projected [m], as in Probe3D."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScore:
    """Scores of one pair of views.

    Attributes:
        first: Id of the first image; ``second`` is that of the second.
        angle: Angle of the rotation between the two cameras [degrees].
        matches: Number of correspondences that were scored.
        recalls: Share of correct correspondences, 0..1, at each threshold of the protocol.
    """

    first: str
    second: str
    angle: float
    matches: int
    recalls: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalls:
    """Mean recalls over pairs, 0..1.

    Attributes:
        by_threshold: Recall at each threshold of the protocol, over all pairs.
        by_angle: Recall at the main threshold over the pairs of each range of angles; None for a
            range without pairs.
        pairs_by_angle: Number of pairs in each of these ranges.
    """

    by_threshold: tuple[float, ...]
    by_angle: tuple[float | None, ...]
    pairs_by_angle: tuple[int, ...]


def rotation_angle(a_T_b: Transform) -> float:
    """Angle of a rotation [degrees], from its trace."""
    cosine = (np.trace(a_T_b[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def recalls_of_points(
    first: Float64[np.ndarray, "m 3"],
    second: Float64[np.ndarray, "m 3"],
    second_T_first: Transform,
    K: Matrix,
    protocol: Protocol,
) -> tuple[float, ...]:
    """Share of correspondences whose error is below each threshold.

    Args:
        first: Points in the frame of the first camera [m].
        second: Their counterparts in the frame of the second camera [m].
        second_T_first: Motion between the two frames [m].
        K: Intrinsics of the second image [px], in which errors in pixels are counted.
        protocol: Thresholds, and the size of the pixels.
    """
    first_in_second = first @ second_T_first[:3, :3].T + second_T_first[:3, 3]
    pixel_offsets = (_project(first_in_second, K) - _project(second, K)) / protocol.pixel
    errors_by_unit = {
        "m": np.linalg.norm(first_in_second - second, axis=1),
        "px": np.linalg.norm(pixel_offsets, axis=1),
    }
    return tuple(
        float(np.mean(errors_by_unit[threshold.unit] < threshold.value))
        for threshold in protocol.thresholds
    )


def _project(points: Float64[np.ndarray, "m 3"], K: Matrix) -> Float64[np.ndarray, "m 2"]:
    projected = points @ K.T
    return projected[:, :2] / np.maximum(projected[:, 2:], _MIN_DEPTH)


def mean_recalls(scores: Sequence[PairScore], protocol: Protocol) -> Recalls:
    """Mean over pairs, in total and in each range of angles."""
    recalls = np.array([score.recalls for score in scores])
    angles = np.array([score.angle for score in scores])
    main_recalls = recalls[:, protocol.thresholds.index(protocol.main)]
    by_angle: list[float | None] = []
    pairs_by_angle: list[int] = []
    for lowest_angle, highest_angle in protocol.ranges:
        is_in_range = (angles >= lowest_angle) & (angles < highest_angle)
        by_angle.append(float(main_recalls[is_in_range].mean()) if is_in_range.any() else None)
        pairs_by_angle.append(int(is_in_range.sum()))
    return Recalls(
        by_threshold=tuple(map(float, recalls.mean(axis=0))),
        by_angle=tuple(by_angle),
        pairs_by_angle=tuple(pairs_by_angle),
    )
