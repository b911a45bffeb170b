"""Rule that decides between two networks, from paired changes on several cameras.

A camera's change is relative: its mean error with the one network over that with the other, less 1.
Neighbouring frames show the same things, so intervals come from a bootstrap of whole blocks of
frames (H. Künsch 1989), the same frames for both networks. Cameras count alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

BLOCK = 4
"""Consecutive frames that are drawn together."""
DRAWS = 4000
LEVEL = 0.9
"""Share of the draws inside an interval."""
LEAST_GAIN = 0.03
"""Fall of the mean that is enough, whatever its interval."""
FEWEST = 20
"""Fewest frames of a camera that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Relative change of an error, and its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Comparison of a network with the default.

    Attributes:
        cameras: Change of each camera.
        together: Mean of the cameras' changes.
        replaces: Whether the network replaces the default.
        reason: Reason of the verdict, in words.
    """

    cameras: Mapping[str, Change]
    together: Change
    replaces: bool
    reason: str


def compare(
    old: Mapping[str, Float64[np.ndarray, "_"]],
    new: Mapping[str, Float64[np.ndarray, "_"]],
    *,
    seed: int = 0,
) -> Verdict:
    """Compare the errors of two networks on the same frames of the same cameras.

    Args:
        old: Errors of the default, frame by frame in the order of the recording, by camera.
        new: Errors of the other network.
        seed: Seed of the draws.

    Raises:
        ValueError: If the frames are not the same, or a camera has fewer than ``FEWEST``.
    """
    draws = {}
    for place, (name, errors) in enumerate(old.items()):
        if name not in new or len(new[name]) != len(errors):
            raise ValueError(f"{name}: the two networks were not judged on the same frames")
        if len(errors) < FEWEST:
            raise ValueError(f"{name}: {len(errors)} frames, and {FEWEST} decide at least")
        draws[name] = changes(errors, new[name], np.random.default_rng([seed, place]))
    cameras = {name: _change(_relative(old[name], new[name]), each) for name, each in draws.items()}
    mean = float(np.mean([each.mean for each in cameras.values()]))
    together = _change(mean, np.mean(list(draws.values()), axis=0))
    replaces, reason = decide(cameras, together)
    return Verdict(cameras=cameras, together=together, replaces=replaces, reason=reason)


def decide(cameras: Mapping[str, Change], together: Change) -> tuple[bool, str]:
    """Whether a network replaces the default, and why.

    It does when the mean of its relative changes falls by ``LEAST_GAIN`` or has its interval below
    zero, and no camera has its interval above zero.
    """
    worse = [name for name, each in cameras.items() if each.low > 0]
    if worse:
        return False, f"worse on {', '.join(worse)}"
    if together.mean <= -LEAST_GAIN:
        return True, f"the mean falls by {LEAST_GAIN:.0%} or more, and no camera is worse"
    if together.high < 0:
        return True, "the mean's interval lies below zero, and no camera is worse"
    return False, f"the mean falls by less than {LEAST_GAIN:.0%}, and its interval holds zero"


def changes(
    old: Float64[np.ndarray, "n"],
    new: Float64[np.ndarray, "n"],
    random: np.random.Generator,
    block: int = BLOCK,
) -> Float64[np.ndarray, "draws"]:
    """Relative changes of the mean over blocks that are drawn with replacement."""
    before, after = drawn_means(np.stack([old, new]), random, block)
    return after / before - 1


def drawn_means(
    rows: Float64[np.ndarray, "k n"], random: np.random.Generator, block: int = BLOCK
) -> Float64[np.ndarray, "k draws"]:
    """Means of rows over the same blocks of columns, drawn with replacement."""
    starts = np.arange(0, rows.shape[1], block)
    drawn = random.integers(len(starts), size=(DRAWS, len(starts)))
    sums = np.add.reduceat(rows, starts, axis=1)[:, drawn].sum(axis=2)
    return sums / np.diff(starts, append=rows.shape[1])[drawn].sum(axis=1)


def _relative(old: Float64[np.ndarray, "n"], new: Float64[np.ndarray, "n"]) -> float:
    return float(np.mean(new) / np.mean(old) - 1)


def _change(mean: float, draws: Float64[np.ndarray, "draws"]) -> Change:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Change(mean=mean, low=float(low), high=float(high))
