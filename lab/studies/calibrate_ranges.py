"""Learn the errors to expect of metres: ``python lab/studies/calibrate_ranges.py``.

Depth of the embedded model is brought to metres by one point, one length, the camera's height or
twelve points, taken from the true depth of photographs at seeded places; then lengths and depths at
other places are compared with the truth. A quantile regression of the logarithm of the error, less
that of the photograph's spread, gives the numbers of ``rilievo/calibration/ranges.json``, learned
on NYU's frames that no training saw. The size of the ranges is set, by method, by a conformal
quantile over the photographs of all other cameras (``range_frames.py``): of errors over those that
were expected. A camera is judged by the size that all others give.
``--write`` replaces the numbers in the file, and the shares of each camera that lay inside.
"""

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conformal import conformal_quantile
from jaxtyping import Bool, Float64
from range_frames import judging_photographs, learning_photographs

import rilievo
from rilievo.calibration.floor import find_floor
from rilievo.calibration.points import calibration_record as facts_of
from rilievo.calibration.ranges import COVERAGE, FEATURES, Circumstances, log_mean_log_error
from rilievo.calibration.readings import Pixel, median_around, ray, values_at_ends
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.photographs.exif import assumed_camera
from rilievo.measure import angle
from rilievo.measure.expectation import circumstances_at, circumstances_of_line
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

LINES = 6
SHORTEST, LONGEST = 0.1, 0.6
METHODS = {"known points": 4, "known lengths": 4, "camera height": 1, "smooth field": 1}
"""Number of scales that each method gives of a frame."""
WEIGHTS = {"nyu-kept": 2}
"""Weights of kinds of photographs: most are neither turned nor cut."""
POINTS = 12
"""Number of points known at once for a smooth field."""
_TARGET = Path(rilievo.__file__).parent / "calibration" / "ranges.json"
JUDGED = Path(__file__).with_name("judged_ranges.json")
"""Share of the sizes of each set that lies inside the ranges."""
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
            depths = values_at_ends(metric.depth, a, b, metric.camera)
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
    return [ray(frame.camera, at) * median_around(frame.truth, at) for at in (a, b)]


class Table:
    """Trials of one kind as arrays: features, logarithms of errors, cameras and frames."""

    def __init__(
        self,
        trials: Sequence[Trial],
        methods: Collection[str] = tuple(METHODS),
        features: Sequence[str] = FEATURES,
        is_one_camera: bool = False,
    ) -> None:
        self.is_one_camera = is_one_camera
        self.methods, self.columns = tuple(methods), tuple(features)
        self.cameras = np.array([trial.set for trial in trials])
        self.frames = np.array([each.frame for each in trials])
        self.errors = np.abs([each.error for each in trials])
        self.spreads = np.array(
            [
                0.0 if trial.given.anchored else log_mean_log_error(trial.given.doubt)
                for trial in trials
            ]
        )
        self.features = np.array(
            [
                [each.given.method == method for method in self.methods]
                + [each.given.feature(name) for name in self.columns]
                for each in trials
            ]
        )

    def fitted(self, chosen: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "k"]:
        """Weights of the quantile of log errors, by iterated least squares (Koenker 2005)."""
        X = self.features[chosen]
        y = np.log(self.errors[chosen] + _SOFT) - self.spreads[chosen]
        sets = self.cameras[chosen]
        # Every camera counts by the root of its frames: many frames of one are no many cameras.
        count = {name: np.sum(sets == name) for name in np.unique(sets)}
        share = np.array([WEIGHTS.get(name, 1) / math.sqrt(count[name]) for name in sets])
        share /= share.sum()
        weights = np.zeros(X.shape[1])
        weights[: len(self.methods)] = np.quantile(y, COVERAGE)
        for _ in range(60):
            miss = y - X @ weights
            pull = share * np.where(miss > 0, COVERAGE, 1 - COVERAGE) / np.maximum(abs(miss), 0.02)
            squares = (X * pull[:, None]).T @ X + 1e-6 * np.eye(X.shape[1])
            weights = np.linalg.solve(squares, (X * pull[:, None]).T @ y)
        return weights

    def expected(
        self, chosen: Bool[np.ndarray, "n"], weights: Float64[np.ndarray, "k"]
    ) -> Float64[np.ndarray, "m"]:
        """Errors that weights expect."""
        return np.exp(self.features[chosen] @ weights + self.spreads[chosen])

    def widened(self, chosen: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "k"]:
        """Weights whose size holds on cameras, or scenes, that the fit did not see.

        Each half of them is expected by a fit to the other half; the conformal quantile over frames
        of the errors' ratio to what was expected is a factor of the ranges. Frames of one camera
        are halved in their order, since neighbours share a scene.
        """
        ratios = []
        for out in self._halves(chosen):
            expected = self.expected(out, self.fitted(chosen & ~out))
            ratio, frames = self.errors[out] / expected, self.frames[out]
            ratios += [ratio[frames == frame] for frame in np.unique(frames)]
        weights = self.fitted(chosen)
        weights[: len(self.methods)] += math.log(conformal_quantile(ratios, COVERAGE))
        return weights

    def _halves(self, chosen: Bool[np.ndarray, "n"]) -> list[Bool[np.ndarray, "n"]]:
        if self.is_one_camera:
            middle = np.median(self.frames[chosen])
            return [chosen & (self.frames < middle), chosen & (self.frames >= middle)]
        names = np.unique(self.cameras[chosen])
        return [chosen & np.isin(self.cameras, mine) for mine in (names[::2], names[1::2])]

    def scaled(
        self, weights: Float64[np.ndarray, "k"], chosen: Bool[np.ndarray, "n"]
    ) -> Float64[np.ndarray, "k"]:
        """Weights of another table whose size holds, by method, on the chosen rows of this one."""
        scaled = weights.copy()
        for number in range(len(self.methods)):
            of = chosen & (self.features[:, number] == 1)
            ratio, frames = self.errors[of] / self.expected(of, weights), self.frames[of]
            scenes = [ratio[frames == frame] for frame in np.unique(frames)]
            scaled[number] += math.log(conformal_quantile(scenes, COVERAGE))
        return scaled

    def learned(self, weights: Float64[np.ndarray, "k"] | None = None) -> dict[str, object]:
        """Numbers of ``ranges.json`` for one quantity; of the given weights if there are any."""
        if weights is None:
            weights = self.widened(np.ones(len(self.errors), bool))
        numbers = [round(float(weight), 3) for weight in weights]
        base = dict(zip(self.methods, numbers, strict=False))
        return {"base": base, **dict(zip(self.columns, numbers[len(base) :], strict=True))}

    def judged(self) -> tuple[float, float, dict[str, float]]:
        """Coverage on cameras kept out, relative width, and coverage of each camera."""
        inside, size = np.zeros(len(self.errors), bool), np.zeros(len(self.errors))
        for camera in np.unique(self.cameras):
            out = self.cameras == camera
            weights = self.widened(~out)
            size[out] = self.expected(out, weights)
            inside[out] = self.errors[out] <= size[out]
        constant = float(np.quantile(self.errors, inside.mean()))
        width = float(np.mean(np.sinh(size)) / math.sinh(constant))
        each = {
            str(name): float(inside[self.cameras == name].mean())
            for name in np.unique(self.cameras)
        }
        return float(inside.mean()), width, each


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


