"""Hard maps by name: each changes a plain map at places where two programs may part."""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Int64, Mask, Size

Change = Callable[[Field, Field, Mask, float | None], None]
"""Function that changes a prediction, a truth and its mask in place, with the benchmark's cap."""


def _ties(guess: Field, true: Field, known: Mask, cap: float | None) -> None:
    """Make a third of the ratios exactly 1.25, and a third exactly 1 / 1.25."""
    # Eighths times 1.25 are exact in float32.
    true[:] = np.maximum(np.round(true * 8), 4) / 8
    guess[::3], guess[1::3] = true[::3] * np.float32(1.25), true[1::3] / np.float32(1.25)
    true[1::3] = guess[1::3] * np.float32(1.25)


def _caps(guess: Field, true: Field, known: Mask, cap: float | None) -> None:
    """Put truth on the cap, below and above it, and on 1 mm; predictions on the cap and beyond."""
    if cap is None:
        return
    true[::5] = cap
    true[1::5] = np.nextafter(np.float32(cap), np.float32(0))
    true[2::5], true[3::5] = cap * 1.01, 1e-3
    guess[:, ::4], guess[:, 1::4] = cap, 3 * cap
    guess[:, 2::4] = 1e-3


def _three(guess: Field, true: Field, known: Mask, cap: float | None) -> None:
    """Leave three pixels with truth, in the middle of every crop."""
    height, width = known.shape
    known[:] = False
    rows, columns = height * 2 // 3, width // 2
    known[rows, columns : columns + 3] = True
    true[rows, columns : columns + 3] = (1.5, 2.5, 4.5)


def _holes(guess: Field, true: Field, known: Mask, cap: float | None) -> None:
    punch_holes(guess)


def punch_holes(guess: Field) -> None:
    """Predict NaN and infinity at one pixel in seventeen each."""
    flat = guess.reshape(-1)
    flat[::17], flat[5::17] = np.nan, np.inf


HARD: Mapping[str, Change] = {
    "ties": _ties,
    "caps": _caps,
    "three pixels": _three,
    "holes": _holes,
}
"""Changes of maps of one size."""
HALF, ODD = "half size", "odd size"
"""Names of cases of another size: of the prediction, and of both."""
HALF_HOLES = "half size, holes"
"""Name of the case whose prediction has half the size and pixels without a number."""
KITTI_SIZES = ((375, 1242), (370, 1224), (374, 1238), (370, 1226), (376, 1241))
"""(height, width) [px] of KITTI's photographs, by the days of recording."""


def all_sources_known(
    known: Bool[np.ndarray, "a b"], shape: Size, *, corners_aligned: bool
) -> Mask:
    """Pixels of a larger map whose bilinear sources are all known, in whole numbers.

    A pixel that lies exactly on a source has that source alone.
    """
    rows = _sources(known.shape[0], shape[0], corners_aligned=corners_aligned)
    columns = _sources(known.shape[1], shape[1], corners_aligned=corners_aligned)
    return (rows @ (~known).astype(int) @ columns.T) == 0


def _sources(old: int, new: int, *, corners_aligned: bool) -> Int64[np.ndarray, "n m"]:
    """Matrix of ones where an old pixel has a share in a new one, along one axis."""
    touches = np.zeros((new, old), np.int64)
    for pixel in range(new):
        if corners_aligned:
            numerator, denominator = pixel * (old - 1), new - 1
        else:
            numerator, denominator = (2 * pixel + 1) * old - new, 2 * new
        last = (old - 1) * denominator
        low, rest = divmod(min(max(numerator, 0), last), denominator)
        touches[pixel, low] = 1
        if rest:
            touches[pixel, low + 1] = 1
    return touches
