"""One map of logarithms from views of a sphere: their gradients, put together.

On the equirectangular grid a step along a row at latitude t is cos t as long as one along a column,
so Poisson's equation has conductances 1 / cos t across and cos t down. They depend on the row
alone. Fourier series along the rows turn the equation into one tridiagonal system a frequency,
which is solved exactly. Edges meet, and rows at the poles continue on the opposite meridian: seams
are ordinary pixels, and so are poles.
"""

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.sphere.scales import Layers
from rilievo.geometry.sphere.views import filled
from rilievo.shapes import Field, Float64

REACH = 0.35
"""Distance over which the merged map may leave the views' mean, as a share of the radius."""
_FILLINGS = 4
"""Solutions for a map with unseen places, each continuing the last into them."""


def rows_of(height: int) -> Float64[np.ndarray, "h"]:
    """Latitudes of the rows of a whole equirectangular grid, growing downwards [rad]."""
    return ((np.arange(height) + 0.5) / height - 0.5) * np.pi


def merged(layers: Layers, *, reach: float = REACH) -> Field:
    """Merge views that agree in scale into one map on the whole sphere.

    Gradients are the views' weighted means, and so, weakly, are the values. Places that no view
    sees continue what is around them.
    """
    _, height, width = layers.values.shape
    known = layers.known
    mean = _mean(layers.values, layers.weights)
    target = filled(mean[..., None].astype(np.float32), known)[..., 0].astype(np.float64)
    steps = _steps(layers)
    system = _System.of(height, width, reach)
    found = system.solve(_completed(steps, target), target)
    for _ in range(0 if known.all() else _FILLINGS):
        target = np.where(known, target, found)
        found = system.solve(_completed(steps, found), target)
    return found.astype(np.float32)


@frozen
class _Steps:
    """Differences to the next pixel across, down, and over each pole; NaN where unseen."""

    across: Float64[np.ndarray, "h w"]
    down: Float64[np.ndarray, "h1 w"]
    over: Float64[np.ndarray, "2 w"]


def _mean(values: np.ndarray, weights: np.ndarray) -> Float64[np.ndarray, "a b"]:
    total = weights.sum(axis=0, dtype=np.float64)
    summed = (weights * np.where(weights > 0, values, 0)).sum(axis=0, dtype=np.float64)
    return np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0)


def _steps(layers: Layers) -> _Steps:
    """Weighted means of the views' differences between neighbours that both are seen."""
    values, weights = layers.values, layers.weights
    half = values.shape[2] // 2

    def between(one: np.ndarray, other: np.ndarray, w1: np.ndarray, w2: np.ndarray) -> np.ndarray:
        return _mean(other - one, np.minimum(w1, w2))

    poles, trust = values[:, [0, -1]], weights[:, [0, -1]]
    return _Steps(
        across=between(values, np.roll(values, -1, 2), weights, np.roll(weights, -1, 2)),
        down=between(values[:, :-1], values[:, 1:], weights[:, :-1], weights[:, 1:]),
        over=between(poles, np.roll(poles, -half, 2), trust, np.roll(trust, -half, 2)),
    )


def _completed(steps: _Steps, field: Float64[np.ndarray, "h w"]) -> _Steps:
    """Steps with those of a field where they are unseen."""
    half = field.shape[1] // 2
    poles = field[[0, -1]]

    def or_of(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(own), other, own)

    return _Steps(
        across=or_of(steps.across, np.roll(field, -1, 1) - field),
        down=or_of(steps.down, np.diff(field, axis=0)),
        over=or_of(steps.over, np.roll(poles, -half, 1) - poles),
    )


@frozen
class _System:
    """Poisson's equation on the sphere with a weak pull to a target.

    Attributes:
        across: Conductance between neighbours of a row.
        down: Conductance between a row and the next.
        over: Conductance over a pole.
        pull: Strength of the target in each row.
        diagonal: Diagonal of the system of each frequency.
    """

    across: Float64[np.ndarray, "h 1"]
    down: Float64[np.ndarray, "h1 1"]
    over: float
    pull: Float64[np.ndarray, "h 1"]
    diagonal: Float64[np.ndarray, "h f"]

    @classmethod
    def of(cls, height: int, width: int, reach: float) -> "_System":
        """Equation of a grid."""
        latitudes = rows_of(height)
        level = np.cos(latitudes)[:, None]
        # A row's step across is 2 pi / width long, one down pi / height.
        aspect = (np.pi / height) / (2 * np.pi / width)
        across, down = (
            aspect / level,
            np.cos((latitudes[1:] + latitudes[:-1]) / 2)[:, None] / aspect,
        )
        over = float(level[0, 0]) / (2 * aspect)
        pull = level / aspect * (np.pi / height / reach) ** 2
        frequency = np.arange(width // 2 + 1)
        diagonal = across * (2 - 2 * np.cos(2 * np.pi * frequency / width)) + pull
        diagonal[:-1] += down
        diagonal[1:] += down
        # A pixel and the one opposite differ by twice the odd frequencies.
        diagonal[[0, -1]] += over * (2 - 2 * np.cos(np.pi * frequency))
        return cls(across=across, down=down, over=over, pull=pull, diagonal=diagonal)

    def solve(
        self, steps: _Steps, target: Float64[np.ndarray, "h w"]
    ) -> Float64[np.ndarray, "h w"]:
        """Field whose steps and values are nearest to those given."""
        width = target.shape[1]
        right = self.pull * target
        flow = self.across * steps.across
        right += np.roll(flow, 1, 1) - flow
        flow = self.down * steps.down
        right[1:] += flow
        right[:-1] -= flow
        # Each pair of opposite pixels is met from both sides.
        flow = self.over * steps.over
        right[[0, -1]] += np.roll(flow, width // 2, 1) - flow
        found = _tridiagonal(self.diagonal, -self.down, np.fft.rfft(right, axis=1))
        return np.fft.irfft(found, n=width, axis=1)


def _tridiagonal(
    diagonal: Float64[np.ndarray, "h f"],
    beside: Float64[np.ndarray, "h1 1"],
    right: np.ndarray,
) -> np.ndarray:
    """Solve symmetric tridiagonal systems, one a column, by elimination."""
    upper, found = np.empty_like(diagonal), right.copy()
    upper[0] = beside[0] / diagonal[0]
    found[0] /= diagonal[0]
    for row in range(1, len(diagonal)):
        pivot = diagonal[row] - beside[row - 1] * upper[row - 1]
        if row < len(beside):
            upper[row] = beside[row] / pivot
        found[row] = (found[row] - beside[row - 1] * found[row - 1]) / pivot
    for row in range(len(diagonal) - 2, -1, -1):
        found[row] -= upper[row] * found[row + 1]
    return found
