"""Errors of lengths, poses and focal lengths by known rectangles, on random planes.

    python lab/studies/judge_rectangles.py [COUNT]

Planes are slanted by 20 to 65 degrees, the shortest side has 150 pixels or more of a picture of
1280x960, and corners are off by up to half a pixel. Lenses are known and distort; then they are
pinholes whose focal length is not known. Last, corners and ends are off by normal errors of one
pixel, as ranges assume.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np

from lab.scenes.seen_rectangles import (
    FARTHEST_VANISHING,
    SHAPE,
    SeenRectangle,
    seen_rectangles,
)
from rilievo.calibration.rectangle_fit import MAX_FOCAL_DEVIATION, RectangleFit, fit_rectangles
from rilievo.geometry.cameras.camera import assumed_camera
from rilievo.measure.measurements import Quantity
from rilievo.measure.rectangle_plane import deviation_in_plane, quantity_in_plane


def length_errors(seen: SeenRectangle, fit: RectangleFit) -> list[float]:
    """Relative errors of the lines in the plane, whose ends are seen exactly."""
    errors = []
    for places in seen.lines:
        pixels = seen.camera.project(places).T
        true = float(np.linalg.norm(places[:, 1] - places[:, 0]))
        value = quantity_in_plane(Quantity.LENGTH, fit, 0, pixels)
        errors.append(value / true - 1)
    return errors


def angle_off(seen: SeenRectangle, fit: RectangleFit) -> float:
    """Angle between the true rotation and the fitted one [degrees]."""
    cosine = (np.trace(fit.poses[0].R.T @ seen.R) - 1) / 2
    return math.degrees(math.acos(min(1.0, cosine)))


def _row(name: str, errors: Sequence[float], bound: float, unit: str = " %") -> None:
    scale = 100 if unit == " %" else 1
    sizes = scale * np.abs(errors)
    print(
        f"{name:34} median {np.median(sizes):5.2f}  19 in 20 {np.quantile(sizes, 0.95):5.2f}  "
        f"largest {sizes.max():6.2f}{unit}  within {bound:g}{unit}: {np.mean(sizes <= bound):6.1%}"
    )


def main(count: int) -> None:
    """Print the figures."""
    known = [
        (each, fit_rectangles([each.rectangle], each.camera)) for each in seen_rectangles(count, 0)
    ]
    _row("lengths, camera known", [e for pair in known for e in length_errors(*pair)], 1)
    _row("poses, camera known", [angle_off(*pair) for pair in known], 1, "°")
    assumed, logs, doubts, lengths = assumed_camera(SHAPE), [], [], []
    for each in seen_rectangles(count, 1, distorted=False):
        fit = fit_rectangles([each.rectangle], assumed, SHAPE)
        lengths += length_errors(each, fit)
        if each.vanishing <= FARTHEST_VANISHING:
            logs.append(math.log(fit.camera.focal / each.camera.focal))
            doubts.append(fit.focal_log_deviation)
    taken = np.array(doubts) <= MAX_FOCAL_DEVIATION
    _row("lengths, focal length unknown", lengths, 1)
    _row("focal lengths, vanishing points near", logs, 5)
    _row(f"  those taken ({taken.mean():.0%})", np.array(logs)[taken].tolist(), 5)
    chance, inside = np.random.default_rng(3), []
    for each in seen_rectangles(count, 2, error=1.0, gaussian=True):
        fit = fit_rectangles([each.rectangle], each.camera)
        for places in each.lines:
            pixels = each.camera.project(places).T + chance.normal(0, 1, (2, 2))
            value = quantity_in_plane(Quantity.LENGTH, fit, 0, pixels)
            deviation = deviation_in_plane(Quantity.LENGTH, fit, 0, pixels)
            true = float(np.linalg.norm(places[:, 1] - places[:, 0]))
            inside.append(abs(value - true) <= 1.2816 * deviation)
    print(f"{len(inside)} ranges with normal errors of 1 px: {np.mean(inside):.1%} hold the truth")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
