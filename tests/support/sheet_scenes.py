"""A sheet of A4 on a table with a block on it, whose depth is known exactly."""

import math

import numpy as np
from PIL import Image, ImageDraw

import rilievo
from support.fixed_depth import FixedDepth

HEIGHT, WIDTH, FOCAL = 480, 640, 600.0
CAMERA = rilievo.Camera(
    K=np.array([[FOCAL, 0, 319.5], [0, FOCAL, 239.5], [0, 0, 1]]), source="given"
)
PHOTO = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
SIDES = (0.297, 0.21)
TOOL = (0.14, 0.04)
"""Length and width [m] of the block on the sheet, along the sheet's long side."""
SLANTS = [(0, 0.3), (0, 0.5), (25, 0.4), (45, 0.5), (60, 0.6)]
"""Slant of the view [degrees] and distance of the sheet [m]."""


class SheetScene:
    """A sheet of A4 on a table with a block on it, or a hole of negative height below it."""

    def __init__(
        self, slant: float, distance: float, height: float, block: tuple[float, float] = TOOL
    ) -> None:
        angle_of_view = math.radians(slant)
        self.slant, self.distance, self.height, self.block = slant, distance, height, block
        self.block_middle = (0.0, 0.0)
        # Columns are the sheet's long side, its short side and its normal, towards the camera.
        self.axes = np.array(
            [
                [1, 0, 0],
                [0, math.cos(angle_of_view), math.sin(angle_of_view)],
                [0, math.sin(angle_of_view), -math.cos(angle_of_view)],
            ]
        ).T
        self.axes[:, 2] *= np.sign(-self.axes[2, 2])
        self.middle = np.array([0, 0, distance])

    def place(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        return self.middle + self.axes @ (x, y, z)

    def pixel(self, x: float, y: float, z: float = 0.0) -> tuple[float, float]:
        u, v = CAMERA.project(self.place(x, y, z))
        return float(u), float(v)

    @property
    def sheet(self) -> rilievo.KnownRectangle:
        a, b = SIDES[0] / 2, SIDES[1] / 2
        corners = tuple(self.pixel(x, y) for x, y in ((-a, -b), (a, -b), (a, b), (-a, b)))
        return rilievo.KnownRectangle(corners=corners, sides=SIDES)

    def depth(self) -> np.ndarray:
        """Exact depth: the nearer of the table and the block's top, which has no sides."""
        return self.distances(CAMERA)

    def distances(
        self, camera: rilievo.Camera, size: tuple[int, int] = (HEIGHT, WIDTH)
    ) -> np.ndarray:
        """Factors of a camera's rays: depth of a pinhole, distance of a wide lens."""
        v, u = np.mgrid[: size[0], : size[1]].astype(float)
        rays = camera.rays(np.stack([u, v]))
        normal = self.axes[:, 2]
        table = (normal @ self.middle) / np.einsum("c,chw->hw", normal, rays)
        top_middle = self.place(*self.block_middle, self.height)
        top = (normal @ top_middle) / np.einsum("c,chw->hw", normal, rays)
        from_middle = rays * top - top_middle[:, None, None]
        x, y = (np.einsum("c,chw->hw", self.axes[:, axis], from_middle) for axis in (0, 1))
        is_block = (np.abs(x) < self.block[0] / 2) & (np.abs(y) < self.block[1] / 2)
        return np.where(is_block, top, table)

    def by(self, source: str, **options: object) -> rilievo.Prediction:
        known = [self.sheet]
        if source == "depth map":
            return rilievo.Prediction.from_depth(
                PHOTO, self.depth(), CAMERA, known=known, **options
            )
        # A network has its own scale, and its depth is tilted a little.
        tilted = self.depth() * np.exp(0.05 * (np.arange(WIDTH) / WIDTH - 0.5)) / 3
        model = FixedDepth(self.depth() if source == "sensor" else tilted)
        if source == "sensor":
            return rilievo.predict(
                PHOTO, model=model, sparse=self.depth(), camera=CAMERA, trim=False
            )
        return rilievo.predict(PHOTO, model=model, known=known, camera=CAMERA, trim=False)

    def tool_ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Two points 100 mm apart on the top of the block."""
        return self.pixel(-0.05, 0, self.height), self.pixel(0.05, 0, self.height)


class Book(SheetScene):
    """A sheet that is the cover of a book, 60 mm above the table."""

    def depth(self) -> np.ndarray:
        table = SheetScene(self.slant, self.distance, 0.0)
        table.middle = table.middle - 0.06 * table.axes[:, 2]
        mask = Image.new("1", (WIDTH, HEIGHT))
        ImageDraw.Draw(mask).polygon(list(self.sheet.corners), fill=1)
        return np.where(np.array(mask), super().depth(), table.depth())
