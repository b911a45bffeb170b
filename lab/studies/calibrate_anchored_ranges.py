"""Learn the errors to expect of anchored metres: ``lab/studies/calibrate_anchored_ranges.py``.

The truth of frames stands in the place of a strong model, seen at 288x224 with a smooth error of 8
%, a random scale and a random shift (``lab/studies/try_anchoring.py``). It is anchored to the
embedded model's depth and brought to metres by one point, one length or the camera's height. What
is then measured elsewhere is compared with the truth, as in ``lab/studies/calibrate_ranges.py``.
Beside the circumstances that all ranges have, these know how well the anchoring fits.

Learned on frames of NYU that no training saw, on rendered scenes of five kinds, each of which
counts as a camera, and on those frames of other cameras that are not refused. Judged on the panel,
none of whose frames is among them. ``--write`` replaces the numbers in ``ranges.json``.
"""

import argparse
import itertools
import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import panel
from anchoring_frames import learning_samples
from calibrate_ranges import Frame, angles, trials, write_numbers
from jaxtyping import Bool, Float64
from range_fit import Trial, TrialTable, judged_cameras
from try_anchoring import affine, panel_samples, seen_by_a_strong_model

import rilievo
from rilievo.measure.ranges import ANCHORED_FEATURES, COVERAGE, angle_error, expected_error
from rilievo.models.base import Model
from rilievo.predicting.photographs.anchoring import fit_anchoring
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

METHODS = {"known points": 8, "known lengths": 8, "camera height": 1}
"""Number of scales that each method gives of a frame. Several points or lengths fix both numbers of
affine depth, and nothing is anchored."""

LEAST_KNOWN = 0.2
"""Least share of a frame with true depth."""


def anchored_frames(found: Iterator[tuple[str, Sample]], model: Model) -> Iterator[Frame]:
    """Frames whose blurred truth is anchored to the model's depth; those refused are left out."""
    for index, (name, sample) in enumerate(found):
        if sample.camera is None or sample.depth is None:
            continue
        truth = DepthMap(
            values=np.where(valid := panel.valid_of(name, sample), sample.depth, 1),
            kind=DepthKind.METRIC,
            valid=valid,
        )
        if valid.mean() < LEAST_KNOWN:
            continue
        photo = np.ascontiguousarray(sample.image)
        seen = rilievo.predict(photo, model=model, camera=sample.camera)
        chance = np.random.default_rng([1, index])
        strong = affine(*seen_by_a_strong_model(truth.values, valid, chance), chance)
        anchoring = fit_anchoring(strong, seen.depth, is_listed=False)
        if anchoring.refused is None:
            yield Frame(
                set=name,
                index=index,
                prediction=seen.but(
                    depth_or_none=strong, anchoring=anchoring, normals=None, confidence=None
                ),
                truth=truth,
                camera=sample.camera,
            )


def tried(frames: Iterator[Frame]) -> tuple[list[Trial], list[float]]:
    """Measured sizes and angles of all frames."""
    found, turned = [], []
    for frame in frames:
        found += trials(frame, methods=METHODS)
        turned += angles(frame, np.random.default_rng(frame.index))
    return found, turned


def judged(found: Sequence[Trial], what: str) -> str:
    """Coverage of each camera of the panel, and the ranges' width against one constant range."""
    chosen = [each for each in found if each.what == what]
    errors = np.abs([each.error for each in chosen])
    size = np.array([expected_error(what, each.given) for each in chosen])
    constant = float(np.quantile(errors, float((errors <= size).mean())))
    words = [
        f"{what}, panel: {100 * (errors <= size).mean():.0f}% of {len(chosen)} inside, "
        f"width {np.sinh(size).mean() / math.sinh(constant):.2f} of one constant range"
    ]
    for name in panel.DECIDING:
        of = np.array([each.set == name for each in chosen])
        words.append(f"  {name}: {_shares(errors, size, constant, of)}")
    poor = np.array([each.given.features["misfit"] for each in chosen])
    for low, high in itertools.pairwise(np.quantile(poor, (0, 1 / 3, 2 / 3, 1))):
        of = (poor >= low) & (poor <= high)
        words.append(
            f"  residual {math.exp(low):.3f} to {math.exp(high):.3f}: median range "
            f"{math.expm1(float(np.median(size[of]))):.2f}, {_shares(errors, size, constant, of)}"
        )
    return "\n".join(words)


def _shares(
    errors: Float64[np.ndarray, "n"],
    size: Float64[np.ndarray, "n"],
    constant: float,
    of: Bool[np.ndarray, "n"],
) -> str:
    inside = (errors <= size)[of].mean(), (errors <= constant)[of].mean()
    return f"{100 * inside[0]:.0f}% inside, {100 * inside[1]:.0f}% inside the constant one"


def learned(found: Sequence[Trial], turned: Sequence[float]) -> dict[str, object]:
    """Numbers of ``ranges.json``."""
    numbers: dict[str, object] = {}
    for what in ("length", "depth"):
        chosen = [each for each in found if each.what == what]
        table = TrialTable(chosen, tuple(METHODS), ANCHORED_FEATURES)
        numbers[what] = table.numbers(table.fitted(table.everything))
        cameras = judged_cameras(table, table.sets)
        print(f"{what}: {len(chosen)} trials, {np.mean(list(cameras.values())):.0%} inside in the "
              "mean of the cameras left out")  # fmt: skip
        print("  " + ", ".join(f"{name} {share:.0%}" for name, share in cameras.items()))
    return {**numbers, "angle": {"degrees": round(float(np.quantile(turned, COVERAGE)), 1)}}


def main() -> None:
    """Learn, write if asked to, and judge what is written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace the numbers in ranges.json")
    write = parser.parse_args().write
    warnings.simplefilter("ignore", UserWarning)
    data, model = Path(os.environ["RILIEVO_DATA"]), rilievo.load_model()
    numbers = learned(*tried(anchored_frames(learning_samples(data), model)))
    print(json.dumps(numbers, indent=1))
    if write:
        write_numbers({"anchored": numbers})
    found, turned = tried(anchored_frames(panel_samples(data), model))
    for what in ("length", "depth"):
        print(judged(found, what))
    error = angle_error(is_anchored=True)
    print(f"angle, panel: {100 * np.mean(np.array(turned) <= error):.0f}% within {error}")


if __name__ == "__main__":
    main()
