"""Array types of evaluation."""

from collections.abc import Sequence

import numpy as np

from rilievo.shapes import Float, Float64, Int, Shaped, UInt8

Scenes = Sequence[str | None]
AnyValues = Float[np.ndarray, "n"]
Indices = Int[np.ndarray, "n"]
Plane = Float64[np.ndarray, "h w"]
Levels = UInt8[np.ndarray, "h w"]
PointColumns = Float64[np.ndarray, "3 n"]
PointPlane = Float64[np.ndarray, "3 h w"]
Cloud = Float[np.ndarray, "n 3"]
OtherCloud = Float[np.ndarray, "m 3"]
Curve = Float64[np.ndarray, "steps"]
Curves = Float64[np.ndarray, "2 steps"]
"""Curves by confidence, then by error."""
RangeSums = Float64[np.ndarray, "3 bins"]
"""Pixels, |relative error| and signed relative error, by range of depth."""
Numbers = Shaped[np.ndarray, "..."]
