"""Check what the embedded models promise besides accuracy: agreement, stability, bad input.

    RILIEVO_DATA=folder python tools/check_default_model.py [MODEL|FILE.onnx ...] [--sheet FILE.jpg]

Agreement: normals that follow from predicted depth against predicted normals, away from edges and
creases, on real frames with their own cameras. Flicker: the sets at hand hold no clip of a still
camera, so photographs are taken again and again with another exposure (2 %), noise, JPEG quality
and a shift below a pixel; and the frames of 7-Scenes that move least are followed by their poses
and measured depth. Bad input: everything finite, and confidence below that of photographs. The
sheet shows what to look at: photograph, depth, normals and confidence.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hard_inputs import LITTLE_TO_SEE, hard_pictures
from prediction_sheet import prediction_sheet
from real_frames import SHOWN, Picture, free_pictures, pictures, samples, sequence
from real_sets import REAL_SETS
from stability import disagreement, disturbed, flicker, followed, movement, stillest

from rilievo.errors import RilievoError
from rilievo.geometry.intrinsics import resize_K
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.prediction import Prediction
from rilievo.types import Photo, Sample

LARGEST_ANGLE = 15.0
"""Largest mean angle between normals and those from depth [degrees]."""
LARGEST_FLICKER = 0.03
"""Largest median variation of a pixel's depth over time, as a share."""
_TIMES = 12
_FOLLOWED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table.

    Attributes:
        what: Quantity that was measured, and its data.
        figures: Results in words.
        kept: Whether the promise holds; None if there is none.
    """

    what: str
    figures: str
    kept: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.kept is None else "kept" if self.kept else "**missed**"
        return f"| {self.what} | {self.figures} | {verdict} |"


def agreements(model: Model, data: Path, most: int) -> Iterator[Finding]:
    """Angles between predicted normals and those of predicted depth, by set and over all frames."""
    means: list[float] = []
    for real in SHOWN:
        angles, shares = [], []
        for sample in samples(real, data, most):
            found, share = _angles(model, sample)
            angles.append(found)
            shares.append(share)
        of_set = [float(found.mean()) for found in angles if found.size]
        means += of_set
        together = np.concatenate(angles)
        yield Finding(
            what=f"depth against normals: {real.label}, {len(of_set)} frames",
            figures=f"mean {np.mean(of_set):.1f}°, median {np.median(together):.1f}°, "
            f"{np.mean(shares):.0%} of the pixels",
        )
    yield Finding(
        what=f"the same over all {len(means)} frames, {LARGEST_ANGLE:.0f}° at most",
        figures=f"mean {np.mean(means):.1f}°, median frame {np.median(means):.1f}°",
        kept=float(np.mean(means)) <= LARGEST_ANGLE,
    )


def flickers(model: Model, data: Path) -> Iterator[Finding]:
    """Variation of depth over repeated photographs, and over a slow clip."""
    indoors = [
        Picture(label=f"{real.label} {sample.id}", pixels=sample.image)
        for real in SHOWN[:4]
        for sample in samples(real, data, 1)
    ]
    varying = [
        flicker(np.stack([_depth(model, each) for each in disturbed(picture.pixels, _TIMES)]))
        for picture in (*free_pictures(), *indoors)
    ]
    medians = [float(np.median(each)) for each in varying]
    yield Finding(
        what=f"flicker: {len(medians)} photographs, each taken {_TIMES} times, 3 % at most",
        figures=f"median pixel {np.mean(medians):.1%} ({max(medians):.1%} the worst photograph), "
        f"mean {np.mean([each.mean() for each in varying]):.1%}",
        kept=max(medians) <= LARGEST_FLICKER,
    )
    yield _clip(model, sequence(REAL_SETS["7scenes"], data))


def hard_inputs(model: Model, usual: Sequence[Picture]) -> Iterator[Finding]:
    """Whether the output is finite where little can be seen, and the confidence there."""
    sure = [_confidence(_predicted(model, each.pixels)) for each in usual]
    yield Finding(
        what=f"confidence: {len(sure)} photographs",
        figures=f"median {np.median(sure):.2f} ({min(sure):.2f} to {max(sure):.2f})",
    )
    for picture in hard_pictures(usual[0].pixels):
        prediction = _predicted(model, picture.pixels)
        assert prediction.normals is not None, "and normals"
        finite = bool(np.isfinite(prediction.depth.values).all())
        finite &= bool(np.isfinite(prediction.normals).all())
        confidence = _confidence(prediction)
        unsure = picture.label not in LITTLE_TO_SEE or confidence < np.median(sure)
        yield Finding(
            what=f"bad input: {picture.label}",
            figures=f"{'' if finite else 'not '}finite, confidence {confidence:.2f}",
            kept=finite and unsure,
        )


def main() -> None:
    """Read the options, check, print; the exit code is 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["rilievo/small"], help="names or ONNX files")
    parser.add_argument("--frames", type=int, default=8, help="of each set, at most")
    parser.add_argument("--threads", type=int, help="of ONNX Runtime")
    parser.add_argument("--sheet", type=Path, help="where to draw the first model's predictions")
    options = parser.parse_args()
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("error: set RILIEVO_DATA to the folder that holds the sets")
    data = Path(os.environ["RILIEVO_DATA"])
    models = [load_model(name, threads=options.threads) for name in options.models]
    if options.sheet:
        shown = [*pictures(data, 3), *hard_pictures(free_pictures()[0].pixels)]
        prediction_sheet(models[0], shown, columns=2).save(options.sheet, quality=88)
    missed = False
    usual = pictures(data, 2)
    for name, model in zip(options.models, models, strict=True):
        print(f"\n{name}\n\n| what | measured | |\n|---|---|---|")
        checks = (
            agreements(model, data, options.frames),
            flickers(model, data),
            hard_inputs(model, usual),
        )
        for finding in (each for check in checks for each in check):
            print(finding, flush=True)
            missed |= finding.kept is False
    sys.exit(missed)


