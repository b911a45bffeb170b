"""Hard maps by name: each changes a plain map at places where two programs may part."""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.arrays.shapes import Field, Mask

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
