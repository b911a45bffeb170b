"""Borders of scans and films are found to the pixel; real photographs have none."""

import io

import numpy as np
import pytest
import skimage.data
from jaxtyping import UInt8
from PIL import Image

from rilievo.geometry.borders import Margins, find_black_bars, find_margins

ROWS, COLUMNS = np.mgrid[:480, :640]


def bordered(
    margins: Margins, colour: float, *, noise: float = 0.0, size: tuple[int, int] = (400, 600)
) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph of a cup of coffee with a border."""
    inside = np.asarray(Image.fromarray(skimage.data.coffee()).resize(size[::-1]))
    sides = ((margins.top, margins.bottom), (margins.left, margins.right), (0, 0))
    grain = np.random.default_rng(0).normal(
        colour, noise, (size[0] + sum(sides[0]), size[1] + sum(sides[1]), 3)
    )
    whole = np.clip(grain, 0, 255).astype(np.uint8)
    whole[margins.inside(whole.shape[:2])] = inside
    return whole


def compressed(pixels: np.ndarray, quality: int) -> UInt8[np.ndarray, "h w 3"]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


LETTERBOX, PILLARS = Margins(top=60, bottom=60), Margins(left=250, right=250)
PAGE, FRAME = (
    Margins(top=50, right=70, bottom=90, left=40),
    Margins(top=3, right=3, bottom=2, left=4),
)


@pytest.mark.parametrize(
    ("margins", "colour", "noise"),
    [
        (LETTERBOX, 0, 0),
        (LETTERBOX, 16, 1),
        (PILLARS, 0, 0),
        (PAGE, 12, 0),
        (PAGE, 245, 3),
        (PAGE, 255, 0),
        (FRAME, 99, 0),
        (FRAME, 0, 0),
    ],
)
def test_borders_are_found_to_the_pixel(margins: Margins, colour: float, noise: float) -> None:
    assert find_margins(bordered(margins, colour, noise=noise)) == margins


@pytest.mark.parametrize("quality", [60, 90])
def test_compression_moves_an_edge_by_a_pixel_at_most(quality: int) -> None:
    for margins, colour in ((LETTERBOX, 0), (PAGE, 250)):
        found = find_margins(compressed(bordered(margins, colour), quality))
        for side in ("top", "right", "bottom", "left"):
            assert abs(getattr(found, side) - getattr(margins, side)) <= 1, side


@pytest.mark.parametrize(
    "name",
    [
        *("astronaut", "coffee", "chelsea", "rocket", "camera", "moon", "coins", "page", "clock"),
        *("hubble_deep_field", "immunohistochemistry", "text", "retina", "brick", "grass"),
    ],
)
def test_real_photographs_have_none(name: str) -> None:
    pixels = getattr(skimage.data, name)()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    for each in (pixels, compressed(pixels, 60), pixels[::2, ::2]):
        assert find_margins(np.ascontiguousarray(each)) == Margins()


def scene(name: str) -> np.ndarray:
    """A camera's picture with content that most resembles a border."""
    chance = np.random.default_rng(1)
    grain = chance.normal(0, 1.5, (480, 640, 1))
    black, white = np.full((480, 640, 3), 5.0), np.full((480, 640, 3), 254.0)
    if name == "moon":
        black[(COLUMNS - 300) ** 2 + (ROWS - 200) ** 2 < 60**2] = 230
        return black + grain
    if name == "skyline at night":
        heights = 300 + np.repeat(chance.integers(-80, 60, 32), 20)
        black[heights < ROWS] = [120, 90, 60]
        return black + grain
    if name == "sea under a white sky":
        white[200:] = [60, 90, 120]
        return white + grain
    if name == "stars":
        black[tuple(chance.integers(0, 480, (2, 300)))] = 255
        return black + grain
    if name == "rounded thing on white":
        inside = ((COLUMNS - 320) / 250) ** 8 + ((ROWS - 240) / 200) ** 8 < 1
        white[inside] = [180, 30, 40]
        return white
    if name == "tilted thing on white":
        across, down = COLUMNS - 320, ROWS - 240
        inside = (abs(across + down / 9) < 250) & (abs(down - across / 9) < 170)
        white[inside] = [20, 30, 90]
        return white
    if name == "ball":
        white[(COLUMNS - 320) ** 2 + (ROWS - 240) ** 2 < 237**2] = [30, 120, 80]
        return white
    if name == "even sky over a field":
        return np.where(ROWS < 420, 250 - ROWS / 4, 60)[..., None] * np.ones(3)
    return np.full((480, 640, 3), 0.0 if name == "nothing lit" else 255.0)


@pytest.mark.parametrize(
    "name",
    [
        *("moon", "skyline at night", "sea under a white sky", "stars", "rounded thing on white"),
        *("tilted thing on white", "ball", "even sky over a field", "nothing lit", "white"),
    ],
)
def test_what_resembles_a_border_is_none(name: str) -> None:
    pixels = np.clip(scene(name), 0, 255).astype(np.uint8)
    for each in (pixels, compressed(pixels, 75), np.ascontiguousarray(pixels.swapaxes(0, 1))):
        assert find_margins(each) == Margins()


def test_a_video_has_the_bars_that_stay_dark_and_no_more_frames_are_read_than_needed() -> None:
    bright = bordered(LETTERBOX, 0)
    dark = np.zeros_like(bright)
    half = bright.copy()
    half[:, 300:] = 0
    assert find_black_bars([dark, half, bright]) == LETTERBOX
    assert find_black_bars([dark, dark]) == Margins()
    read = []
    frames = (read.append(number) or skimage.data.coffee() for number in range(9))
    assert find_black_bars(frames) == Margins()
    assert read == [0]
