"""Whether maps of depth are told from maps of inverse depth by the shape of their surfaces.

Usage: ``RILIEVO_DATA=... python lab/studies/judge_inverse_depth.py``.

True maps of eleven datasets are given to ``rilievo.io.depth.surface_shape`` as they are, and as 1
over depth. The script prints, for each dataset and for all, the number of maps, of those that are
taken for inverse depth as they are (wrong), and of those that are taken for it as 1 over depth
(right).
Maps with few smooth and slanted surfaces tell nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.io.depth.surface_shape import has_straight_surfaces

_MOST_MAPS = 24
_PATTERNS = (
    "realsense_10/depth/*.png",
    "tum_fr1_desk_9/depth/*.png",
    "open3d_testdata_rgbd/depth/*.png",
    "panel_7scenes/*.depth.png",
    "panel_tartanair_hospital/depth/*.png",
    "panel_tum_rpy/depth/*.png",
    "nyu_metric3d/depth/*.png",
    "kitti_depth_metric3d/depth/*.png",
    "7scenes_redkitchen/*.depth.png",
    "sunrgbd_original/*/depth_bfx/*.png",
    "omnidata_replica/*zbuffer.png",
)
_NO_DEPTH = (0, 65535)


def _maps(pattern: str) -> Iterator[np.ndarray]:
    """Yield depth in any unit, NaN where there is none."""
    for path in sorted(Path(os.environ["RILIEVO_DATA"]).glob(pattern))[:_MOST_MAPS]:
        with Image.open(path) as image:
            counts = np.array(image).astype(np.float64)
        yield np.where(np.isin(counts, _NO_DEPTH), np.nan, counts)


def main() -> None:
    """Print the counts."""
    total = np.zeros(3, int)
    for pattern in _PATTERNS:
        row = np.zeros(3, int)
        for depth in _maps(pattern):
            valid = np.isfinite(depth)
            row += (1, has_straight_surfaces(depth, valid), has_straight_surfaces(1 / depth, valid))
        print(f"{pattern:40} {row[0]:4} maps, {row[1]:3} wrong, {row[2]:3} right")
        total += row
    print(f"{'all':40} {total[0]:4} maps, {total[1]:3} wrong, {total[2]:3} right")


if __name__ == "__main__":
    main()
