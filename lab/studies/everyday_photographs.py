"""Twenty-four everyday photographs: those of the gallery, by which surfaces are judged.

Six come with scikit-image. The others lie in ``docs/pictures/photographs``, at most 512 pixels wide
or high, and NOTICE says where they are from.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image

from rilievo.records.depth_map import DepthKind, DepthMap

FOLDER = Path(__file__).parents[2] / "docs" / "pictures" / "photographs"

_SHIPPED: Mapping[str, Callable[[], np.ndarray]] = {
    "coffee": skimage.data.coffee,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "astronaut": skimage.data.astronaut,
    "camera": skimage.data.camera,
    "cat": skimage.data.chelsea,
    "rocket": skimage.data.rocket,
}
_STORED = (
    *("door", "caps", "hat", "motocross", "hibiscus", "houses", "stonehenge", "bungalow", "fruit"),
    *("dog-with-stick", "desk", "scooter", "dog", "telephone-box", "cannon", "college", "rose"),
    "plate",
)
MORE = ("houseboat", "lane", "tent", "grey-cat")
"""Others in the folder, of which pictures of README and the guides are made."""
MOTORCYCLE_K = np.array([[994.978, 0, 311.193], [0, 994.978, 254.877], [0, 0, 1]])
_BASELINE, _OFFSET = 0.193001, 31.086
"""Baseline [m] and offset of the disparities [px], by scikit-image's documentation."""
NAMES = (*_SHIPPED, *_STORED)


def photograph(name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of one of ``NAMES`` or ``MORE``."""
    if name in _SHIPPED:
        pixels = _SHIPPED[name]()
        return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    with Image.open(FOLDER / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def motorcycle() -> DepthMap:
    """Measured depth of the motorcycle [m], by its disparity and calibration."""
    disparity = skimage.data.stereo_motorcycle()[2]
    valid = np.isfinite(disparity) & (disparity > 0)
    away = np.where(valid, disparity, 1) + _OFFSET
    depth = np.where(valid, MOTORCYCLE_K[0, 0] * _BASELINE / away, 1)
    return DepthMap(values=depth, kind=DepthKind.METRIC, valid=valid)
