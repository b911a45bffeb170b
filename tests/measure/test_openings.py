"""Whether objects fit through openings whose true sides are known."""

import math

import numpy as np
import pytest

import rilievo
from rilievo.calibration.sizes import parse_object_sides
from rilievo.errors import OptionError
from rilievo.measure import OpeningFit
from rilievo.measure.openings import largest_fitting_factor

HEIGHT, WIDTH, FOCAL = 756, 1008, 750.0
CAMERA = rilievo.Camera(
    K=np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
)
PHOTO = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


class Doorway:
    """Opening in a wall with a sheet of paper beside it, seen at a slant; corners have errors.

    The picture is a quarter of 12 megapixels as wide, and its corners have a quarter of the error.
    """

    ERROR = 0.25  # [px]

    def __init__(self, seed: int, paper: tuple[float, float]) -> None:
        generator = np.random.default_rng([seed, 3])
        slant = math.radians(generator.uniform(-35, 35))
        self.sides = generator.uniform(0.75, 1.0), generator.uniform(1.9, 2.1)
        self._right = np.array([math.cos(slant), 0, math.sin(slant)])
        # The whole opening is in the picture.
        distance = max(generator.uniform(2.6, 3.2), 1.15 * FOCAL * self.sides[1] / HEIGHT)
        self._middle = np.array([generator.uniform(-0.2, 0.2), 0, distance])
        width, height = self.sides
        sheet_middle = width / 2 + 0.3, generator.uniform(-0.3, 0.3)
        self.corners = self._rectangle((0, 0), (width, height), generator)
        sheet = self._rectangle(sheet_middle, paper, generator)
        self.sheet = rilievo.KnownRectangle(corners=tuple(sheet), sides=paper, error=self.ERROR)

    def _rectangle(
        self,
        middle: tuple[float, float],
        sides: tuple[float, float],
        generator: np.random.Generator,
    ) -> list[tuple[float, float]]:
        corners = []
        for across, down in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
            x, y = middle[0] + across * sides[0], middle[1] + down * sides[1]
            place = self._middle + x * self._right + np.array([0, y, 0])
            u, v = CAMERA.project(place) + generator.normal(0, self.ERROR, 2)
            corners.append((float(u), float(v)))
        return corners

    def fit(self, object_sides: tuple[float, float, float]) -> OpeningFit:
        """Measured in the plane of the sheet, whatever the depth of the wall is."""
        v, u = np.indices((HEIGHT, WIDTH)).astype(float)
        normal = np.cross(self._right, [0, 1, 0])
        rays = CAMERA.rays(np.stack([u, v]))
        depth = (normal @ self._middle) / np.einsum("c,chw->hw", normal, rays)
        prediction = rilievo.Prediction.from_depth(PHOTO, depth, CAMERA, known=[self.sheet])
        return prediction.fits_through(object_sides, self.corners, in_plane=True)


A3, A4 = (0.42, 0.297), (0.297, 0.21)


@pytest.mark.slow
@pytest.mark.parametrize(("paper", "least"), [(A3, 9), pytest.param(A4, 8, marks=pytest.mark.slow)])
def test_openings_that_are_five_per_cent_too_small_or_large_are_told_apart(
    paper: tuple[float, float], least: int
) -> None:
    too_small, large_enough = [], []
    for seed in range(10):
        doorway = Doorway(seed, paper)
        width, height = doorway.sides
        too_small.append(doorway.fit((width / 0.95, 0.97 * height, 2.5)).answer)
        large_enough.append(doorway.fit((width / 1.05, 0.95 * height, 2.5)).answer)
    assert too_small.count("no") >= least
    assert large_enough.count("yes") >= least
    assert "yes" not in too_small
    assert "no" not in large_enough


def carver_fits(p: float, q: float, a: float, b: float) -> bool:
    """Criterion of Carver (1957) that a rectangle p x q fits into a x b; p >= q and a >= b."""
    if p <= a:
        return q <= b
    root = math.sqrt(max(p**2 + q**2 - a**2, 0))
    return q <= b and b >= (2 * p * q * a + (p**2 - q**2) * root) / (p**2 + q**2)


