"""Compare models on photographs with known depth that are upright, turned, and grey.

    python lab/studies/judge_quarter_turns.py [MODEL ...] [--cameras nyu panel-7scenes] [--every 4]

Each frame is predicted as it is, turned counter-clockwise by 90, 180 and 270 degrees, and grey.
``MODEL`` is a name or an ONNX file; by default ``rilievo/base`` and ``rilievo/small``.

The table has the mean AbsRel of each model and camera, after depth was scaled to the median of the
true depth; the mean angle of the normals of the upright frames to those of the true depth
[degrees]; and the mean confidence of upright and of turned frames.
"""

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from panel import angle_of_normals, frames, valid_of

import rilievo
from rilievo.models.base import Model
from rilievo.records.sample import Sample

CAMERAS = ("nyu", "panel-7scenes", "panel-tum-rpy", "panel-tartanair-hospital", "realsense",
           "kitti-raw", "icl")  # fmt: skip
VIEWS = ("upright", "90", "180", "270", "grey")


def main() -> None:
    """Read the options, predict and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["rilievo/base", "rilievo/small"])
    parser.add_argument("--cameras", nargs="+", default=CAMERAS, help="sets of frames")
    parser.add_argument("--every", type=int, default=1, help="take every Nth frame (1)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = Path(os.environ["RILIEVO_DATA"])
    print(f"| model | camera | {' | '.join(VIEWS)} | normals | confidence | turned |")
    print("|---" * (len(VIEWS) + 5) + "|")
    for name in options.models:
        model = rilievo.load_model(name)
        for camera in options.cameras:
            rows = [
                scores(camera, model, sample)
                for number, sample in enumerate(frames(camera, data))
                if number % options.every == 0
            ]
            *errors, angle, upright, turned = np.nanmean(rows, axis=0)
            texts = [*(f"{error:.4f}" for error in errors), f"{angle:.1f}"]
            texts += [f"{each:.2f}" for each in (upright, turned)]
            print(f"| {Path(name).name} | {camera} | {' | '.join(texts)} |", flush=True)


def scores(camera: str, model: Model, sample: Sample) -> Float64[np.ndarray, "8"]:
    """AbsRel of every view, angle of normals, and confidence of the upright and turned views."""
    assert sample.depth is not None
    valid = valid_of(camera, sample)
    errors, confidences, angle = [], [], float("nan")
    for turns, image in views(sample.image):
        given = rilievo.predict(image, model=model)
        depth = np.rot90(given.depth.values, -turns)[valid]
        true = sample.depth[valid]
        errors.append(np.abs(depth * np.median(true) / np.median(depth) / true - 1).mean())
        confidences.append(float("nan") if given.confidence is None else given.confidence.mean())
        if not errors[1:]:
            angle = angle_of_normals(camera, given.normals, sample, valid)
    return np.array([*errors, angle, confidences[0], np.mean(confidences[1:4])])


def views(image: UInt8[np.ndarray, "h w 3"]) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """Yield the picture upright, turned three times, and grey, with its quarter turns."""
    for turns in range(4):
        yield turns, np.ascontiguousarray(np.rot90(image, turns))
    grey = image.mean(axis=2, keepdims=True).round().astype(np.uint8)
    yield 0, np.repeat(grey, 3, axis=2)


if __name__ == "__main__":
    main()