def shares(
    table: Table, weights: Float64[np.ndarray, "k"], chosen: Bool[np.ndarray, "n"]
) -> dict[str, float]:
    """Share of each camera's errors inside the ranges."""
    inside = table.errors <= table.expected(np.ones(len(table.errors), bool), weights)
    return {
        str(name): round(float(inside[chosen & (table.cameras == name)].mean()), 3)
        for name in dict.fromkeys(table.cameras[chosen])
    }


def _lines_of_methods(judge: Table, weights: Float64[np.ndarray, "k"]) -> Iterator[str]:
    """Errors of every method on the cameras that judge, and shares inside."""
    assumed = judge.features[:, len(judge.methods) + FEATURES.index("assumed")] == 1
    for number, method in enumerate(judge.methods):
        of = judge.features[:, number] == 1
        for words, mask in (("camera given", of & ~assumed), ("assumed", of & assumed)):
            if not mask.any():
                continue
            errors = np.expm1(judge.errors[mask])
            inside = shares(judge, weights, mask).items()
            yield (
                f"  {method}, {words}: median {np.median(errors):.3f}, 80 % "
                f"{np.quantile(errors, COVERAGE):.3f}, {mask.sum()} trials; inside "
            ) + ", ".join(f"{name} {share:.0%}" for name, share in inside)


def main() -> None:
    """Fit, judge, print and, if asked to, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace ranges.json")
    write = parser.parse_args().write
    warnings.simplefilter("ignore", UserWarning)
    data = Path(os.environ["RILIEVO_DATA"])
    tries, turned = measured(learning_photographs(data))
    others, others_turned = measured(judging_photographs(data))
    learned, held = dict[str, object](), dict[str, dict[str, float]]()
    for what in ("length", "depth"):
        table = Table([trial for trial in tries if trial.what == what], is_one_camera=True)
        judge = Table([trial for trial in others if trial.what == what])
        weights = table.widened(np.ones(len(table.errors), bool))
        for camera in dict.fromkeys(judge.cameras):
            own = judge.cameras == camera
            held.setdefault(what, {}).update(shares(judge, judge.scaled(weights, ~own), own))
        weights = judge.scaled(weights, np.ones(len(judge.errors), bool))
        learned[what] = table.learned(weights)
        expected = judge.expected(np.ones(len(judge.errors), bool), weights)
        print(f"{what}: {len(table.errors)} trials; of {len(judge.errors)} of other cameras "
              f"{(judge.errors <= expected).mean():.0%} inside")  # fmt: skip
        for line in _lines_of_methods(judge, weights):
            print(line)
        print("  all: " + ", ".join(f"{name} {share:.0%}" for name, share in held[what].items()))
    degrees = round(float(np.quantile(turned, COVERAGE)), 1)
    learned["angle"] = {"degrees": degrees}
    inside = np.mean(np.array(others_turned) <= degrees)
    print(f"angle: 80 % within {degrees}; of {len(others_turned)} of other cameras {inside:.0%}")
    counts = [len({trial.frame for trial in part}) for part in (tries, others)]
    judged = {"learned_on": counts[0], "frames": counts[1], **held}
    print(json.dumps({**learned, **judged}, indent=1))
    if write:
        write_numbers(learned)
        JUDGED.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")


def write_numbers(learned: Mapping[str, object]) -> None:
    """Replace some of the numbers of ``ranges.json``."""
    kept = json.loads(_TARGET.read_text(encoding="utf-8"))
    _TARGET.write_text(json.dumps({**kept, **learned}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
