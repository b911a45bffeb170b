"""Learn the errors to expect of metres: ``python lab/studies/calibrate_ranges.py``.

Depth of the embedded model is brought to metres by one point, one length, the camera's height or
twelve points, taken from the true depth of real frames at seeded places; then lengths and depths
at other places are compared with the truth. A quantile regression of the logarithm of the error
gives the numbers of ``rilievo/calibration/ranges.json``. Coverage and width are judged on frames
of cameras kept out, one camera after the other. ``--write`` replaces the file.

The size of the ranges is set by a conformal quantile over frames: of errors over those that a fit
to other cameras expected.
"""

import argparse
import json
import math
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conformal import conformal_quantile
from jaxtyping import Bool, Float64
from real_frames import samples
from real_sets import REAL_SETS

import rilievo
from rilievo.calibration.floor import find_floor
from rilievo.calibration.ranges import COVERAGE, FEATURES, Circumstances
from rilievo.calibration.readings import Pixel, ray, value_at, values_at_ends
from rilievo.calibration.record import facts as facts_of
from rilievo.errors import RilievoError
from rilievo.io.photographs.file_camera import assumed_camera
from rilievo.measure import angle
from rilievo.measure.expectation import circumstances_at, circumstances_of_line
from rilievo.prediction import Prediction
from rilievo.types import Camera, DepthKind, DepthMap, Sample

SETS = ("nyu", "nyu-sync", "7scenes", "realsense", "tum", "tum-pair", "sunrgbd", "motorcycle",
        "replica-47", "icl")  # fmt: skip
FRAMES = {"nyu": 48, "7scenes": 8, "nyu-sync": 4}
LINES = 12
SHORTEST, LONGEST = 0.1, 0.6
METHODS = {"known points": 8, "known lengths": 8, "camera height": 1, "smooth field": 2}
"""Number of scales that each method gives of a frame."""
POINTS = 12
"""Number of points known at once for a smooth field."""
_TARGET = Path(rilievo.__file__).parent / "calibration" / "ranges.json"
_SOFT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One measured quantity in metres beside the truth."""

    set: str
    frame: int
    what: str
    given: Circumstances
    error: float
    """Logarithm of the measured over the true value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A prediction beside true depth."""

    set: str
    index: int
    prediction: Prediction
    truth: DepthMap
    camera: Camera


def frames(data: Path) -> Iterator[Frame]:
    """Yield every frame with true metres and a camera, predicted by the embedded model."""
    model = rilievo.load_model()
    index = 0
    for name in SETS:
        for sample in samples(REAL_SETS[name], data, FRAMES.get(name, 10)):
            if sample.camera is None or sample.depth is None:
                continue
            photo = np.ascontiguousarray(sample.image)
            prediction = rilievo.predict(photo, model=model, camera=sample.camera)
            yield Frame(
                set=name,
                index=index,
                prediction=prediction,
                truth=_true(sample),
                camera=sample.camera,
            )
            index += 1


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
            rilievo.KnownPoint(u=at.u, v=at.v, metres=value_at(frame.truth, at)) for at in places
        ]
        fitted = rilievo.calibrate(plain.depth, several, camera=plain.camera)
        asked = tuple(map(str, several))
    else:
        a, b = _pair(frame, chance)
        if method == "known points":
            metres = value_at(frame.truth, a)
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
            depths = values_at_ends(metric.depth, a, b, metric.camera)
        except RilievoError:
            continue  # The prediction has no depth there.
        ends = [ray(metric.camera, at) * z for at, z in zip((a, b), depths, strict=True)]
        true = _true_ends(frame, a, b)
        apart, true_apart = (float(np.linalg.norm(p[1] - p[0])) for p in (ends, true))
        for what, given, error in (
            ("length", circumstances_of_line(metric, *ends), math.log(apart / true_apart)),
            ("depth", circumstances_at(metric, ends[0]), math.log(depths[0] / true[0][2])),
        ):
            yield Trial(set=frame.set, frame=frame.index, what=what, given=given, error=error)


def _pair(frame: Frame, chance: np.random.Generator) -> tuple[Pixel, Pixel]:
    """Two pixels with true depth, 10 to 60 % of the picture's width apart."""
    height, width = frame.truth.shape
    while True:
        u, v = chance.integers(0, width, 2), chance.integers(0, height, 2)
        apart = math.hypot(u[1] - u[0], v[1] - v[0]) / width
        if SHORTEST < apart < LONGEST and frame.truth.valid[v, u].all():
            return Pixel(float(u[0]), float(v[0]), "a"), Pixel(float(u[1]), float(v[1]), "b")


def _true_ends(frame: Frame, a: Pixel, b: Pixel) -> list[Float64[np.ndarray, "3"]]:
    return [ray(frame.camera, at) * value_at(frame.truth, at) for at in (a, b)]


