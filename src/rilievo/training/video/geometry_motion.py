"""Motion by geometry in place of a pose network."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.data.clips.focal_check import CornerPair, better_focal_factor
from rilievo.data.clips.pair_motion import TRACKING
from rilievo.data.clips.tracks import grey, track_corners
from rilievo.errors import InputError
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.geometry.intrinsics import horizontal_fov
from rilievo.io.files.names import printable
from rilievo.training.engine.progress import FrameProgress
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.video.frames.target_frames import (
    CornerMaps,
    StoredMaps,
    VideoFrames,
    VideoTargetFrames,
)
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.held_out_corners import (
    Corners,
    corner_errors_of_targets,
    judging_targets,
    read_corners,
    triangulate_held_out_corners,
    write_corners,
)
from rilievo.training.video.pair_motions import (
    MOTION_FOLDER,
    TRAINING,
    TrustedEstimate,
    find_pair_and_window_motions,
    find_pair_motions,
    mean_corner_error,
    read_estimate,
    select_trusted_motions,
    write_estimate,
)
from rilievo.training.video.prior_depth import Prior, network_depths, store_prior_depths

_CHECKED = 40


def fov_notes(frames: VideoTargetFrames, prior: StoredMaps) -> tuple[str, ...]:
    """Note of a clearly better field of view of the first sequence, or none."""
    first = frames.targets[0].place.sequence
    pairs = []
    for target in frames.spread_subset(_CHECKED).targets:
        if target.place.sequence != first:
            continue
        now, then = (grey(frames.frame_of(place)) for place in (target.place, target.sources[-1]))
        pairs.append(
            CornerPair(track_corners(now, then, TRACKING), prior.maps_or_zeros(target.place))
        )
    K = frames.K_of(frames.targets[0])
    factor = better_focal_factor(pairs, K)
    if factor is None:
        return ()
    width = frames.frame_of(frames.targets[0].place).shape[1]
    changed = K.copy()
    changed[[0, 1], [0, 1]] *= factor
    own, better = horizontal_fov(K, width), horizontal_fov(changed, width)
    problem = (
        f"the field of view seems wrong: tracked corners fit about {better:.0f} degrees better "
        f"than {own:.0f}"
    )
    return (
        Note(
            problem,
            hint=Text("give ", AnyOf(OptionName("fov", "..."), OptionName("camera", "..."))),
        ),
    )


FEWEST = 8
"""Smallest number of targets that a run begins with."""
_FEW_JUDGES = 5
_MOST_JUDGES = 32
TARGETS_A_MINUTE = 100
"""Targets whose motion can be estimated for each minute of the run."""
_TOGETHER = 50
_WHY = {
    "turning": (
        "the camera turns or stands and does not travel",
        ": film while walking sideways or forwards",
    ),
    "lost": (
        "too few corners agree on a motion",
        ", as before blank walls, in blur, in crowds or with a wrong field of view",
    ),
    "odd": ("the motion is far longer or shorter than usual", ""),
}
"""Reasons to leave targets out, and what is added where too few remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDepth:
    """Depth learned so far, with motions that follow from it and errors at corners."""

    frames: VideoFrames
    error: float
    errors: tuple[float, ...]


