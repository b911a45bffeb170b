"""Arguments of predicting a photograph in Python, which every door takes by the same names."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Float

from rilievo.calibration.lengths import Known
from rilievo.types import Camera

CameraLike = (
    Camera
    | Float[np.ndarray, "..."]
    | Sequence[Sequence[float]]
    | Sequence[float]
    | float
    | int
    | str
    | Path
)
"""Intrinsics; a focal length, (fx, fy, cx, cy) or a matrix K [px]; a text or a file of these."""

KnownLike = Known | str | tuple[float, float, float] | tuple[float, float, float, float, float]
"""A known point or length, or its numbers."""


class PredictArguments(TypedDict, total=False):
    """Arguments of ``rilievo.predict`` besides the photograph and the model; it explains them."""

    camera: CameraLike | None
    fov: float | None
    vanishing_points: bool
    known: Sequence[KnownLike]
    sparse: str | Path | np.ndarray | None
    sparse_unit: float | None
    markers: float | None
    camera_height: float | None
    own_depth: bool
    flip: bool
    confidence: str
    tile: int | None
    sharp: bool
    trim: bool
