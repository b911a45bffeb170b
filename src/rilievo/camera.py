"""Pinhole camera intrinsics; the conventions are in ``rilievo.types``."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError
from rilievo.sameness import no_hash, same_record


class CameraSource(StrEnum):
    """Source of a photograph's intrinsics."""

    GIVEN = "given"
    FOV = "fov"
    EXIF_35MM = "exif_35mm"
    EXIF_SENSOR = "exif_sensor"
    PREDICTED = "predicted"
    MARKERS = "markers"
    VANISHING_POINTS = "vanishing_points"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Pinhole intrinsics of one image, and their source.

    Attributes:
        K: ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` [px]; the top-left pixel's centre is (0, 0).
        source: Source of the intrinsics; ``ASSUMED`` is our default and may be far off.

    Raises:
        InputError: If K is not finite or a focal length is not positive.
    """

    K: Float64[np.ndarray, "3 3"]
    source: CameraSource = CameraSource.GIVEN

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        if K.shape != (3, 3):
            raise InputError(f"K is 3x3, but this has shape {K.shape}")
        if not np.isfinite(K).all():
            raise InputError(f"K has NaN or infinite entries: {K.tolist()}")
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise InputError(f"focal lengths are positive, but fx = {K[0, 0]:g}, fy = {K[1, 1]:g}")
        if K[1, 0] or K[0, 1] or K[2].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {K.tolist()}")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "source", CameraSource(self.source))