def test_the_factor_is_that_of_carver_and_of_every_angle_tried() -> None:
    generator = np.random.default_rng(0)
    angles = np.linspace(0, math.pi / 2, 5001)
    cosines, sines = np.cos(angles), np.sin(angles)
    for _ in range(500):
        p, q, a, b = generator.uniform(0.1, 2, 4)
        factor = largest_fitting_factor((p, q), (a, b))
        tried = np.minimum(a / (p * cosines + q * sines), b / (p * sines + q * cosines)).max()
        assert tried * (1 - 1e-9) <= factor <= tried * 1.001
        for scale, fits in ((0.999, True), (1.001, False)):
            sides = sorted((scale * factor * p, scale * factor * q), reverse=True)
            assert bool(carver_fits(*sides, *sorted((a, b), reverse=True))) == fits


@pytest.mark.parametrize(
    ("object_sides", "answer", "words"),
    [
        ((2.0, 0.5, 0.8), "yes", "the opening has the sides"),
        ((1.2, 1.2, 1.2), "no", "the opening has the sides"),
        ((1.004, 1.004, 2.5), "not sure", "the opening has the sides"),
        # A thin board of 2.1 m is longer than the sides of 1 x 2 m, and fits at an angle.
        ((2.1, 2.5, 0.02), "yes", "turned by"),
        ((84, 100, 120), "no", "84 x 100 x 120 metres; if the numbers are in centimetres, write "),
        ((600, 840, 2000), "no", "if the numbers are in millimetres, write 0.6x0.84x2"),
    ],
)
def test_the_answer_follows_the_range_of_the_opening(
    object_sides: tuple[float, float, float], answer: str, words: str
) -> None:
    """An opening of 1 x 2 m at 3 m, whose depth is stated to be right to 1%."""
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    prediction = rilievo.Prediction.from_depth(PHOTO, depth, CAMERA, depth_error="1%")
    u, v = CAMERA.cx, CAMERA.cy
    corners = [(u - 125, v - 250), (u + 125, v - 250), (u + 125, v + 250), (u - 125, v + 250)]
    fit = prediction.fits_through(object_sides, corners)
    assert fit.answer == answer
    assert fit.opening_width.value == pytest.approx(1, rel=1e-3)
    assert fit.opening_height.value == pytest.approx(2, rel=1e-3)
    assert any(words in remark for remark in fit.remarks)
    assert str(fit).startswith(f"fit: {answer}; an object ")
    skewed = [corners[0], corners[1], corners[2], (u - 40, v + 250)]
    assert any("rectangle" in r for r in prediction.fits_through(object_sides, skewed).remarks)


@pytest.mark.parametrize(
    ("sides", "corner_count", "words"),
    [
        ("0.8x0.6", 4, "three sides of an object"),
        ("0.8x0.6x2 apples", 4, "three sides of an object"),
        ("0.8x0.6x-2", 4, "must be between"),
        ((1.0, 2.0), 4, "three positive sides"),
        ((1.0, 2.0, math.nan), 4, "three positive sides"),
        ("0.8x0.6x2", 3, "four corners"),
    ],
)
def test_what_is_no_object_or_no_opening_is_refused(
    sides: str | tuple[float, ...], corner_count: int, words: str
) -> None:
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    prediction = rilievo.Prediction.from_depth(PHOTO, depth, CAMERA)
    corners = [(100.0, 100.0), (300.0, 100.0), (300.0, 400.0), (100.0, 400.0)][:corner_count]
    with pytest.raises(OptionError, match=words):
        prediction.fits_through(sides, corners)


def test_the_sides_of_an_object_take_units() -> None:
    assert parse_object_sides("80x60x200cm") == (0.8, 0.6, 2.0)
    assert parse_object_sides("0.8 x 60cm × 2 m") == (0.8, 0.6, 2.0)
