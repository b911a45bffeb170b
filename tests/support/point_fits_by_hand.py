"""Fits of points as published: every anchor in turn, in plain loops."""

import numpy as np


def best_scale(x: list[float], y: list[float], w: list[float]) -> tuple[float, float]:
    """The ratio y / x at which the slope of the sum of w |a x - y| turns to above zero."""
    pairs = sorted((b / a, c * abs(a)) for a, b, c in zip(x, y, w, strict=True) if a)
    total, upto, ratio = sum(mass for _, mass in pairs), 0.0, 0.0
    for each, mass in pairs:
        ratio = each
        upto += mass
        if 2 * upto - total >= 0:
            break
    return ratio, sum(c * abs(ratio * a - b) for a, b, c in zip(x, y, w, strict=True))


def every_anchor(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    found = []
    for anchor in range(w.size):
        ahead = (x - x[:, [anchor]]).T.ravel().tolist()
        aside = (y - y[:, [anchor]]).T.ravel().tolist()
        scale, loss = best_scale(ahead, aside, np.repeat(w, 3).tolist())
        found.append((loss, scale, y[:, anchor] - scale * x[:, anchor]))
    _, scale, shift = min(found, key=lambda each: each[0])
    return scale, shift
