"""Judge focal lengths from vanishing points: ``RILIEVO_DATA=... python tools/judge_vanishing.py``.

Real frames whose focal length is known are read as they are and as their middle 60 %, as a longer
lens sees them. The error of the focal length that vanishing points give stands beside that of the
one that is assumed where a photograph says nothing.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from real_frames import samples
from real_sets import REAL_SETS

from rilievo.geometry.vanishing import Vanishing, find_vanishing
from rilievo.io.photographs.exif import assumed_camera
from rilievo.models.processing.vanishing_camera import grey_picture

SETS = {"nyu": 24, "7scenes": 4, "realsense": 10, "tum": 4, "sunrgbd": 12, "replica-47": 10,
        "icl": 3, "motorcycle": 1}  # fmt: skip
SHARES = (1.0, 0.6)


def trials(data: Path) -> Iterator[tuple[str, float, float, Vanishing | None]]:
    """Set, log error of the assumed focal length, true focal length, and what was found."""
    for name, most in SETS.items():
        for sample in samples(REAL_SETS[name], data, most):
            if sample.camera is None:
                continue
            for share in SHARES:
                rows, columns = sample.image.shape[:2]
                height, width = round(share * rows), round(share * columns)
                top, left = (rows - height) // 2, (columns - width) // 2
                crop = np.ascontiguousarray(sample.image[top : top + height, left : left + width])
                picture = grey_picture(crop)
                true = float(sample.camera.K[0, 0]) * max(picture.shape) / max(height, width)
                assumed = float(assumed_camera((picture.shape[0], picture.shape[1])).K[0, 0])
                found = find_vanishing(picture)
                yield f"{name} {share:g}", math.log(assumed / true), true, found


def main() -> None:
    """Print a line a trial, and the errors of those that were clear."""
    ours, theirs, total = [], [], 0
    for name, assumed, true, found in trials(Path(os.environ["RILIEVO_DATA"])):
        total += 1
        if found is None:
            continue
        error = math.log(found.focal / true)
        said = "clear" if found.is_clear else ""
        print(
            f"{name:16} error {error:+.3f} assumed {assumed:+.3f} doubt {found.doubt:.3f} "
            f"share {found.share:.2f} counts {found.counts} {said}"
        )
        if found.is_clear:
            ours.append(abs(error))
            theirs.append(abs(assumed))
    for who, errors in (("vanishing points", ours), ("assumed", theirs)):
        if errors:
            median, ninety = np.quantile(errors, (0.5, 0.9))
            print(f"{len(errors)} of {total} clear: {who}: median {median:.3f}, 90 % {ninety:.3f}")


if __name__ == "__main__":
    main()
