"""One map of logarithms from views of a sphere: their weighted mean.

Weights fall to zero at the edges of a view, so that no step is left where one ends, nor at the seam
of the grid or at a pole, which lie inside of views.
"""

import numpy as np

from rilievo.geometry.sphere.scales import Layers
from rilievo.geometry.sphere.views import filled
from rilievo.shapes import Field, Float64


def rows_of(height: int) -> Float64[np.ndarray, "h"]:
    """Latitudes of the rows of a whole equirectangular grid, growing downwards [rad]."""
    return ((np.arange(height) + 0.5) / height - 0.5) * np.pi


def merged(layers: Layers) -> Field:
    """Merge views that agree in scale into one map on the whole sphere.

    Places that no view sees continue what is around them.
    """
    weights = layers.weights
    total = weights.sum(axis=0, dtype=np.float64)
    summed = (weights * np.where(weights > 0, layers.values, 0)).sum(axis=0, dtype=np.float64)
    mean = np.divide(summed, total, out=np.zeros(total.shape), where=total > 0)
    return filled(mean[..., None].astype(np.float32), layers.known)[..., 0]
