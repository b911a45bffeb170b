"""Learn the errors to expect of metres: ``python lab/studies/calibrate_ranges.py``.

Depth of the embedded model is brought to metres by one point, one length, the camera's height or
twelve points, taken from the true depth of photographs at seeded places; then lengths and depths at
other places are compared with the truth. A quantile regression of the logarithm of the error, less
that of the photograph's spread, gives the numbers of ``rilievo/measure/ranges.json``. Every
camera counts the same in it (``range_fit.py``), and each is judged by a fit to all others: how many
of its errors lie inside. The median range is printed beside it, since wide ranges hold easily.
``--write`` replaces the numbers in the file, and the shares of each camera that lay inside.
"""

import argparse
import itertools
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from range_fit import Trial, TrialTable, judged_cameras
from range_frames import (
    JUDGES,
    camera_of_set,
    judging_photographs,
    learning_photographs,
)

import rilievo
from rilievo.calibration.floor import find_floor
from rilievo.calibration.points import calibration_record as facts_of
from rilievo.calibration.readings import Pixel, end_values_of_line, median_around, ray
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera, assumed_camera
from rilievo.measure import angle
from rilievo.measure.expected_errors import circumstances_at, circumstances_of_line
from rilievo.measure.ranges import COVERAGE, FEATURES
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

LINES = 6
SHORTEST, LONGEST = 0.1, 0.6
METHODS = {"known points": 4, "known lengths": 4, "camera height": 1, "smooth field": 1}
"""Number of scales that each method gives of a frame."""
POINTS = 12
"""Number of points known at once for a smooth field."""
_TARGET = Path(rilievo.__file__).parent / "measure" / "ranges.json"
JUDGED = Path(__file__).with_name("judged_ranges.json")
"""Share of the sizes of each camera that lies inside the ranges of a fit to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A prediction beside true depth."""

    set: str
    index: int
    prediction: Prediction
    truth: DepthMap
    camera: Camera


def frames(photographs: Iterable[tuple[str, Sample]]) -> Iterator[Frame]:
    """Yield every photograph with true metres and a camera, predicted by the embedded model."""
    model = rilievo.load_model(device="cpu", threads=1)
    for index, (name, sample) in enumerate(photographs):
        photo = np.ascontiguousarray(sample.image)
        assert sample.camera is not None, "they have one"
        yield Frame(
            set=name,
            index=index,
            prediction=rilievo.predict(photo, model=model, camera=sample.camera),
            truth=_true(sample),
            camera=sample.camera,
        )


def _true(sample: Sample) -> DepthMap:
    depth = np.asarray(sample.depth)
    valid = np.isfinite(depth) & (depth > 0)
    if sample.depth_valid is not None:
        valid &= sample.depth_valid
    return DepthMap(values=np.where(valid, depth, 1), kind=DepthKind.METRIC, valid=valid)


def trials(frame: Frame, seed: int = 0, methods: Mapping[str, int] = METHODS) -> Iterator[Trial]:
    """Measure with metres from every method, with the true camera and with an assumed one."""
    for assumed in (False, True):
        chance = np.random.default_rng([seed, frame.index])
        camera = assumed_camera(frame.truth.shape) if assumed else frame.camera
        plain = frame.prediction.but(camera=camera).anchored
        for method, count in methods.items():
            for _ in range(count):
                try:
                    metric = _in_metres(plain, frame, method, chance)
                except RilievoError:
                    continue  # A floor that is not seen, or a height that contradicts.
                yield from _compared(metric, frame, chance)


def _in_metres(
    plain: Prediction, frame: Frame, method: str, chance: np.random.Generator
) -> Prediction:
    """Convert the prediction to metres by one known fact, taken from the truth."""
    assert plain.camera is not None, "it was given"
    if method == "camera height":
        height = find_floor(frame.truth, frame.camera).height
        fitted = rilievo.calibrate_height(plain.depth, plain.camera, height, normals=plain.normals)
        asked = (f"{height:g} m",)
    elif method == "smooth field":
        places = [_pair(frame, chance)[0] for _ in range(POINTS)]
        several = [
            rilievo.KnownPoint(u=at.u, v=at.v, metres=median_around(frame.truth, at))
            for at in places
        ]
        fitted = rilievo.calibrate(plain.depth, several, camera=plain.camera)
        asked = tuple(map(str, several))
    else:
        a, b = _pair(frame, chance)
        if method == "known points":
            metres = median_around(frame.truth, a)
            known = rilievo.KnownPoint(u=a.u, v=a.v, metres=metres)
        else:
            metres = float(np.linalg.norm(np.subtract(*_true_ends(frame, a, b))))
            known = rilievo.KnownLength(u1=a.u, v1=a.v, u2=b.u, v2=b.v, metres=metres)
        fitted = rilievo.calibrate(plain.depth, [known], camera=plain.camera)
        asked = (str(known),)
    return plain.but(depth_or_none=fitted.depth, calibration=facts_of(fitted, asked))


def _compared(metric: Prediction, frame: Frame, chance: np.random.Generator) -> Iterator[Trial]:
    """Compare lengths and depths at seeded places with the truth."""
    assert metric.camera is not None, "it was given"
    for _ in range(LINES):
        a, b = _pair(frame, chance)
        try:
            depths = end_values_of_line(metric.depth, a, b, metric.camera)
        except RilievoError:
            continue  # The prediction has no depth there.
        ends = [ray(metric.camera, at) * z for at, z in zip((a, b), depths, strict=True)]
        true = _true_ends(frame, a, b)
        apart, true_apart = (float(np.linalg.norm(p[1] - p[0])) for p in (ends, true))
        for what, given, error in (
            (
                "length",
                circumstances_of_line(metric, ends[0], ends[1]),
                math.log(apart / true_apart),
            ),
            ("depth", circumstances_at(metric, ends[0]), math.log(depths[0] / true[0][2])),
        ):
            yield Trial(
                set=frame.set,
                camera=camera_of_set(frame.set),
                frame=frame.index,
                what=what,
                given=given,
                error=error,
            )


