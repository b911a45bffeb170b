"""Measure a parcel in boxes on the depth of a sensor.

Usage: ``RILIEVO_DATA=... python lab/studies/judge_sensor_boxes.py``.

Three frames of a RealSense camera show one parcel, whose front is 0.402 m wide and 0.316 m high.
They are in the folder ``data`` of https://github.com/felixchenfy/ros_detect_planes_from_depth_img,
which is ``realsense_10`` here. Around the parcel of each frame, 26 boxes are drawn (seed 0): one is
tight, 16 reach up to a tenth of the parcel's size beyond it on each side, and nine are the tight
one, moved by up to 3% of its size. Printed are, for each frame, the median and the largest error of
width and height, and how many of the ranges contain the true size.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import rilievo

_K = np.array([[617.25, 0, 317.39], [0, 617.55, 245.98], [0, 0, 1]])
_TRUE_SIZES = {"width": 0.402, "height": 0.316}  # [m]
_TIGHT_BOXES = {
    ("color/000002.png", "depth/000002.png"): (244, 44, 554, 292),
    ("color/000003.png", "depth/000003.png"): (213, 20, 429, 193),
    ("test_img_color.png", "test_img_depth.png"): (40, 37, 510, 393),
}
"""Left, top, right and bottom of the parcel [px], by the names of photograph and depth."""
_GROWN_COUNT, _MAX_GROWTH = 16, 0.1
_MOVED_COUNT, _MAX_SHIFT = 9, 0.03


def _boxes(tight: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the tight box, then larger ones, then ones that are moved."""
    generator = np.random.default_rng(0)
    box = np.array(tight, float)
    size = np.tile(box[2:] - box[:2], 2)
    yield box
    for _ in range(_GROWN_COUNT):
        growth = generator.uniform(0, _MAX_GROWTH, 4) * size
        yield box + growth * (-1, -1, 1, 1)
    for _ in range(_MOVED_COUNT):
        shift = generator.uniform(-_MAX_SHIFT, _MAX_SHIFT, 2)
        yield box + np.tile(shift, 2) * size


def main() -> None:
    """Print a line for each frame and size."""
    warnings.simplefilter("ignore")
    folder = Path(os.environ["RILIEVO_DATA"]) / "realsense_10"
    for (photo_name, depth_name), tight in _TIGHT_BOXES.items():
        photo = np.array(Image.open(folder / photo_name).convert("RGB"))
        depth = np.array(Image.open(folder / depth_name)).astype(np.float64)
        prediction = rilievo.Prediction.from_depth(photo, depth, _K, unit="mm")
        height, width = depth.shape
        last_pixel = (width - 1, height - 1, width - 1, height - 1)
        regions = [prediction.measure_box(np.clip(box, 0, last_pixel)) for box in _boxes(tight)]
        for name, true_size in _TRUE_SIZES.items():
            sizes = [getattr(region, name) for region in regions]
            errors = [abs(size.value / true_size - 1) for size in sizes]
            inside_count = sum(size.low <= true_size <= size.high for size in sizes)
            print(
                f"{photo_name}, {name}: {len(sizes)} boxes, median error {np.median(errors):.1%}, "
                f"largest {max(errors):.1%}, {inside_count} ranges contain the true {name}, "
                f"{sum(error > 0.04 for error in errors)} errors above 4%"
            )


if __name__ == "__main__":
    main()
