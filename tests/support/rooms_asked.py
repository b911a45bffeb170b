"""Rendered rooms, with questions about sizes in them whose true answers are known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lab.scenes import Kind, TextureBank, render
from rilievo.records.sample import Sample

FIRST_SEED = 2**63 + 3_000_000_001
"""Seeds that no training and no split of the dataset ``synthetic`` has."""
COUNTS = {"length": 5, "height": 2, "area": 1, "angle": 2}
SHORTEST, LONGEST = 0.1, 0.6
"""Distance of the ends of a length in widths of the picture, by lab/studies/calibrate_ranges.py."""
LEAST_HEIGHT = 0.3
_TRIES = 20_000

Pixel = tuple[int, int]
"""Column and row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question whose answer is known.

    Attributes:
        what: Quantity, as the tool ``measure`` names it.
        points: Column and row of each point [px].
        true: True value in metres, square metres or degrees.
    """

    what: str
    points: list[Pixel]
    true: float

    @property
    def power(self) -> int:
        """Power of a length that the quantity is."""
        return {"angle": 0, "area": 2}.get(self.what, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A rendered photograph with questions.

    Attributes:
        photo: File of the photograph.
        camera_height: True height of the camera above the floor [m].
        known: A length that is told, with its true metres.
        questions: Ten questions.
    """

    photo: Path
    camera_height: float
    known: Question
    questions: list[Question]


def rooms(
    folder: Path, count: int, *, size: tuple[int, int], textures: TextureBank | None = None
) -> Iterator[Room]:
    """Render rooms into a folder, and ask ten questions about each."""
    for index in range(count):
        sample = render(FIRST_SEED + index, size=size, kind=Kind.ROOMS, textures=textures)
        photo = folder / f"room{index:02d}.png"
        Image.fromarray(sample.image).save(photo)
        asked = _Asked(sample, np.random.default_rng([36, index]))
        assert sample.world_T_cam is not None
        yield Room(
            photo=photo,
            camera_height=float(sample.world_T_cam[2, 3]),
            known=asked.length(),
            questions=[getattr(asked, what)() for what in COUNTS for _ in range(COUNTS[what])],
        )


class _Asked:
    """Questions about one sample at random places, answered by its exact depth and normals."""

    def __init__(self, sample: Sample, chance: np.random.Generator) -> None:
        assert sample.depth is not None
        assert sample.camera is not None
        assert sample.world_T_cam is not None
        assert sample.normals is not None
        assert sample.depth_valid is not None
        self._points = sample.camera.points(sample.depth.astype(np.float64))
        self._pose, self._normals = sample.world_T_cam, sample.normals
        self._valid, self._chance = sample.depth_valid, chance

    def length(self) -> Question:
        for _ in range(_TRIES):
            a, b = self._pixel(), self._pixel()
            if SHORTEST < math.dist(a, b) / self._valid.shape[1] < LONGEST:
                true = float(np.linalg.norm(self._place(a) - self._place(b)))
                return Question(what="length", points=[a, b], true=true)
        raise AssertionError("no length")

    def height(self) -> Question:
        for _ in range(_TRIES):
            at = self._pixel()
            true = float(self._pose[2, :3] @ self._place(at) + self._pose[2, 3])
            if true > LEAST_HEIGHT:
                return Question(what="height", points=[at], true=true)
        raise AssertionError("no height")

    def area(self) -> Question:
        """A triangle on a flat surface, of a twentieth of the picture's width or more."""
        for _ in range(_TRIES):
            corners = [self._pixel() for _ in range(3)]
            a, b, c = map(self._place, corners)
            normal = self._normal(corners[0])
            flat = max(abs(float((other - a) @ normal)) for other in (b, c)) < 1e-3
            alike = all(float(self._normal(each) @ normal) > 0.999 for each in corners[1:])
            wide = (
                min(math.dist(corners[i], corners[j]) for i, j in ((0, 1), (1, 2), (2, 0)))
                > 0.05 * self._valid.shape[1]
            )
            if flat and alike and wide:
                true = float(np.linalg.norm(np.cross(b - a, c - a))) / 2
                return Question(what="area", points=corners, true=true)
        raise AssertionError("no area")

    def angle(self) -> Question:
        a, b = self._pixel(), self._pixel()
        cosine = float(np.clip(self._normal(a) @ self._normal(b), -1, 1))
        return Question(what="angle", points=[a, b], true=math.degrees(math.acos(cosine)))

    def _pixel(self) -> Pixel:
        height, width = self._valid.shape
        while True:
            u, v = int(self._chance.integers(width)), int(self._chance.integers(height))
            if self._valid[v, u]:
                return u, v

    def _place(self, at: Pixel) -> np.ndarray:
        return self._points[:, at[1], at[0]]

    def _normal(self, at: Pixel) -> np.ndarray:
        return self._normals[:, at[1], at[0]].astype(np.float64)
