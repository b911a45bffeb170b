"""Photographs on which ranges of metres are learned, and those that judge them.

Ranges are learned on NYU's training frames that no network saw, as they are, seen by a turned
camera, and cut as a longer lens sees them, and on the photographs of all cameras that judge. A
camera is judged by ranges that were learned without it. Scenes of our own renderer are too easy for
a network that learned from such scenes, so none are among them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import panel
from jaxtyping import Float64
from real_frames import scored_samples
from real_sets import REAL_SETS

from rilievo.geometry.cameras.camera import Camera
from rilievo.records.sample import Sample

JUDGES = (*panel.DECIDING, "realsense", "tum", "motorcycle", "replica-47", "icl", "sunrgbd",
          "tum-pair", "kitti-depth", "kitti-raw")  # fmt: skip
"""Sets that judge."""
_CAMERAS = {"NYU": ("nyu", "nyu-kept", "turned", "cut"), "7-Scenes": ("panel-7scenes",),
            "TUM": ("panel-tum-rpy", "tum", "tum-pair"), "TartanAir": ("panel-tartanair-hospital",),
            "RealSense": ("realsense",), "Middlebury": ("motorcycle",), "Replica": ("replica-47",),
            "ICL-NUIM": ("icl",), "SUN RGB-D": ("sunrgbd",),
            "KITTI": ("kitti-depth", "kitti-raw")}  # fmt: skip
"""Sets of each camera."""
EVERY = {"nyu": 4}
"""Step through the frames of a set with many."""
_KEPT = slice(-60, None)
_ROLL, _PITCH = math.radians(15), math.radians(4)
_MOST = 2.4
"""Deviations of the turns, and the largest turn as a multiple of its deviation."""
_SIDE, _ZOOMS = 0.68, np.linspace(1, 2, 21)
"""Side of a turned picture as a share of the photograph's, and zooms tried until no corner is
outside."""
_CUT, _AROUND = (0.4, 0.7), 0.1
"""Sides of cut pictures, and the least distance of the principal point from their borders."""
_LEAST_KNOWN = 0.003


def camera_of_set(name: str) -> str:
    """Camera whose photographs a set has; a set without one, as of a renderer, is its own."""
    for camera, sets in _CAMERAS.items():
        if name in sets:
            return camera
    return name


def learning_photographs(data: Path) -> Iterator[tuple[str, Sample]]:
    """Yield photographs to learn from, with the names of their kinds."""
    real = replace(REAL_SETS["nyu-kept"], takes=_KEPT)
    for number, sample in enumerate(scored_samples(real, data)):
        chance = np.random.default_rng([7, number])
        yield "nyu-kept", sample
        yield "turned", turned(sample, chance)
        yield "cut", cut(sample, chance)


def judging_photographs(data: Path) -> Iterator[tuple[str, Sample]]:
    """Yield the photographs of all cameras that judge, with the names of their sets."""
    for name in JUDGES:
        for number, sample in enumerate(panel.frames(name, data)):
            if sample.depth is None or sample.camera is None or number % EVERY.get(name, 1):
                continue
            # The annotated frames of KITTI reach as far as its scans.
            valid = panel.valid_of("kitti-raw" if name.startswith("kitti") else name, sample)
            if valid.mean() >= _LEAST_KNOWN:
                yield name, replace(sample, depth_valid=valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """View of a turned camera in a photograph.

    Attributes:
        K: (3, 3) intrinsics of the turned camera [px].
        x: (H, W) columns in the photograph [px].
        y: (H, W) rows in the photograph [px].
        stretch: (H, W) z in the photograph's camera of points at z = 1 in the turned one.
    """

    K: np.ndarray
    x: np.ndarray
    y: np.ndarray
    stretch: np.ndarray

    def is_within(self, width: int, height: int) -> bool:
        """Whether every pixel lies in a photograph of a size."""
        return bool(
            min(self.x.min(), self.y.min()) >= 0
            and self.x.max() <= width - 1
            and self.y.max() <= height - 1
        )


def _view(K: np.ndarray, turn: np.ndarray, shape: tuple[int, ...], zoom: float) -> _View:
    """The view of a camera that is turned and zoomed in."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    zoomed = np.diag([zoom, zoom, 1.0]) @ K
    zoomed[:2, 2] = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    rays = np.stack(
        [(u - zoomed[0, 2]) / zoomed[0, 0], (v - zoomed[1, 2]) / zoomed[1, 1], 0 * u + 1]
    )
    x, y, z = np.einsum("ij,jhw->ihw", turn, rays)
    return _View(
        K=zoomed,
        x=K[0, 0] * x / z + K[0, 2],
        y=K[1, 1] * y / z + K[1, 2],
        stretch=z,
    )


def turned(sample: Sample, chance: np.random.Generator) -> Sample:
    """A photograph as a rolled and pitched camera sees it, zoomed in until it is full."""
    assert sample.depth is not None
    assert sample.camera is not None
    roll, pitch = (
        float(np.clip(chance.normal(0, size), -_MOST * size, _MOST * size))
        for size in (_ROLL, _PITCH)
    )
    turn = _rotation(roll, 2) @ _rotation(pitch, 0)
    height, width = sample.depth.shape
    K = np.asarray(sample.camera.K, np.float64)
    shape = tuple(int(side * _SIDE) // 2 * 2 for side in (height, width))
    least, *others = _ZOOMS
    view = _view(K, turn, shape, least)
    for zoom in others:
        if view.is_within(width, height):
            break
        view = _view(K, turn, shape, zoom)
    x, y = view.x, view.y
    rows = np.clip(np.rint(y), 0, height - 1).astype(int)
    columns = np.clip(np.rint(x), 0, width - 1).astype(int)
    valid = sample.depth_valid
    return replace(
        sample,
        image=cv2.remap(
            np.ascontiguousarray(sample.image),
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        depth=(sample.depth[rows, columns] / view.stretch).astype(np.float32),
        depth_valid=None if valid is None else valid[rows, columns],
        camera=Camera(K=view.K, source=sample.camera.source),
    )


def _rotation(angle: float, axis: int) -> Float64[np.ndarray, "3 3"]:
    vector = np.zeros(3)
    vector[axis] = angle
    return cv2.Rodrigues(vector)[0]


def cut(sample: Sample, chance: np.random.Generator) -> Sample:
    """A part of a photograph, as a longer lens sees it; it holds the principal point."""
    assert sample.depth is not None
    assert sample.camera is not None
    share = float(chance.uniform(*_CUT))
    places, middle = [], (sample.camera.K[1][2], sample.camera.K[0][2])
    for length, centre in zip(sample.depth.shape, middle, strict=True):
        side = int(share * length)
        first = int(chance.integers(0, length - side + 1))
        least, most = centre - (1 - _AROUND) * side, centre - _AROUND * side
        first = min(max(round(float(np.clip(first, least, most))), 0), length - side)
        places.append(slice(first, first + side))
    place = tuple(places)
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[place]),
        depth=sample.depth[place],
        depth_valid=None if sample.depth_valid is None else sample.depth_valid[place],
        camera=sample.camera.cropped(top=places[0].start, left=places[1].start),
    )