class GeometryMotion:
    """Estimator of motion by geometry for the frames of a run.

    Attributes:
        trust: Factor in 0..1 of the weight of corners.
    """

    trust: float = 1.0

    def __init__(
        self,
        run: Path,
        cache: Path,
        *,
        network: DepthNet,
        fabric: Any,
        least: int = FEWEST,
        most: int | None = None,
    ) -> None:
        """Prepare to estimate the motion of ``least`` to ``most`` targets."""
        self._run, self._cache, self._least, self._most = run, cache, least, most
        self._network, self._fabric = network, fabric
        self.notes: tuple[str, ...] = ()
        self._corners: Corners = {}

    def with_motion_and_prior(self, frames: VideoFrames, prior: Prior) -> VideoFrames:
        """Leave out targets without trusted motion; add motion, corners and prior.

        Raises:
            InputError: If motion is found for too few frames.
        """
        held_out = frames.held_out.spread_subset(_MOST_JUDGES)
        parts = {TRAINING: self._limit_training_targets(frames.training), "held-out": held_out}
        with self._fabric.rank_zero_first():
            changed = {
                name: self._estimate_and_add_motion(name, part, prior)
                for name, part in parts.items()
            }
            self._corners = self._read_or_find_corners(frames.whole, changed["held-out"])
        return replace(
            frames,
            training=changed[TRAINING],
            held_out=changed["held-out"],
            notes=(*frames.notes, *self.notes),
        )

    def teaching_targets(self, frames: VideoFrames, prior: Prior) -> VideoTargetFrames:
        """Training targets whose motion a pose network can learn.

        Raises:
            InputError: If motion is found for too few of them.
        """
        with self._fabric.rank_zero_first():
            return self._estimate_and_add_motion(
                TRAINING, self._limit_training_targets(frames.training), prior
            )

    def _limit_training_targets(self, training: VideoTargetFrames) -> VideoTargetFrames:
        if self._most is None or len(training) <= self._most:
            return training
        chosen = training.spread_subset(max(self._most, _TOGETHER), block=_TOGETHER)
        self.notes += (
            Note(
                Text(
                    f"{len(chosen):,} of {len(training):,} targets are used, spread "
                    "over the footage: more need more ",
                    OptionName("minutes"),
                )
            ),
        )
        return chosen

    def judge_held_out(self, frames: VideoFrames) -> JudgedDepth:
        """Errors of learned depth at held-out corners, and frames with new motion."""
        held_out, judging = frames.held_out, judging_targets(frames.held_out, self._corners)
        pair_motions = find_pair_motions(held_out, self._network_depths(held_out))
        motions = {pair: motion.source_T_target for pair, motion in pair_motions.items()}
        frames = replace(frames, held_out=held_out.targets_with_motion(motions))
        errors = corner_errors_of_targets(judging, self._network_depths(judging), self._corners)
        return JudgedDepth(frames=frames, error=float(np.mean(errors)), errors=errors)

    def judging_places(self, frames: VideoFrames) -> tuple[FramePlace, ...]:
        """Places of the held-out targets that judge."""
        return tuple(
            target.place for target in judging_targets(frames.held_out, self._corners).targets
        )

    def _read_or_find_corners(
        self, whole: VideoTargetFrames, held_out: VideoTargetFrames
    ) -> Corners:
        folder = self._run / MOTION_FOLDER
        corners = read_corners(folder)
        if corners or not len(held_out):
            return corners
        # Targets with too few points over windows are judged by those of their own pairs.
        by_pairs = read_estimate(self._estimate_path("held-out")).corners
        corners = {
            **by_pairs,
            **triangulate_held_out_corners(whole, held_out, self._network_depths),
        }
        judging = judging_targets(held_out, corners)
        if not len(judging):
            raise _error_without_judges(held_out)
        if len(judging) < _FEW_JUDGES:
            self.notes += (
                Note(
                    Text(
                        f"only {len(judging)} held-out targets judge the run, which is "
                        "little: film longer, or take a larger ",
                        OptionName("held_out"),
                    )
                ),
            )
        judging_corners = {target.place: corners[target.place] for target in judging.targets}
        write_corners(folder, judging_corners)
        return judging_corners

    def _estimate_and_add_motion(
        self, name: str, part: VideoTargetFrames, source: Prior
    ) -> VideoTargetFrames:
        if not len(part):
            return part
        prior = store_prior_depths(
            part,
            self._cache,
            source.key,
            self._network_depths(part) if source.model is None else source.depths(part),
            middle=None if source.model is None else self._median_network_depth(part),
        )
        path = self._estimate_path(name)
        if not path.exists():
            depths = (prior.maps_or_zeros(target.place) for target in part.targets)
            corner_motions = find_pair_and_window_motions(part, depths, self._motion_progress)
            judged = select_trusted_motions(
                part.targets, corner_motions.pairs, corner_motions.windows
            )
            self._note_or_refuse_left_out(name, part, judged)
            if name == TRAINING:
                self.notes += fov_notes(part, prior)
            elif math.isnan(
                mean_corner_error(corner_motions.pairs[pair] for pair in judged.motions)
            ):
                raise _error_without_judges(part)
            write_estimate(path, judged)
        estimate = read_estimate(path)
        targets = part.targets_with_motion(
            estimate.motions, prior, CornerMaps(corners=estimate.corners)
        )
        if name == TRAINING:
            self.trust = estimate.trust
        return targets

    @property
    def _motion_progress(self) -> Callable[[int, int], None]:
        return partial(FrameProgress(shown=self._fabric.is_global_zero), "motion by geometry")

    def _median_network_depth(self, part: VideoTargetFrames) -> float:
        medians = [
            float(np.median(depth)) for depth in self._network_depths(part.spread_subset(16))
        ]
        return float(np.median(medians))

    def _note_or_refuse_left_out(
        self, name: str, part: VideoTargetFrames, judged: TrustedEstimate
    ) -> None:
        left_out = judged.left_out.total()
        remainder = len(part) - left_out
        if name == TRAINING and remainder < self._least:
            raise _error_of_few(part, judged, remainder, self._least)
        if left_out:
            counted = ((judged.left_out[kind], why) for kind, (why, _) in _WHY.items())
            summary = "; ".join(f"in {count:,} {why}" for count, why in counted if count)
            self.notes += (f"{left_out:,} of {len(part):,} {name} targets are left out: {summary}",)

    def _network_depths(self, part: VideoTargetFrames) -> Iterator[Field]:
        return network_depths(self._network, part, self._fabric.device)

    def _estimate_path(self, name: str) -> Path:
        return self._run / MOTION_FOLDER / f"{name}.npz"


def _error_without_judges(part: VideoTargetFrames) -> InputError:
    return InputError(
        path=f"{printable(part.ids[0])} and after",
        problem=Text(
            f"none of the {len(part):,} held-out targets has a motion that "
            "can be trusted and enough parallax, so nothing could judge "
            "the run: take a larger ",
            OptionName("held_out"),
            ", or footage with more parallax in its middle or at its end",
        ),
    )


def _error_of_few(
    part: VideoTargetFrames, judged: TrustedEstimate, count: int, least: int
) -> InputError:
    kind = max(_WHY, key=lambda reason: judged.left_out[reason])
    left_out = judged.left_out[kind]
    why = f"; in {left_out:,} {''.join(_WHY[kind])}" if left_out else ": take longer footage"
    return InputError(
        f"{printable(part.ids[0])} and after: motion is found for {count} of {len(part):,} frames, "
        f"and {least} are needed{why}"
    )
