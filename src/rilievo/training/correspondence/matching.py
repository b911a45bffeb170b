"""Nearest neighbours in feature space, ranked by the ratio test."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float64, Int64

_CHUNK = 1024
"""Points that are compared with all others at once; their similarities take some 100 MB."""
_MIN_DISTANCE = 1e-9
"""Least cosine distance, so that ratios are finite for equal features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Correspondences, the most distinctive first.

    Attributes:
        first: Index of each point in the first view.
        second: Index of its nearest neighbour in the second view.
    """

    first: Int64[Tensor, "m"]
    second: Int64[Tensor, "m"]


def match_features(
    first: Float64[Tensor, "n c"], second: Float64[Tensor, "k c"], count: int
) -> Matches:
    """Match each point of the first view to the most similar one of the second, and rank them.

    Similarity is that of the cosine. The rank of a match is 1 - d1 / d2, with the cosine distances
    of the nearest and the second nearest neighbour (Lowe's ratio test), as in Probe3D. Distances
    need 64 bits, because neighbouring features often differ by less than 32 bits can tell apart.

    Args:
        first: Features of n points, of any length.
        second: Features of at least two points.
        count: Number of matches to keep; all if there are fewer.
    """
    first_directions = nn.functional.normalize(first)
    second_directions = nn.functional.normalize(second)
    distinctiveness = []
    nearest_index = []
    for chunk in first_directions.split(_CHUNK):
        cosines, two_nearest = (chunk @ second_directions.T).topk(2, dim=1)
        distances = (1 - cosines).clamp(min=_MIN_DISTANCE)
        distinctiveness.append(1 - distances[:, 0] / distances[:, 1])
        nearest_index.append(two_nearest[:, 0])
    # Indices of the points of the first view, the most distinctive match first.
    order = torch.cat(distinctiveness).argsort(descending=True, stable=True)[:count]
    return Matches(first=order, second=torch.cat(nearest_index)[order])
