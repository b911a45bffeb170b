"""Depth of views levelled out with that of their neighbours.

After each view has been corrected by itself, what is left differs from view to view by chance: the
same wall stands at another depth in each. Every pixel moves towards the depth that its neighbours
have of its point, some rounds long. Pictures say more of depth in some places than in others, so
the views are weighed by the clearness of their peaks; and a neighbour that differs too much sees
something else, or something that moved, and counts for nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rilievo.data.fuse.agreeing.plane_sweep import opencv
from rilievo.data.fuse.clip_views import ClipView, inside_view
from rilievo.geometry.intrinsics import seen_from
from rilievo.geometry.transforms import invert
from rilievo.shapes import Field

_ROUNDS = 4
_BLUR = 4.0
"""Sigma [px] by which factors are smoothed."""
_SELF = 2.0
"""Weight of a view's own depth, of that of one neighbour."""
_UNCLEAR = 0.03
"""Weight of a pixel whose picture says nothing of depth; clear ones have up to 1."""
_ELSEWHERE = 0.125
"""Difference of log depth at which a neighbour counts half, and beyond which hardly."""


def levelled(
    views: Sequence[ClipView],
    clear: Sequence[Field],
    around: Sequence[Sequence[int]],
) -> list[ClipView]:
    """Level the depth of views out, which is in the unit of their poses.

    Args:
        views: Views in the order of time.
        clear: Clearness of the depth of each pixel by the pictures, 0 to 1.
        around: Numbers of the neighbours of each view.
    """
    weights = [clearness + np.float32(_UNCLEAR) for clearness in clear]
    for _ in range(_ROUNDS):
        views = [
            _moved(view, weights[index], [(views[k], weights[k]) for k in around[index]])
            for index, view in enumerate(views)
        ]
    return list(views)


def _moved(
    view: ClipView,
    own: Field,
    others: Sequence[tuple[ClipView, Field]],
) -> ClipView:
    """One view, nearer to the depth of its neighbours."""
    total, weight = np.zeros_like(own), own * np.float32(_SELF)
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    for other, its in others:
        u, v, z = seen_from(depth, view.K, invert(other.world_T_cam) @ view.world_T_cam)
        inside = view.valid & inside_view(u, v, z, other.depth.shape)
        row, column = np.rint(v[inside]).astype(int), np.rint(u[inside]).astype(int)
        valid = other.valid[row, column]
        inside[inside] = valid
        row, column = row[valid], column[valid]
        apart = np.log(other.depth[row, column] / z[inside])
        counts = its[row, column] / (1 + (apart / _ELSEWHERE) ** 4)
        total[inside] += counts * apart
        weight[inside] += counts
    smooth = opencv().GaussianBlur
    logs = smooth(total, (0, 0), _BLUR) / smooth(weight, (0, 0), _BLUR)
    return replace(view, depth=(view.depth * np.exp(logs)).astype(np.float32))
