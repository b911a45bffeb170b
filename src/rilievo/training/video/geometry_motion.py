"""Motion by geometry in place of a pose network, and depth at corners, which judges a run."""

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

MIN_TARGETS = 8
"""Fewest targets that a run begins with."""
TARGETS_A_MINUTE = 100
"""Targets whose motion is estimated, for each minute of the run."""
_BLOCK_TARGETS = 50
"""Neighbouring targets that are chosen together, so that points can be tracked along them."""
_FEW_JUDGES = 5
"""Judging targets below which a note says that they are few."""
_MAX_JUDGES = 32
"""Most held-out targets that judge a run."""
_FOV_TARGETS = 40
"""Targets from which the field of view is checked."""
_HELD_OUT = "held-out"
"""Name of the held-out targets, and of the file of their motions."""
_REASONS = {
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
"""Why targets are left out, by ``TrustedEstimate.left_out``, and advice where too few remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDepth:
    """Errors of the depth that was learned so far.

    Attributes:
        frames: Frames with the motions of held-out targets that follow from this depth.
        error: Mean of ``errors``.
        errors: Relative error of depth at corners of each judging target.
    """

    frames: VideoFrames
    error: float
    errors: tuple[float, ...]


class GeometryMotion:
    """Estimator of the motion of a run's targets, from the depth of a prior and tracked points.

    Motions are stored in the folder of the run, and read from there when it resumes.

    Attributes:
        corner_trust: Factor in 0..1 of the weight of corners in the loss.
        notes: Notes on targets that are left out.
    """

    corner_trust: float = 1.0

    def __init__(
        self,
        run: Path,
        cache: Path,
        *,
        network: DepthNet,
        fabric: Any,
        min_targets: int = MIN_TARGETS,
        max_targets: int | None = None,
    ) -> None:
        """Prepare to estimate the motion of a run.

        Args:
            run: Folder of the run.
            cache: Folder for depth from the prior.
            network: Depth network of the run.
            fabric: Devices.
            min_targets: Fewest training targets with trusted motion, below which a run is refused.
            max_targets: Most training targets to use; None for all.
        """
        self._run, self._cache = run, cache
        self._min_targets, self._max_targets = min_targets, max_targets
        self._network, self._fabric = network, fabric
        self.notes: tuple[str, ...] = ()
        self._corners: Corners = {}

    def with_motion_and_prior(self, frames: VideoFrames, prior: Prior) -> VideoFrames:
        """Give frames motion, corners and the prior's depth, without targets of unknown motion.

        Raises:
            InputError: If motion is found for too few targets.
        """
        training = self._limit_training_targets(frames.training)
        held_out = frames.held_out.spread_subset(_MAX_JUDGES)
        with self._fabric.rank_zero_first():
            training = self._with_motion(TRAINING, training, prior)
            held_out = self._with_motion(_HELD_OUT, held_out, prior)
            self._corners = self._read_or_find_corners(frames.whole, held_out)
        return replace(
            frames, training=training, held_out=held_out, notes=(*frames.notes, *self.notes)
        )

    def teaching_targets(self, frames: VideoFrames, prior: Prior) -> VideoTargetFrames:
        """Training targets with motion that a pose network can learn.

        Raises:
            InputError: If motion is found for too few of them.
        """
        training = self._limit_training_targets(frames.training)
        with self._fabric.rank_zero_first():
            return self._with_motion(TRAINING, training, prior)

    def _limit_training_targets(self, training: VideoTargetFrames) -> VideoTargetFrames:
        if self._max_targets is None or len(training) <= self._max_targets:
            return training
        count = max(self._max_targets, _BLOCK_TARGETS)
        chosen = training.spread_subset(count, block=_BLOCK_TARGETS)
        note = Text(
            f"{len(chosen):,} of {len(training):,} targets are used, spread "
            "over the footage: more need more ",
            OptionName("minutes"),
        )
        self.notes += (Note(note),)
        return chosen

    def judge_held_out(self, frames: VideoFrames) -> JudgedDepth:
        """Score the depth that was learned so far at corners of held-out targets.

        The motion of held-out targets is estimated anew from this depth.
        """
        held_out = frames.held_out
        pair_motions = find_pair_motions(held_out, self._network_depths(held_out))
        motions = {pair: motion.source_T_target for pair, motion in pair_motions.items()}
        frames = replace(frames, held_out=held_out.targets_with_motion(motions))

        judging = judging_targets(held_out, self._corners)
        errors = corner_errors_of_targets(judging, self._network_depths(judging), self._corners)
        return JudgedDepth(frames=frames, error=float(np.mean(errors)), errors=errors)

    def judging_places(self, frames: VideoFrames) -> tuple[FramePlace, ...]:
        """Places of the held-out targets that judge the run."""
        judging = judging_targets(frames.held_out, self._corners)
        return tuple(target.place for target in judging.targets)

    def _read_or_find_corners(
        self, whole: VideoTargetFrames, held_out: VideoTargetFrames
    ) -> Corners:
        """Corners of the judging targets; empty if nothing is held out."""
        folder = self._run / MOTION_FOLDER
        corners = read_corners(folder)
        if corners or not len(held_out):
            return corners

        # Targets with too few points over windows are judged by those of their own pairs.
        pair_corners = read_estimate(self._estimate_path(_HELD_OUT)).corners
        window_corners = triangulate_held_out_corners(whole, held_out, self._network_depths)
        corners = {**pair_corners, **window_corners}
        judging = judging_targets(held_out, corners)
        if not len(judging):
            raise _error_without_judges(held_out)
        if len(judging) < _FEW_JUDGES:
            note = Text(
                f"only {len(judging)} held-out targets judge the run, which is "
                "little: film longer, or take a larger ",
                OptionName("held_out"),
            )
            self.notes += (Note(note),)
        corners = {target.place: corners[target.place] for target in judging.targets}
        write_corners(folder, corners)
        return corners

    def _with_motion(
        self, name: str, targets: VideoTargetFrames, source: Prior
    ) -> VideoTargetFrames:
        """Give targets trusted motion, corners and the depth of a prior, and leave others out."""
        if not len(targets):
            return targets
        prior = self._store_prior(targets, source)
        path = self._estimate_path(name)
        if not path.exists():
            write_estimate(path, self._estimate_motion(name, targets, prior))
        estimate = read_estimate(path)
        if name == TRAINING:
            self.corner_trust = estimate.trust
        return targets.targets_with_motion(
            estimate.motions, prior, CornerMaps(corners=estimate.corners)
        )

    def _store_prior(self, targets: VideoTargetFrames, source: Prior) -> StoredMaps:
        """Store the depth of the targets; that of a model is scaled to that of the network."""
        if source.model is None:
            depths = self._network_depths(targets)
            return store_prior_depths(targets, self._cache, source.key, depths)
        return store_prior_depths(
            targets,
            self._cache,
            source.key,
            source.depths(targets),
            median=self._median_network_depth(targets),
        )

    def _estimate_motion(
        self, name: str, targets: VideoTargetFrames, prior: StoredMaps
    ) -> TrustedEstimate:
        """Estimate the motion of targets, and note which of them are left out.

        Raises:
            InputError: If too few training targets have motion, or no held-out target can judge.
        """
        depths = (prior.maps_or_zeros(target.place) for target in targets.targets)
        estimated = find_pair_and_window_motions(targets, depths, self._motion_progress)
        trusted = select_trusted_motions(targets.targets, estimated.pairs, estimated.windows)
        self._note_left_out(name, targets, trusted)
        if name == TRAINING:
            self.notes += fov_notes(targets, prior)
        elif math.isnan(mean_corner_error(estimated.pairs[pair] for pair in trusted.motions)):
            raise _error_without_judges(targets)
        return trusted

    @property
    def _motion_progress(self) -> Callable[[int, int], None]:
        return partial(FrameProgress(shown=self._fabric.is_global_zero), "motion by geometry")

    def _median_network_depth(self, targets: VideoTargetFrames) -> float:
        some_depths = self._network_depths(targets.spread_subset(16))
        return float(np.median([float(np.median(depth)) for depth in some_depths]))

    def _note_left_out(
        self, name: str, targets: VideoTargetFrames, trusted: TrustedEstimate
    ) -> None:
        """Note how many targets are left out, and why.

        Raises:
            InputError: If too few training targets remain.
        """
        left_out = trusted.left_out.total()
        remaining = len(targets) - left_out
        if name == TRAINING and remaining < self._min_targets:
            raise _error_of_few(targets, trusted, remaining, self._min_targets)
        if left_out:
            counts = ((trusted.left_out[kind], reason) for kind, (reason, _) in _REASONS.items())
            summary = "; ".join(f"in {count:,} {reason}" for count, reason in counts if count)
            self.notes += (
                f"{left_out:,} of {len(targets):,} {name} targets are left out: {summary}",
            )

    def _network_depths(self, targets: VideoTargetFrames) -> Iterator[Field]:
        return network_depths(self._network, targets, self._fabric.device)

    def _estimate_path(self, name: str) -> Path:
        return self._run / MOTION_FOLDER / f"{name}.npz"


def fov_notes(frames: VideoTargetFrames, prior: StoredMaps) -> tuple[str, ...]:
    """Note that another field of view fits the first sequence clearly better, if one does."""
    first_target = frames.targets[0]
    pairs = []
    for target in frames.spread_subset(_FOV_TARGETS).targets:
        if target.place.sequence != first_target.place.sequence:
            continue
        target_frame = grey(frames.frame_of(target.place))
        source_frame = grey(frames.frame_of(target.sources[-1]))
        tracks = track_corners(target_frame, source_frame, TRACKING)
        pairs.append(CornerPair(tracks, prior.maps_or_zeros(target.place)))

    K = frames.K_of(first_target)
    factor = better_focal_factor(pairs, K)
    if factor is None:
        return ()
    better_K = K.copy()
    better_K[[0, 1], [0, 1]] *= factor
    width = frames.frame_of(first_target.place).shape[1]
    problem = (
        f"the field of view seems wrong: tracked corners fit about "
        f"{horizontal_fov(better_K, width):.0f} degrees better than {horizontal_fov(K, width):.0f}"
    )
    hint = Text("give ", AnyOf(OptionName("fov", "..."), OptionName("camera", "...")))
    return (Note(problem, hint=hint),)


def _error_without_judges(held_out: VideoTargetFrames) -> InputError:
    return InputError(
        path=f"{printable(held_out.ids[0])} and after",
        problem=Text(
            f"none of the {len(held_out):,} held-out targets has a motion that "
            "can be trusted and enough parallax, so nothing could judge "
            "the run: take a larger ",
            OptionName("held_out"),
            ", or footage with more parallax in its middle or at its end",
        ),
    )


def _error_of_few(
    targets: VideoTargetFrames, trusted: TrustedEstimate, remaining: int, min_targets: int
) -> InputError:
    """Error that names the most frequent reason why targets are left out, with advice."""
    kind = max(_REASONS, key=lambda reason: trusted.left_out[reason])
    left_out = trusted.left_out[kind]
    why = f"; in {left_out:,} {''.join(_REASONS[kind])}" if left_out else ": take longer footage"
    return InputError(
        f"{printable(targets.ids[0])} and after: motion is found for {remaining} of "
        f"{len(targets):,} frames, and {min_targets} are needed{why}"
    )
