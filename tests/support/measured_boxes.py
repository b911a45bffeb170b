"""Pictures with boxes round things whose true distances and sizes are known.

``python -m tests.support.measured_boxes DATA`` prints how often the ranges hold, and their widths.
"""

import math
import os
import sys
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import rilievo
from rilievo.data.datasets.sets.kitti_calibration import image_from_laser, read_camera
from rilievo.data.datasets.sets.kitti_scans import project_nearest, read_velodyne
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.photographs.photo import read_photo
from rilievo.measure import RegionMeasurement
from rilievo.measure.ranges import COVERAGE
from rilievo.models.base import Model
from rilievo.predicting.metres.fitting import convert_by_references
from rilievo.predicting.metres.metric_references import MetricReferences
from rilievo.prediction import Prediction

FILE = Path(__file__).with_suffix(".toml")
DRIVE, CAMERA = "2011_09_26_drive_9002_sync", "image_02"
KITTI_HEIGHT = 1.65
"""Height of KITTI's camera above the street [m]."""
FIRST_ROOM, ROOM_SIZE = 2**63 + 4_000_000_001, (384, 512)
"""Seed of the first room, which no training has, and its size (height, width) [px]."""
POINTS = 5
"""Number of known distances that each room is measured with, one at a time."""
SIDES = (0.01, 0.99)
SIZES = ("width", "height", "depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture with true depth along the axis [m], 0 where it is not known.

    ``up`` is the unit normal of the floor in the camera frame, ``height`` that of the camera.
    """

    pixels: np.ndarray
    camera: Camera
    depth: np.ndarray
    height: float
    up: np.ndarray
    is_dense: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One measured quantity: logarithms of its error and of the end of its range."""

    kind: str
    what: str
    error: float
    end: float


def answers(kind: str, data: Path, model: Model) -> Iterator[Answer]:
    """Measure all things in pictures of one kind.

    Metres are those of the camera's height on streets, and of one known distance elsewhere, or
    where no floor is found.
    """
    for frame in tomllib.loads(FILE.read_text("utf-8"))["frame"]:
        if frame["kind"] != kind:
            continue
        number = frame["number"]
        scene = kitti(data / "kitti_raw/2011_09_26", number) if kind == "kitti" else room(number)
        for prediction in metric(scene, number, model):
            for name, left, top, right, bottom, near, far in frame["boxes"]:
                box = (left, top, right, bottom)
                try:
                    measured = prediction.measure_box(box, name)
                except CalibrationError:
                    continue  # the camera's height is too uncertain for a car whose foot is hidden
                yield from compared(kind, scene, measured, (near, far))


def compared(
    kind: str, scene: Scene, found: RegionMeasurement, depths: tuple[float, float]
) -> Iterator[Answer]:
    """Compare a measurement with the true points between two depths."""
    points = true_points(scene, found.box, *depths)
    true = {"distance": float(np.median(np.linalg.norm(points, axis=1)))}
    if scene.is_dense:
        true |= zip(SIZES, true_sizes(scene, points), strict=True)
    for what, value in true.items():
        one = getattr(found, what)
        error, end = math.log(one.value / value), math.log(one.high / one.value)
        yield Answer(kind=kind, what=what, error=error, end=end)


def metric(scene: Scene, number: int, model: Model) -> Iterator[Prediction]:
    """Yield predictions in metres: by the camera's height of a street, or by known distances."""
    plain = rilievo.predict(scene.pixels, model=model, camera=scene.camera)
    if not scene.is_dense:
        try:
            yield convert_by_references(plain, MetricReferences(camera_height=scene.height))[0]
            return
        except CalibrationError:
            pass  # a bent street
    v, u = np.nonzero(smooth(scene.depth))
    chance = np.random.default_rng([5, number])
    for at in chance.integers(len(v), size=POINTS if scene.is_dense else 1):
        z = float(scene.depth[v[at], u[at]])
        known = rilievo.KnownPoint(u=float(u[at]), v=float(v[at]), metres=z)
        yield convert_by_references(plain, MetricReferences(known=(known,)))[0]


def smooth(depth: np.ndarray, reach: int = 4, most: float = 1.15) -> np.ndarray:
    """Pixels with true depth around which it differs by little: nobody measures to an edge."""
    high, low = depth.copy(), np.where(depth > 0, depth, np.inf)
    for axis in (0, 1):
        rolled = [
            (np.roll(high, by, axis), np.roll(low, by, axis)) for by in range(-reach, reach + 1)
        ]
        high = np.max([one for one, _ in rolled], axis=0)
        low = np.min([one for _, one in rolled], axis=0)
    return (depth > 0) & (high < most * low)


def kitti(day: Path, number: int) -> Scene:
    """A frame with its scan."""
    camera = read_camera(day, CAMERA)
    points = read_velodyne(day / DRIVE / f"velodyne_points/data/{number:010d}.bin")
    return Scene(
        pixels=read_photo(day / DRIVE / CAMERA / f"data/{number:010d}.jpg").pixels,
        camera=Camera(K=camera.P[:, :3]),
        depth=project_nearest(points, image_from_laser(day, camera), camera.shape),
        height=KITTI_HEIGHT,
        up=np.array([0.0, -1.0, 0.0]),
        is_dense=False,
    )


def room(number: int) -> Scene:
    """A rendered room."""
    from lab.scenes import Kind, render

    sample = render(FIRST_ROOM + number, size=ROOM_SIZE, kind=Kind.ROOMS)
    pose, depth, camera = sample.world_T_cam, sample.depth, sample.camera
    assert pose is not None
    assert depth is not None
    assert camera is not None
    return Scene(
        pixels=sample.image,
        camera=camera,
        depth=depth.astype(np.float64),
        height=float(pose[2, 3]),
        up=pose[2, :3].copy(),
        is_dense=True,
    )


def true_points(scene: Scene, box: Sequence[float], near: float, far: float) -> np.ndarray:
    """Points (n, 3) of the thing: in the box, between two depths, and not on the floor."""
    v, u = np.indices(scene.depth.shape)
    left, top, right, bottom = box
    inside = (u >= left) & (u <= right) & (v >= top) & (v <= bottom)
    inside &= (scene.depth > near) & (scene.depth < far)
    K, z = scene.camera.K, scene.depth[inside]
    x, y = (u[inside] - K[0, 2]) / K[0, 0] * z, (v[inside] - K[1, 2]) / K[1, 1] * z
    points = np.stack([x, y, z], axis=1)
    return points[points @ scene.up + scene.height > (0.03 if scene.is_dense else 0.2)]


def true_sizes(scene: Scene, points: np.ndarray) -> list[float]:
    """Extent of points to the right, up and forward of a level camera."""
    ahead = np.array([0.0, 0.0, 1.0])
    forward = ahead - (ahead @ scene.up) * scene.up
    forward /= np.linalg.norm(forward)
    axes = np.stack([np.cross(forward, scene.up), scene.up, forward])
    low, high = np.quantile(points @ axes.T, SIDES, axis=0)
    return (high - low).tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeQuality:
    """How good the ranges of one quantity are.

    Attributes:
        count: Number of measurements.
        inside: Share of true values inside their range.
        half_width: Median half-width of the ranges, as a share of the value.
        error: Median error of the values, as a share of the value.
        excess: Mean interval score of the ranges over that of the constant range that holds eight
            in ten of these very errors; 1 is as good as such a constant, and more is worse.
    """

    count: int
    inside: float
    half_width: float
    error: float
    excess: float


def range_quality(found: Sequence[Answer], what: str) -> RangeQuality:
    """Judge the ranges of one quantity by how often they hold, and by their width."""
    errors, ends = np.array([(abs(each.error), each.end) for each in found if each.what == what]).T
    constant = np.full_like(ends, np.quantile(errors, COVERAGE))
    return RangeQuality(
        count=len(errors),
        inside=float(np.mean(errors <= ends)),
        half_width=float(np.median(np.sinh(ends))),
        error=float(np.median(np.expm1(errors))),
        excess=interval_score(errors, ends) / interval_score(errors, constant),
    )


def interval_score(errors: np.ndarray, ends: np.ndarray) -> float:
    """Mean interval score (Gneiting and Raftery 2007, eq. 43) of symmetric ranges of logarithms.

    It is the width, and for a value outside also its distance from the range over half the share
    of values that may lie outside. Ranges that are too wide and ranges that are too narrow both
    raise it.
    """
    outside = np.maximum(errors - ends, 0)
    return float(np.mean(2 * ends + 2 / (1 - COVERAGE) * outside))


def main(data: Path) -> None:
    """Print a row for each kind of pictures and quantity."""
    warnings.simplefilter("ignore")
    model = rilievo.load_model(device="cpu", threads=1)
    for kind in ("kitti", "room"):
        found = [*answers(kind, data, model)]
        for what in dict.fromkeys(one.what for one in found):
            quality = range_quality(found, what)
            sys.stdout.write(
                f"| {kind} | {what} | {quality.count} | {100 * quality.error:.0f}% "
                f"| {100 * quality.inside:.0f}% | {100 * quality.half_width:.0f}% "
                f"| {quality.excess:.2f} |\n"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["RILIEVO_DATA"]))
