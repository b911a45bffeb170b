"""Measure boxes on a sheet of A4, in rendered photographs.

Usage: ``RILIEVO_DATA=... python lab/studies/judge_sheets.py [COUNT]``, by default 150 photographs.

Each photograph shows a printed sheet of A4 on a table, from 35 to 80 cm and at a slant of 0 to 60
degrees, and a box of 0 to 10 cm height on the sheet, with pictures of materials on the table and
the box, a light and a soft shadow (seed 0). The sheet is given as a known rectangle, whose corners
are exact, and the camera is known. Measured is a length on the top of the box, by the embedded
network, by its exact depth as a network's answer, and by its exact depth as a given depth map.

Printed are the median and the largest relative error, the share of true lengths inside the range,
the median half width of the range, and the share of the true relief that the network shows.
"""

import warnings
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path

import numpy as np
from PIL import Image

import rilievo
from rilievo.calibration.rectangle_depth import fit_log_ratio, sample_rectangle
from rilievo.calibration.rectangle_fit import fit_rectangles
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard

_HEIGHT, _WIDTH, _FOCAL = 480, 640, 560.0
_K = np.array([[_FOCAL, 0, (_WIDTH - 1) / 2], [0, _FOCAL, (_HEIGHT - 1) / 2], [0, 0, 1]])
_SHEET = (0.21, 0.297)
_SLANTS = (0, 15, 30, 45, 60)
_HEIGHTS = (0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1)
_FARTHEST = 6.0
_LIGHTS = 6
"""Directions of light that make a shadow soft."""
_GROUPS = ((0.0, 0.0), (0.01, 0.02), (0.04, 0.04), (0.06, 0.1))
"""Heights of boxes that are told together [m]."""


@dataclass(frozen=True)
class _View:
    """Camera at a place, whose axes are the rows of ``axes``, in the frame of the sheet."""

    place: np.ndarray
    axes: np.ndarray

    def rays(self) -> np.ndarray:
        """Directions (3, h, w) in the frame of the sheet, of depth 1."""
        rows, columns = np.mgrid[:_HEIGHT, :_WIDTH].astype(float)
        ahead = np.stack(
            [(columns - _K[0, 2]) / _FOCAL, (rows - _K[1, 2]) / _FOCAL, np.ones(rows.shape)]
        )
        return np.einsum("ji,jhw->ihw", self.axes, ahead)

    def pixel(self, point: Sequence[float] | np.ndarray) -> tuple[float, float]:
        """Column and row of a point in the frame of the sheet."""
        x, y, z = self.axes @ (np.array(point) - self.place)
        return float(_FOCAL * x / z + _K[0, 2]), float(_FOCAL * y / z + _K[1, 2])


@dataclass(frozen=True)
class _Box:
    """Box on the sheet: sides and height [m], place of its middle, and its turn [rad]."""

    sides: tuple[float, float, float]
    middle: tuple[float, float]
    turn: float

    def point(self, x: float, y: float, z: float) -> np.ndarray:
        """Place of a point of the box in the frame of the sheet."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([self.middle[0] + c * x - s * y, self.middle[1] + s * x + c * y, z])

    def inward(self, vectors: np.ndarray, *, is_place: bool) -> np.ndarray:
        """Vectors (3, n) in the frame of the box."""
        moved = vectors - np.array([[*self.middle, 0.0]]).T if is_place else vectors
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]]) @ moved

    def hits(self, starts: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factor of rays (3, n) to where each enters the box, inf if never, and the axis there."""
        inner_starts = self.inward(starts, is_place=True)
        inner_rays = self.inward(rays, is_place=False)
        inner_rays = np.where(np.abs(inner_rays) < 1e-12, 1e-12, inner_rays)
        width, depth, height = self.sides
        low, high = np.array([[-width / 2, -depth / 2, 0], [width / 2, depth / 2, height]])
        ends = np.stack(
            [
                (low[:, None] - inner_starts) / inner_rays,
                (high[:, None] - inner_starts) / inner_rays,
            ]
        )
        enters, leaves = ends.min(axis=0), ends.max(axis=0)
        is_hit = (enters.max(axis=0) < leaves.min(axis=0)) & (leaves.min(axis=0) > 0)
        is_hit &= height > 0
        return np.where(is_hit, enters.max(axis=0), np.inf), enters.argmax(axis=0)