def _angles(model: Model, sample: Sample) -> tuple[np.ndarray, float]:
    """Angles of one frame [degrees], and the share of its pixels that they cover."""
    photo = Photo(pixels=sample.image, camera=sample.camera)
    [inference] = model.infer([photo])
    camera = model.finish(inference, photo).camera
    assert inference.depth is not None, "every embedded network gives depth"
    assert inference.normals is not None, "and normals"
    assert camera is not None, "assumed where nobody knows it"
    K = resize_K(camera.K, size=photo.shape, new_size=inference.depth.shape)
    angles = disagreement(inference.depth, inference.normals, K)
    return angles, angles.size / inference.depth.size


def _clip(model: Model, frames: Sequence[Sample]) -> Finding:
    poses = np.stack([_pose(each) for each in frames])
    start = stillest(poses, _FOLLOWED)
    chosen = [frames[index] for index in range(start, start + _FOLLOWED)]
    poses = poses[start : start + _FOLLOWED]
    camera = chosen[0].camera
    assert camera is not None, "the dataset has it"
    predicted = [_whole(_predicted(model, each.image)) for each in chosen]
    true = [_true(each) for each in chosen]
    varying = flicker(followed(predicted, true, poses, camera.K))
    moved = movement(poses)
    return Finding(
        what=f"flicker: 7-Scenes, {_FOLLOWED} frames from {start}, which move {100 * moved:.1f} cm",
        figures=f"median pixel {np.median(varying):.1%}, mean {varying.mean():.1%}, "
        f"on {varying.size / true[0].size:.0%} of the pixels (the sensor's noise is in it)",
        kept=float(np.median(varying)) <= LARGEST_FLICKER,
    )


def _depth(model: Model, pixels: np.ndarray) -> np.ndarray:
    [inference] = model.infer([Photo(pixels=pixels)])
    assert inference.depth is not None, "every embedded network gives depth"
    return inference.depth


def _predicted(model: Model, pixels: np.ndarray) -> Prediction:
    [prediction] = model.predict_raw([pixels])
    return prediction


def _whole(prediction: Prediction) -> np.ndarray:
    return prediction.depth.values


def _confidence(prediction: Prediction) -> float:
    """Mean confidence; NaN for a model without confidence."""
    return float("nan") if prediction.confidence is None else float(prediction.confidence.mean())


def _pose(sample: Sample) -> np.ndarray:
    assert sample.world_T_cam is not None, "the dataset has it"
    return sample.world_T_cam


def _true(sample: Sample) -> np.ndarray:
    assert sample.depth is not None, "the dataset has it"
    assert sample.depth_valid is not None, "which come together"
    return np.where(sample.depth_valid, sample.depth, 0)


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