def _pair(frame: Frame, chance: np.random.Generator) -> tuple[Pixel, Pixel]:
    """Two pixels with true depth, 10 to 60% of the picture's width apart."""
    height, width = frame.truth.shape
    while True:
        u, v = chance.integers(0, width, 2), chance.integers(0, height, 2)
        apart = math.hypot(u[1] - u[0], v[1] - v[0]) / width
        if SHORTEST < apart < LONGEST and frame.truth.valid[v, u].all():
            return Pixel(float(u[0]), float(v[0]), "a"), Pixel(float(u[1]), float(v[1]), "b")


def _true_ends(frame: Frame, a: Pixel, b: Pixel) -> list[Float64[np.ndarray, "3"]]:
    return [ray(frame.camera, at) * median_around(frame.truth, at) for at in (a, b)]


def angles(frame: Frame, chance: np.random.Generator, count: int = 8) -> Iterator[float]:
    """Errors of angles between flat patches [degrees]."""
    true = frame.prediction.but(depth_or_none=frame.truth, camera=frame.camera, anchoring=None)
    for _ in range(count):
        a, b = _pair(frame, chance)
        try:
            said = [
                angle(each, (a.u, a.v), (b.u, b.v)) for each in (frame.prediction.anchored, true)
            ]
        except RilievoError:
            continue
        if not any("flat" in remark for remark in said[1].remarks):
            yield abs(said[0].value - said[1].value)


def measured(photographs: Iterable[tuple[str, Sample]]) -> tuple[list[Trial], list[float]]:
    """Measured sizes, and errors of angles [degrees], of all photographs."""
    tries, turned = list[Trial](), list[float]()
    for frame in frames(photographs):
        tries += trials(frame)
        turned += angles(frame, np.random.default_rng(frame.index))
        if frame.index % 20 == 19:
            sys.stderr.write(f"{frame.index + 1} photographs\n")
    return tries, turned


def lines_of_methods(table: TrialTable, weights: Float64[np.ndarray, "k"]) -> Iterator[str]:
    """Errors of every method on the cameras that judge, with the camera known and assumed."""
    assumed = table.features[:, len(table.methods) + FEATURES.index("assumed")] == 1
    is_judged = np.isin(table.sets, JUDGES)
    expected = table.expected(table.everything, weights)
    for number, method in enumerate(table.methods):
        is_of_method = is_judged & (table.features[:, number] == 1)
        for words, mask in (
            ("given", is_of_method & ~assumed),
            ("assumed", is_of_method & assumed),
        ):
            if mask.any():
                errors = np.expm1(table.errors[mask])
                yield (
                    f"  {method}, camera {words}: median {np.median(errors):.3f}, 80% "
                    f"{np.quantile(errors, COVERAGE):.3f}, {mask.sum()} trials, "
                    f"{(table.errors <= expected)[mask].mean():.0%} inside"
                )


def main() -> None:
    """Fit, judge, print and, if asked to, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace ranges.json")
    write = parser.parse_args().write
    warnings.simplefilter("ignore", UserWarning)
    data = Path(os.environ["RILIEVO_DATA"])
    photographs = itertools.chain(learning_photographs(data), judging_photographs(data))
    tries, turned = measured(photographs)
    learned, judged, medians = dict[str, object](), dict[str, object](), dict[str, float]()
    for what in ("length", "depth"):
        chosen = [trial for trial in tries if trial.what == what]
        table = TrialTable(chosen, tuple(METHODS))
        weights = table.fitted(table.everything)
        median = float(np.median(np.expm1(table.expected(table.everything, weights))))
        learned[what] = table.numbers(weights)
        medians[what] = round(median, 3)
        judged[what] = cameras = judged_cameras(table, JUDGES)
        mean = np.mean(list(cameras.values()))
        print(f"{what}: {len(chosen)} trials, {mean:.1%} inside in the mean of the cameras left "
              f"out; half of the ranges are within {median:.1%}")  # fmt: skip
        print("  " + ", ".join(f"{name} {share:.0%}" for name, share in cameras.items()))
        for line in lines_of_methods(table, weights):
            print(line)
    degrees = round(float(np.quantile(turned, COVERAGE)), 1)
    learned["angle"] = {"degrees": degrees}
    print(f"angle: 80% of {len(turned)} within {degrees}")
    frames_of = {camera: set[int]() for camera in {trial.camera for trial in tries}}
    for trial in tries:
        if trial.set in JUDGES:
            frames_of[trial.camera].add(trial.frame)
    frames = {camera: len(found) for camera, found in frames_of.items() if found}
    record = {
        "learned_on": len({trial.frame for trial in tries}),
        "frames": frames,
        "median_range": medians,
        **judged,
    }
    print(json.dumps(learned, indent=1))
    print(json.dumps(record, indent=1))
    if write:
        write_numbers(learned)
        JUDGED.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_numbers(learned: Mapping[str, object]) -> None:
    """Replace some of the numbers of ``ranges.json``."""
    kept = json.loads(_TARGET.read_text(encoding="utf-8"))
    _TARGET.write_text(json.dumps({**kept, **learned}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