@dataclass(frozen=True)
class _Scene:
    """Rendered photograph with what is true of it."""

    photo: np.ndarray
    depth: np.ndarray
    sheet: rilievo.KnownRectangle
    ends: tuple[tuple[float, float], tuple[float, float]]
    length: float
    height: float


class _FixedDepth(Model):
    """Network whose answer is the depth of the scene."""

    def __init__(self, card: ModelCard, depth: np.ndarray) -> None:
        self.card, self.weights_sha256, self.settings = card, "", {}
        self._depth = depth.astype(np.float32)

    def run_network(self, photos: Sequence[rilievo.Photo]) -> list[Inference]:
        return [Inference(depth=self._depth) for _ in photos]


def _materials() -> list[np.ndarray]:
    folder = Path(environ["RILIEVO_DATA"], "materials_ambientcg/previews")
    return [
        np.asarray(Image.open(path).convert("RGB").resize((512, 512))) / 255
        for path in sorted(folder.iterdir())
    ]


def _printed_sheet(random: np.random.Generator) -> np.ndarray:
    """Picture of a sheet with lines of words."""
    sheet = np.full((594, 420, 3), 0.93)
    row = 30
    while row < 560:
        column = 30
        while column < 390:
            word = int(random.integers(6, 30))
            sheet[row : row + 5, column : min(column + word, 390)] = 0.25 + 0.3 * random.random()
            column += word + 6
        row += 14 if random.random() < 0.9 else 34
    return sheet


def _view(slant: float, distance: float, turn: float) -> _View:
    angle = np.radians(slant)
    place = distance * np.array(
        [np.sin(angle) * np.sin(turn), -np.sin(angle) * np.cos(turn), np.cos(angle)]
    )
    forward = -place / distance
    up = np.array([0.0, 1, 0]) if slant < 5 else np.array([0.0, 0, 1])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return _View(place=place, axes=np.stack([right, np.cross(forward, right), forward]))


def _sample(picture: np.ndarray, x: np.ndarray, y: np.ndarray, size: float) -> np.ndarray:
    side = len(picture)
    return picture[(y / size * side).astype(int) % side, (x / size * side).astype(int) % side]


def _shadow(
    random: np.random.Generator, box: _Box, ground: np.ndarray, light: np.ndarray
) -> np.ndarray:
    """Share of light that the box keeps from places (3, n) of the ground."""
    kept = np.zeros(ground.shape[1])
    for _ in range(_LIGHTS):
        direction = light + random.normal(0, 0.12, 3)
        rays = np.broadcast_to(direction[:, None], ground.shape)
        kept += np.isfinite(box.hits(ground + 1e-5 * rays, rays)[0])
    return kept / _LIGHTS


def _render(random: np.random.Generator, materials: list[np.ndarray]) -> _Scene:
    view = _view(
        float(random.choice(_SLANTS)), random.uniform(0.35, 0.8), random.uniform(-0.6, 0.6)
    )
    height = float(random.choice(_HEIGHTS))
    box = _Box(
        sides=(random.uniform(0.06, 0.12), random.uniform(0.02, 0.06), height),
        middle=(random.uniform(-0.03, 0.03), random.uniform(-0.05, 0.05)),
        turn=random.uniform(0, 3),
    )
    rays = view.rays().reshape(3, -1)
    start = view.place[:, None]
    ground = np.where(rays[2] < 0, -view.place[2] / rays[2], np.inf)
    box_depth, axis = box.hits(np.broadcast_to(start, rays.shape), rays)
    is_box = box_depth < ground
    depth = np.minimum(np.minimum(ground, box_depth), _FARTHEST)
    places = start + depth * rays

    light = np.array([random.uniform(-0.6, 0.6), random.uniform(-0.6, 0.6), 1.0])
    table, wrapping = (materials[each] for each in random.integers(len(materials), size=2))
    colours = _sample(table, places[0], places[1], 0.6)
    width, length = _SHEET
    on_sheet = (np.abs(places[0]) < width / 2) & (np.abs(places[1]) < length / 2) & ~is_box
    printed = _printed_sheet(random)
    columns = ((places[0] + width / 2) / width * 419).clip(0, 419).astype(int)
    rows = ((length / 2 - places[1]) / length * 593).clip(0, 593).astype(int)
    colours = np.where(on_sheet[:, None], printed[rows, columns], colours)

    inside = box.inward(places, is_place=True)
    across = np.where(axis == 0, inside[1], inside[0])
    along = np.where(axis == 2, inside[1], inside[2])
    brightness = np.choose(axis, [0.76, 0.65, 1.05])
    wrapped = _sample(wrapping, across + 0.3, along + 0.3, 0.12) * brightness[:, None]
    colours = np.where(is_box[:, None], wrapped, colours)
    if height > 0:
        near = ~is_box & (np.abs(places[:2]).max(axis=0) < 0.4)
        colours[near] *= 1 - 0.6 * _shadow(random, box, places[:, near], light)[:, None]
    colours = colours * random.uniform(0.75, 1.05) + random.normal(0, 0.01, colours.shape)

    x, a, b = 0.4 * box.sides[0], width / 2, length / 2
    corners = [view.pixel((u, v, 0)) for u, v in ((-a, b), (a, b), (a, -b), (-a, -b))]
    return _Scene(
        photo=(255 * colours.clip(0, 1)).astype(np.uint8).reshape(_HEIGHT, _WIDTH, 3),
        depth=depth.reshape(_HEIGHT, _WIDTH),
        sheet=rilievo.KnownRectangle(corners=tuple(corners), sides=_SHEET),
        ends=(view.pixel(box.point(-x, 0, height)), view.pixel(box.point(x, 0, height))),
        length=2 * x,
        height=height,
    )


