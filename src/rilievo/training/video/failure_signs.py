"""Signs in the log that a run learns nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from rilievo.frozen import frozen

PATIENCE = 4
"""Number of consecutive rows that show a sign before it is reported."""
FIRST_STEP = 200
"""First step at which signs count; a network with random weights shows most of them."""
_LATER = 2000

Row = Mapping[str, float]
"""Row of the log: numbers by column."""


class Warned(NamedTuple):
    """Warning of one kind."""

    kind: str
    text: str


@frozen
class Sign:
    """Sign of one kind of failure.

    Attributes:
        text: Explanation, and what to try; formatted with the row's numbers.
        first_step: First step at which the sign counts.
    """

    kind: str
    shows: Callable[[Row], bool]
    text: str
    first_step: int = FIRST_STEP


SIGNS = (
    Sign(
        kind="flat",
        shows=lambda row: row["depth_spread"] < 0.01,
        text="depth is flat (it spreads by {spread:.2g} %): is there motion between frames? try a "
        "larger stride, a smaller learning rate, or an encoder that starts from ImageNet",
    ),
    Sign(
        kind="saturated",
        shows=lambda row: row["saturated"] > 0.9,
        text="{saturated:.0%} of depth lies at an end of its range: try a smaller learning rate, "
        "another min_depth and max_depth, or intrinsics that are right",
        first_step=50,
    ),
    Sign(
        kind="masked",
        shows=lambda row: row["masked"] > 0.98,
        text="{masked:.1%} of the pixels are masked, since a source that stays where it is "
        "explains them: try a larger stride, and leave out frames of a still camera",
    ),
    Sign(
        kind="still",
        shows=lambda row: row["translation"] < 1e-4 * row["mean_depth"],
        text="the camera is thought to stand still (its steps are {step_of_depth:.1e} of depth): "
        "try a larger stride, or no auto-mask for the first epochs",
    ),
    Sign(
        kind="unexplained",
        shows=lambda row: row["warp_error"] >= row["identity_error"],
        text="frames warped by depth and motion match no better (error {warp_error:.4f}) than "
        "frames as they are ({identity_error:.4f}): look at the intrinsics, and at whether the "
        "scene stands still",
        first_step=_LATER,
    ),
)


class SignWatch:
    """Detector of early signs that a run learns nothing, which looks at every row of its log.

    Depth from video has trivial solutions that no loss forbids: a flat wall, a static camera, a
    mask over everything. Each is looked for in the means of a row, and reported once.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def look(self, row: Row, reported: Collection[str] = ()) -> list[Warned]:
        """Return the signs that became certain with a row, and were not reported before."""
        alarms = []
        for sign in SIGNS:
            shows = row["step"] >= sign.first_step and sign.shows(row)
            count = self._counts[sign.kind] = self._counts[sign.kind] + 1 if shows else 0
            if count >= PATIENCE and sign.kind not in reported:
                text = sign.text.format(
                    **row,
                    spread=100 * row["depth_spread"],
                    step_of_depth=row["translation"] / max(row["mean_depth"], 1e-12),
                )
                alarms.append(Warned(sign.kind, text))
        return alarms