class Table:
    """Trials of one kind as arrays: features, logarithms of errors, cameras and frames."""

    def __init__(
        self,
        trials: Sequence[Trial],
        methods: Collection[str] = tuple(METHODS),
        features: Sequence[str] = FEATURES,
    ) -> None:
        self.methods, self.columns = tuple(methods), tuple(features)
        # Sets of one camera share the first word of their names.
        self.cameras = np.array([each.set.partition("-")[0] for each in trials])
        self.frames = np.array([each.frame for each in trials])
        self.errors = np.abs([each.error for each in trials])
        self.features = np.array(
            [
                [each.given.method == method for method in self.methods]
                + [each.given.feature(name) for name in self.columns]
                for each in trials
            ]
        )

    def fitted(self, chosen: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "k"]:
        """Weights of the quantile of log errors, by iterated least squares (Koenker 2005)."""
        X, y = self.features[chosen], np.log(self.errors[chosen] + _SOFT)
        sets = self.cameras[chosen]
        # Every camera counts by the root of its frames: many frames of one are no many cameras.
        count = {name: np.sum(sets == name) for name in np.unique(sets)}
        share = np.array([1 / math.sqrt(count[name]) for name in sets])
        share /= share.sum()
        weights = np.zeros(X.shape[1])
        weights[: len(self.methods)] = np.quantile(y, COVERAGE)
        for _ in range(60):
            miss = y - X @ weights
            pull = share * np.where(miss > 0, COVERAGE, 1 - COVERAGE) / np.maximum(abs(miss), 0.02)
            squares = (X * pull[:, None]).T @ X + 1e-6 * np.eye(X.shape[1])
            weights = np.linalg.solve(squares, (X * pull[:, None]).T @ y)
        return weights

    def widened(self, chosen: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "k"]:
        """Weights whose size holds on frames of cameras that the fit did not see.

        Each half of the cameras is expected by a fit to the other half; the conformal quantile over
        frames of the errors' ratio to what was expected is a factor of the ranges.
        """
        names = np.unique(self.cameras[chosen])
        ratios = []
        for mine in (names[::2], names[1::2]):
            out = chosen & np.isin(self.cameras, mine)
            expected = np.exp(self.features[out] @ self.fitted(chosen & ~out))
            ratio, frames = self.errors[out] / expected, self.frames[out]
            ratios += [ratio[frames == frame] for frame in np.unique(frames)]
        weights = self.fitted(chosen)
        weights[: len(self.methods)] += math.log(conformal_quantile(ratios, COVERAGE))
        return weights

    def learned(self) -> dict[str, object]:
        """Numbers of ``ranges.json`` for one quantity."""
        weights = [round(float(each), 3) for each in self.widened(np.ones(len(self.errors), bool))]
        base = dict(zip(self.methods, weights, strict=False))
        return {"base": base, **dict(zip(self.columns, weights[len(base) :], strict=True))}

    def judged(self) -> tuple[float, float, dict[str, float]]:
        """Coverage on cameras kept out, relative width, and coverage of each camera."""
        inside, size = np.zeros(len(self.errors), bool), np.zeros(len(self.errors))
        for camera in np.unique(self.cameras):
            out = self.cameras == camera
            weights = self.widened(~out)
            size[out] = np.exp(self.features[out] @ weights)
            inside[out] = self.errors[out] <= size[out]
        constant = float(np.quantile(self.errors, inside.mean()))
        width = float(np.mean(np.sinh(size)) / math.sinh(constant))
        each = {
            str(name): float(inside[self.cameras == name].mean())
            for name in np.unique(self.cameras)
        }
        return float(inside.mean()), width, each


def angles(frame: Frame, chance: np.random.Generator, count: int = 20) -> Iterator[float]:
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


def main() -> None:
    """Fit, evaluate, print and, if asked to, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace ranges.json")
    write = parser.parse_args().write
    warnings.simplefilter("ignore", UserWarning)
    found, turned = [], []
    for frame in frames(Path(os.environ["RILIEVO_DATA"])):
        found += trials(frame)
        turned += angles(frame, np.random.default_rng(frame.index))
    learned = dict[str, object]()
    for what in ("length", "depth"):
        chosen = [each for each in found if each.what == what]
        table = Table(chosen)
        learned[what] = table.learned()
        coverage, width, sets = table.judged()
        print(f"{what}: {len(chosen)} trials, kept out: {100 * coverage:.0f} % inside, width "
              f"{width:.2f} of one constant range")  # fmt: skip
        for name, share in sets.items():
            print(f"  {name}: {100 * share:.0f} %")
        for method in METHODS:
            given = np.array([each.given.method == method for each in chosen])
            sure = np.array([not each.given.assumed for each in chosen])
            for words, mask in (("camera given", given & sure), ("assumed", given & ~sure)):
                errors = np.expm1(table.errors[mask])
                print(f"  {method}, {words}: median {np.median(errors):.3f}, "
                      f"80 % {np.quantile(errors, COVERAGE):.3f}, {mask.sum()} trials")  # fmt: skip
    learned["angle"] = {"degrees": round(float(np.quantile(turned, COVERAGE)), 1)}
    print(f"angle: 80 % within {learned['angle']}, {len(turned)} trials")
    print(json.dumps(learned, indent=1))
    if write:
        write_numbers(learned)


def write_numbers(learned: Mapping[str, object]) -> None:
    """Replace some of the numbers of ``ranges.json``."""
    kept = json.loads(_TARGET.read_text(encoding="utf-8"))
    _TARGET.write_text(json.dumps({**kept, **learned}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
