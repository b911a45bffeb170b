"""Judge metres from a camera's height on streets: ``RILIEVO_DATA=... python tools/judge_floor.py``.

Counts the frames of KITTI (every third raw one, and those with annotated depth) whose floor is
found, with the embedded model, the true camera and its height of 1.65 m. Where a laser measured,
the median relative error of depth is printed.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from real_frames import sequence
from real_sets import REAL_SETS

import rilievo
from rilievo.errors import CalibrationError
from rilievo.models.base import Model
from rilievo.types import Camera, Sample

HEIGHT = 1.65
"""Height of KITTI's cameras above the road [m] (Geiger et al. 2013)."""


def raw_frames(data: Path, camera: Camera | None) -> Iterator[Sample]:
    """Every third frame of the raw drives, without depth."""
    pictures = sorted(data.glob("kitti_raw/*/*/image_02/data/*"))
    for path in pictures[::3]:
        with Image.open(path) as picture:
            yield Sample(id=path.name, image=np.asarray(picture.convert("RGB")), camera=camera)


def error(sample: Sample, model: Model) -> float | None:
    """Median relative error of depth; NaN without a laser, None if no floor is found."""
    photo = np.ascontiguousarray(sample.image)
    try:
        found = rilievo.predict(photo, model=model, camera=sample.camera, camera_height=HEIGHT)
    except CalibrationError:
        return None
    if sample.depth is None:
        return float("nan")
    valid = np.isfinite(sample.depth) & (sample.depth > 0) & found.depth.valid
    if sample.depth_valid is not None:
        valid &= sample.depth_valid
    return float(np.median(np.abs(found.depth.values[valid] / sample.depth[valid] - 1)))


def main() -> None:
    """Print a line for each set."""
    warnings.simplefilter("ignore", UserWarning)
    data = Path(os.environ["RILIEVO_DATA"])
    model = rilievo.load_model("rilievo/small")
    scans, annotated = (sequence(REAL_SETS[name], data) for name in ("kitti-raw", "kitti-depth"))
    raw = list(raw_frames(data, scans[0].camera))
    for name, samples in (("every third", raw), ("scans", scans), ("annotated", annotated)):
        errors = [error(sample, model) for sample in samples]
        found = [each for each in errors if each is not None]
        print(f"{name}: floor of {len(found)} of {len(errors)} frames")
        if not np.isnan(found).any():
            print(f"  median errors against the laser: {np.round(found, 2).tolist()}")


if __name__ == "__main__":
    main()
