"""Rectangles of random sizes, poses and cameras, as they are seen, with lines to measure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.calibration.sizes import KnownRectangle
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.lens import inside_picture
from rilievo.geometry.transforms import rotation_from_axis_angle

SHAPE = (960, 1280)
LEAST_SLANT, MOST_SLANT = 20.0, 65.0
"""Angle between the plane's normal and the line of sight to its middle [degrees]."""
LEAST_SIDE = 150.0
"""Shortest side in the photograph [px]."""
FARTHEST_VANISHING = 5.0
"""Distance of vanishing points from the picture's middle, in its widths, up to which a focal length
is to be found."""
LINES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRectangle:
    """A rectangle in a photograph, and the truth.

    Attributes:
        rectangle: The rectangle, with corners that are off.
        camera: The camera.
        R: Columns are its directions in the camera frame.
        t: Middle in the camera frame [m].
        lines: Ends of lines in its plane, up to twice as long as a side: both places in the camera
            frame [m].
    """

    rectangle: KnownRectangle
    camera: Camera
    R: np.ndarray
    t: np.ndarray
    lines: np.ndarray

    @property
    def vanishing(self) -> float:
        """Distance of the farther vanishing point of its sides, in widths of the picture."""
        far = []
        for x, y, z in self.R.T[:2]:
            focal = self.camera.focal
            far.append(focal * math.hypot(x, y) / max(abs(z), 1e-9))
        return max(far) / SHAPE[1]


def seen_rectangles(
    count: int, seed: int, *, error: float = 0.5, gaussian: bool = False, distorted: bool = True
) -> Iterator[SeenRectangle]:
    """Draw rectangles whose corners lie in the picture.

    Args:
        count: Number of rectangles.
        seed: Seed.
        error: Largest distance of a corner from its true place [px], evenly by area;
            or the standard deviation of column and row.
        gaussian: Whether errors of corners are normal; their error is told to the rectangle then.
        distorted: Whether the lens distorts, by up to 9% at the corners; else it is a pinhole.
    """
    chance = np.random.default_rng(seed)
    while count:
        seen = _drawn(chance, error, gaussian, distorted)
        if seen is not None:
            count -= 1
            yield seen


def _drawn(
    chance: np.random.Generator, error: float, gaussian: bool, distorted: bool
) -> SeenRectangle | None:
    """One rectangle, or None where it is too small or is not all in the picture."""
    height, width = SHAPE
    focal = width / 2 / math.tan(math.radians(chance.uniform(40, 90)) / 2)
    k1 = chance.uniform(-0.25, 0.1) * (focal / width) ** 2 if distorted else 0.0
    p = tuple(chance.uniform(-1e-3, 1e-3, 2)) if distorted else (0.0, 0.0)
    middle = (width - 1) / 2, (height - 1) / 2
    camera = Camera(lens=Distorted(focal, focal, *middle, k=(k1, 0, 0, 0, 0, 0), p=p))
    sides = np.array([1.0, chance.uniform(1, 2.5)])[chance.permutation(2)] * chance.uniform(0.1, 2)
    sight = np.array([chance.uniform(-0.4, 0.4), chance.uniform(-0.3, 0.3), 1.0])
    sight[:2] *= (width / focal, height / focal)
    sight /= np.linalg.norm(sight)
    t = sight * float(sides.max()) * focal / chance.uniform(200, 900)
    # The plane faces the line of sight, turned in itself, and is then slanted about an axis in it.
    x = np.cross([0.0, 1.0, 0.0], sight)
    frame = np.stack([x / np.linalg.norm(x), np.cross(sight, x / np.linalg.norm(x)), sight], axis=1)
    angle, turn = chance.uniform(0, 2 * math.pi, 2)
    slant = math.radians(chance.uniform(LEAST_SLANT, MOST_SLANT))
    axis = np.array([math.cos(angle), math.sin(angle), 0.0]) * slant
    about = rotation_from_axis_angle
    R = frame @ about(axis) @ about(np.array([0.0, 0.0, turn]))
    plane = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * sides / 2
    corners = camera.project(R[:, :2] @ plane.T + t[:, None])
    if not _is_seen(corners):
        return None
    if gaussian:
        off = chance.normal(0, error, (2, 4))
    else:
        away, way = error * np.sqrt(chance.uniform(0, 1, 4)), chance.uniform(0, 2 * math.pi, 4)
        off = away * np.stack([np.cos(way), np.sin(way)])
    rectangle = KnownRectangle(
        corners=tuple((float(u), float(v)) for u, v in (corners + off).T),
        sides=(float(sides[0]), float(sides[1])),
        error=error if gaussian else 1.0,
    )
    if rectangle.shortest_side < LEAST_SIDE:
        return None
    lines = []
    while len(lines) < LINES:
        ends = chance.uniform(-1.5, 1.5, (2, 2)) * sides
        if not 0.2 * sides.min() < np.linalg.norm(ends[1] - ends[0]) < 2 * sides.max():
            continue
        places = R[:, :2] @ ends.T + t[:, None]
        pixels = camera.project(places)
        if _is_seen(pixels):
            lines.append(places)
    return SeenRectangle(rectangle=rectangle, camera=camera, R=R, t=t, lines=np.array(lines))


def _is_seen(pixels: np.ndarray) -> bool:
    """Whether all pixels lie in the picture."""
    u, v = pixels
    return bool(np.isfinite(pixels).all() and inside_picture(u, v, SHAPE).all())