def _predictions(
    scene: _Scene, model: Model, camera: rilievo.Camera
) -> Iterator[tuple[str, rilievo.Prediction]]:
    known = [scene.sheet]
    exact = _FixedDepth(model.card, scene.depth)
    for name, network in (("network", model), ("exact network", exact)):
        yield name, rilievo.predict(scene.photo, model=network, known=known, camera=camera)
    yield "depth map", rilievo.Prediction.from_depth(scene.photo, scene.depth, camera, known=known)


def _shown_relief(scene: _Scene, prediction: rilievo.Prediction) -> tuple[float, float]:
    """Relief of the first end that the network shows, and the true one."""
    fit = fit_rectangles([scene.sheet], prediction.known_camera)
    samples = sample_rectangle(prediction.depth, fit.camera, fit.poses[0])
    assert samples is not None, "the sheet is large"
    field = fit_log_ratio(samples)
    place = np.array([scene.ends[0]])
    plane = float(fit.poses[0].depths(prediction.known_camera.rays(place.T))[0])
    row, column = round(scene.ends[0][1]), round(scene.ends[0][0])
    shown = np.log(plane / prediction.depth.values[row, column]) - field.at(place)[0]
    return float(shown), float(np.log(plane / scene.depth[row, column]))


def main(count: int) -> None:
    """Print errors and shares by the height of the box."""
    warnings.simplefilter("ignore")
    random, materials = np.random.default_rng(0), _materials()
    model, camera = rilievo.load_model("rilievo/base"), rilievo.Camera(K=_K)
    found: dict[tuple[str, tuple[float, float]], list[tuple[float, bool, float]]]
    found, relief = defaultdict(list), list[tuple[float, float]]()
    for _ in range(count):
        scene = _render(random, materials)
        [group] = [each for each in _GROUPS if each[0] <= scene.height <= each[1]]
        try:
            for name, prediction in _predictions(scene, model, camera):
                measured = prediction.measure(*scene.ends)
                is_inside = measured.low <= scene.length <= measured.high
                half = (measured.high - measured.low) / 2 / measured.value
                error = abs(measured.value / scene.length - 1)
                found[name, group].append((error, is_inside, half))
                if name == "network" and scene.height > 0:
                    relief.append(_shown_relief(scene, prediction))
        except rilievo.CalibrationError:
            continue  # a corner lies outside of the picture
    for (name, (low, high)), rows in sorted(found.items()):
        errors, inside, halves = map(np.array, zip(*rows, strict=True))
        print(
            f"{name}, {1000 * low:.0f} to {1000 * high:.0f} mm: {len(rows)} boxes, median error "
            f"{np.median(errors):.1%}, largest {errors.max():.1%}, {inside.mean():.0%} inside, "
            f"half width {np.median(halves):.1%}"
        )
    shown, true = np.array(relief).T
    print(f"the network shows {shown @ true / (true @ true):.0%} of the relief")


if __name__ == "__main__":
    _parser = ArgumentParser(description=__doc__)
    _parser.add_argument("count", nargs="?", type=int, default=150, help="number of photographs")
    main(_parser.parse_args().count)
