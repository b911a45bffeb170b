"""Numbers of a batch for the log, scores by the truth, and signs that a run learns nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from rilievo.losses.frames import Views
from rilievo.losses.view_synthesis import VideoLoss

_ENDS = 0.01
_STILL = 1e-3
PATIENCE = 4
"""Number of consecutive rows that show a sign before it is reported."""
FIRST_STEP = 200
"""First step at which signs count; a network with random weights shows most of them."""
_LATER = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Predictions for a batch, and how well they explain the sources.

    Attributes:
        views: Frames, with the intrinsics that were used.
        sigmoids: Outputs of the depth network for the targets, in 0..1, by scale.
        motions: Motion of each source, ``source_T_target``.
    """

    views: Views
    sigmoids: tuple[Float[Tensor, "b 1 _ _"], ...]
    motions: tuple[Float[Tensor, "b 4 4"], ...]
    loss: VideoLoss


@torch.no_grad()
def measure(result: BatchResult) -> dict[str, Float[Tensor, ""]]:
    """Compute the numbers of a batch, whose means over steps are columns of the log.

    Returns:
        ``photometric``, ``smoothness`` and ``extra``: parts of the loss, weighted; they add up to
        it, and the last has all that are off by default. ``warp_error`` and ``identity_error``:
        photometric error of the sources warped to the target, and without warping. ``masked``:
        share of pixels that a source without warping explains better. ``mean_depth``: in the unit
        of the network's depth. ``depth_spread``: standard deviation of the logarithm of depth
        within an image. ``saturated``: share of pixels at either end of the sigmoid.
        ``translation`` and ``rotation``: mean length of the motions in the unit of depth, and their
        mean angle [degrees].
    """
    loss, finest = result.loss, result.sigmoids[0]
    zero = torch.zeros_like(loss.total)
    terms = dict(loss.terms)
    photometric, smoothness = terms.pop("photometric", zero), terms.pop("smoothness", zero)
    log_depth = loss.depth.log().flatten(1)
    motions = torch.stack(result.motions)
    ends = (finest < _ENDS) | (finest > 1 - _ENDS)
    return {
        "photometric": photometric,
        "smoothness": smoothness,
        "extra": sum(terms.values(), zero),
        "warp_error": loss.warped_error.mean(),
        "identity_error": loss.still_error.mean(),
        "masked": 1 - loss.automask.float().mean(),
        "mean_depth": loss.depth.mean(),
        "depth_spread": log_depth.std(dim=1, correction=0).mean(),
        "saturated": ends.float().mean(),
        "translation": motions[..., :3, 3].norm(dim=-1).mean(),
        "rotation": torch.rad2deg(angle_of(motions[..., :3, :3])).mean(),
    }


def angle_of(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Angle of a rotation [rad], exact near zero too."""
    twice_sine = (R - R.mT).flatten(-2).norm(dim=-1) / 2**0.5
    twice_cosine = R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.atan2(twice_sine, twice_cosine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """True depth and motion of one target.

    Attributes:
        depth: True depth [m], 0 where unknown, at any size; None where there is none.
    """

    depth: Float32[np.ndarray, "h w"] | None = None
    source_T_target: tuple[Float64[np.ndarray, "4 4"] | None, ...] = ()


class DepthScores(NamedTuple):
    """Depth scores of one target; NaN without true depth.

    Attributes:
        abs_rel: Mean |p - t| / t, with p scaled by the ratio of medians.
        delta1: Share of pixels within a factor of 1.25.
        constant_abs_rel: ``abs_rel`` of a constant, the median of t.
    """

    abs_rel: float
    delta1: float
    constant_abs_rel: float


class MotionScores(NamedTuple):
    """Means over the sources of one target; NaN where no motion is known.

    Attributes:
        translation_angle: Angle between predicted and true translation [degrees]; translations
            under a millimetre have no direction and are left out.
    """

    translation_angle: float
    rotation_error: float


def depth_scores(depth: Float[Tensor, "h w"], truth: Truth) -> DepthScores:
    """Score depth up to its scale, at the pixels and the size of the truth.

    Inverse depth is interpolated, as the network's output is linear in it.
    """
    true = truth.depth
    if true is None or not (true > 0).any():
        return DepthScores(np.nan, np.nan, np.nan)
    inverse = F.interpolate(
        1 / depth[None, None].cpu().double(), true.shape, mode="bilinear", align_corners=False
    )
    valid = true > 0
    p, t = 1 / inverse[0, 0].numpy()[valid], true[valid].astype(np.float64)
    p = p * (np.median(t) / np.median(p))
    within = np.maximum(p / t, t / p) < 1.25
    return DepthScores(
        abs_rel=float(np.mean(np.abs(p - t) / t)),
        delta1=float(np.mean(within)),
        constant_abs_rel=float(np.mean(np.abs(np.median(t) - t) / t)),
    )


def motion_scores(motions: tuple[Float[Tensor, "1 4 4"], ...], truth: Truth) -> MotionScores:
    """Score the motion of the sources of one target, whatever its scale."""
    ways, turns = [], []
    for motion, true in zip(motions, truth.source_T_target, strict=False):
        if true is None:
            continue
        found, known = motion[0].cpu().double(), torch.from_numpy(true)
        turns.append(angle_of(found[:3, :3] @ known[:3, :3].mT))
        if known[:3, 3].norm() > _STILL:
            ways.append(_angle_between(found[:3, 3], known[:3, 3]))
    return MotionScores(translation_angle=_mean(ways), rotation_error=_mean(turns))


def _angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle between two vectors [rad], exact at small and large angles alike (Kahan)."""
    a, b = a / a.norm().clamp_min(1e-30), b / b.norm()
    return 2 * torch.atan2((a - b).norm(), (a + b).norm())


def _mean(angles: list[Tensor]) -> float:
    return float(torch.rad2deg(torch.stack(angles).mean())) if angles else np.nan


Row = Mapping[str, float]
"""Row of the log: numbers by column."""


class Warned(NamedTuple):
    """Warning of one kind."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
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
        "warm_up, another min_depth and max_depth, or intrinsics that are right",
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
        text="the camera is thought to stand still (its steps are {translation:.1e} of depth): try "
        "a larger stride, or no auto-mask for the first epochs",
    ),
    Sign(
        kind="unexplained",
        shows=lambda row: row["warp_error"] >= row["identity_error"],
        text="frames warped by depth and motion match no better (error {warp:.4f}) than frames as "
        "they are ({identity:.4f}): look at the intrinsics, and at whether the scene stands still",
        first_step=_LATER,
    ),
)


class Watch:
    """Detector of early signs that a run learns nothing, which looks at every row of its log.

    Depth from video has trivial solutions that no loss forbids: a flat wall, a static camera, a
    mask over everything. Each is looked for in the means of a row, and reported once.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def look(self, row: Row, said: Collection[str] = ()) -> list[Warned]:
        """Return the signs that became certain with a row, without those that were said before."""
        found = []
        for sign in SIGNS:
            shows = row["step"] >= sign.first_step and sign.shows(row)
            count = self._counts[sign.kind] = self._counts[sign.kind] + 1 if shows else 0
            if count >= PATIENCE and sign.kind not in said:
                found.append(Warned(sign.kind, _filled(sign.text, row)))
        return found


def _filled(text: str, row: Row) -> str:
    return text.format(
        spread=100 * row["depth_spread"],
        saturated=row["saturated"],
        masked=row["masked"],
        translation=row["translation"] / max(row["mean_depth"], 1e-12),
        warp=row["warp_error"],
        identity=row["identity_error"],
    )
