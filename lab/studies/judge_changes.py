"""Relative changes of errors from one network to another, by camera and in the mean over cameras.

Intervals hold nine draws in ten of a bootstrap over blocks of frames (``panel_rule``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float64
from panel_rule import LEVEL, Change, changes

Errors = Mapping[str, Float64[np.ndarray, "_"]]
"""Errors by camera, frame by frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Means of an error by both networks, and the relative change, by camera.

    Attributes:
        frames: Frames of each camera.
        old: Mean error by the first network.
        new: Mean error by the second one.
        changes: Relative change of the mean.
        together: Mean of the changes over groups of cameras, by the name of the group.
    """

    frames: Mapping[str, int]
    old: Mapping[str, float]
    new: Mapping[str, float]
    changes: Mapping[str, Change]
    together: Mapping[str, Change]

    def record(self) -> dict[str, object]:
        """Return the figures as JSON has them."""
        return asdict(self)


def compared(
    old: Errors,
    new: Errors,
    blocks: Mapping[str, int],
    groups: Mapping[str, Sequence[str]],
    seed: int = 0,
) -> Comparison:
    """Compare errors of two networks on the same frames.

    Args:
        old: Errors by the first network; frames without one are NaN and left out.
        new: Errors by the second network.
        blocks: Consecutive frames of a camera that are drawn together; 1 where it is not named.
        groups: Cameras of each group; those without frames are left out.
        seed: Seed of the draws.

    Raises:
        ValueError: If the frames are not the same.
    """
    draws, means, frames = {}, {}, {}
    for place, (camera, before) in enumerate(old.items()):
        after = new[camera]
        if len(after) != len(before):
            raise ValueError(f"{camera}: the two networks were not judged on the same frames")
        both = np.isfinite(before) & np.isfinite(after)
        if not both.any():
            continue
        before, after = before[both], after[both]
        random = np.random.default_rng([seed, place])
        draws[camera] = changes(before, after, random, blocks.get(camera, 1))
        means[camera] = float(before.mean()), float(after.mean())
        frames[camera] = len(before)
    mean = {camera: after / before - 1 for camera, (before, after) in means.items()}
    together = {}
    for name, cameras in groups.items():
        members = [camera for camera in cameras if camera in mean]
        if members:
            drawn = np.mean([draws[camera] for camera in members], axis=0)
            together[name] = interval(float(np.mean([mean[camera] for camera in members])), drawn)
    return Comparison(
        frames=frames,
        old={camera: before for camera, (before, _) in means.items()},
        new={camera: after for camera, (_, after) in means.items()},
        changes={camera: interval(mean[camera], drawn) for camera, drawn in draws.items()},
        together=together,
    )


def interval(mean: float, draws: Float64[np.ndarray, "draws"]) -> Change:
    """Return a mean with the interval of its draws."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Change(mean=mean, low=float(low), high=float(high))


def percent(change: Change) -> str:
    """Format a relative change with its interval."""
    return f"{change.mean:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"


def lines(comparison: Comparison, digits: int = 4) -> list[str]:
    """Format a comparison, a line a camera and a group."""
    rows = [
        f"{camera:12} n={comparison.frames[camera]:<4} {comparison.old[camera]:.{digits}f} -> "
        f"{comparison.new[camera]:.{digits}f}  {percent(change)}"
        for camera, change in comparison.changes.items()
    ]
    return [*rows, *(f"mean, {name}: {percent(it)}" for name, it in comparison.together.items())]
