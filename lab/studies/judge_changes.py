"""Changes of scores from one network to another, by group of frames and in the mean over groups.

Intervals hold nine draws in ten of a bootstrap over blocks of frames (``panel_rule``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float64
from panel_rule import DRAWS, LEVEL, Change, drawn_means

Scores = Mapping[str, Float64[np.ndarray, "_"]]
"""Scores by group, for example by camera, frame by frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Scores of one kind, and how they are compared.

    Attributes:
        title: Title in the table.
        relative: Whether the change is relative; otherwise it is the difference.
        median: Whether frames are summarised by their median; otherwise by their mean.
        unit: Unit of the scores.
    """

    title: str
    relative: bool = True
    median: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A measure of both networks, and its change, by group.

    Attributes:
        measure: The measure.
        frames: Frames of each group.
        old: Mean or median by the first network.
        new: Mean or median by the second one.
        changes: Change of each group.
        together: Mean of the changes over several groups, by name.
    """

    measure: Measure
    frames: Mapping[str, int]
    old: Mapping[str, float]
    new: Mapping[str, float]
    changes: Mapping[str, Change]
    together: Mapping[str, Change]

    def record(self) -> dict[str, object]:
        """Return the figures as JSON has them."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Mean or median of a measure over the frames of a group, with its interval."""

    frames: int
    value: Change


def compared(
    old: Scores,
    new: Scores,
    measure: Measure,
    *,
    blocks: Mapping[str, int] | None = None,
    means: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare scores of two networks on the same frames.

    Args:
        old: Scores of the first network; frames without one are NaN and left out.
        new: Scores of the second network.
        measure: Kind of the scores.
        blocks: Consecutive frames of a group that are drawn together; 1 where it is not named.
        means: Groups of each mean of changes; those without frames are left out.
        seed: Seed of the draws.

    Raises:
        ValueError: If the frames are not the same.
    """
    frames, summaries, draws = {}, {}, {}
    for place, (group, before) in enumerate(old.items()):
        if len(new[group]) != len(before):
            raise ValueError(f"{group}: the two networks were not judged on the same frames")
        rows = np.stack([before, new[group]]).astype(np.float64)
        rows = rows[:, np.isfinite(rows).all(axis=0)]
        if not rows.size:
            continue
        random = np.random.default_rng([seed, place])
        frames[group] = rows.shape[1]
        summaries[group] = np.median(rows, axis=1) if measure.median else rows.mean(axis=1)
        draws[group] = _change(_drawn(rows, measure, random, (blocks or {}).get(group, 1)), measure)
    found = {group: float(_change(both, measure)) for group, both in summaries.items()}
    together = {}
    for name, groups in (means or {}).items():
        members = [group for group in groups if group in found]
        if members:
            drawn = np.mean([draws[group] for group in members], axis=0)
            together[name] = interval(float(np.mean([found[group] for group in members])), drawn)
    return Comparison(
        measure=measure,
        frames=frames,
        old={group: float(both[0]) for group, both in summaries.items()},
        new={group: float(both[1]) for group, both in summaries.items()},
        changes={group: interval(found[group], drawn) for group, drawn in draws.items()},
        together=together,
    )


def levels(
    scores: Scores, measure: Measure, *, blocks: Mapping[str, int] | None = None, seed: int = 0
) -> dict[str, Level]:
    """Summarise the scores of one network, by group; frames without a score are left out."""
    found = {}
    for place, (group, values) in enumerate(scores.items()):
        row = values[np.isfinite(values)][None].astype(np.float64)
        if row.size:
            random = np.random.default_rng([seed, place])
            draws = _drawn(row, measure, random, (blocks or {}).get(group, 1))[0]
            value = float(np.median(row) if measure.median else row.mean())
            found[group] = Level(frames=row.size, value=interval(value, draws))
    return found


def _drawn(
    rows: Float64[np.ndarray, "k n"], measure: Measure, random: np.random.Generator, block: int
) -> Float64[np.ndarray, "k draws"]:
    if not measure.median:
        return drawn_means(rows, random, block)
    count = rows.shape[1]
    return np.median(rows[:, random.integers(count, size=(DRAWS, count))], axis=2)


def _change(
    both: Float64[np.ndarray, "2 *draws"], measure: Measure
) -> Float64[np.ndarray, "*draws"]:
    before, after = both
    if not measure.relative:
        return after - before
    return after / np.maximum(before, np.finfo(np.float64).tiny) - 1


def interval(value: float, draws: Float64[np.ndarray, "draws"]) -> Change:
    """Return a value with the interval of its draws."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Change(mean=value, low=float(low), high=float(high))


def level_lines(found: Mapping[str, Level], measure: Measure) -> list[str]:
    """Format the scores of one network, a line a group."""
    return [
        f"{group:14} n={each.frames:<4} {each.value.mean:.4f}{measure.unit}  "
        f"[{each.value.low:.4f}, {each.value.high:.4f}]"
        for group, each in found.items()
    ]


def formatted(change: Change, measure: Measure) -> str:
    """Format a change with its interval."""
    shape = "+.1%" if measure.relative else "+.3f"
    return f"{change.mean:{shape}} [{change.low:{shape}}, {change.high:{shape}}]"


def lines(comparison: Comparison) -> list[str]:
    """Format a comparison, a line a group and a mean of changes."""
    measure = comparison.measure
    rows = [
        f"{group:14} n={comparison.frames[group]:<4} {comparison.old[group]:.4f} -> "
        f"{comparison.new[group]:.4f}{measure.unit}  {formatted(change, measure)}"
        for group, change in comparison.changes.items()
    ]
    together = comparison.together.items()
    return [*rows, *(f"mean, {name}: {formatted(it, measure)}" for name, it in together)]
