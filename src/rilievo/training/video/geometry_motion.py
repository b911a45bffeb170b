"""Motion from tracked points in place of a pose network, and scores of depth at corners."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.data.motion.focal_check import CornerPair, better_focal_factor
from rilievo.errors import InputError
from rilievo.errors.messages import AnyOf, Note, OptionName, Text, count_text
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
    mean_corner_errors,
    read_corners,
    targets_with_enough_corners,
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
_FEW_SCORED_TARGETS = 5
"""Scored held-out targets below which a note says that they are few."""
_MAX_SCORED_TARGETS = 32
"""Most held-out targets that are scored."""
_MEDIAN_TARGETS = 16
"""Targets from which the network's median depth is taken."""
_FOV_TARGETS = 40
"""Targets from which the field of view is checked."""
_HELD_OUT = "held-out"
"""Name of the held-out targets, and of the file of their motions."""
_LEFT_OUT_REASONS = {
    "turning": "the camera turns or stands still",
    "lost": "too few tracked corners agree on a motion",
    "odd": "the motion is much longer or shorter than usual",
}
"""Why targets are left out, by the keys of ``TrustedEstimate.left_out``."""
_LEFT_OUT_REASONS_WITH_ADVICE = {
    "turning": "the camera turns or stands still: film while walking sideways or forwards",
    "lost": (
        "too few tracked corners agree on a motion, for example because of blank walls, blur, "
        "crowds or a wrong field of view"
    ),
    "odd": "the motion is much longer or shorter than usual",
}
"""The same for the error that too few targets remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutErrors:
    """Errors of the depth that was learned so far, on held-out targets.

    Attributes:
        frames: Frames whose held-out targets have the motions that follow from this depth.
        error: Mean of ``errors``.
        errors: Mean relative error of depth at the corners of each scored target.
    """

    frames: VideoFrames
    error: float
    errors: tuple[float, ...]


class GeometryMotion:
    """Estimator of the motion of a run's targets, from the depth of a prior and tracked points.

    Motions are stored in the folder of the run, and read from there when it resumes.

    Attributes:
        corner_trust: Factor in 0..1 of the weight of corners in the loss.
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
        """Prepare to estimate the motion of the run in the folder ``run``.

        The prior's depth is stored in ``cache``. At most ``max_targets`` training targets are used,
        and fewer than ``min_targets`` with a trusted motion are an error.
        """
        self._run = run
        self._cache = cache
        self._min_targets = min_targets
        self._max_targets = max_targets
        self._network = network
        self._fabric = fabric
        self.notes: tuple[str, ...] = ()
        self._corners: Corners = {}

    def add_motion_and_prior(self, frames: VideoFrames, prior: Prior) -> VideoFrames:
        """Add motion, corners and the prior's depth to frames; drop targets of unknown motion."""
        training = self._limit_training_targets(frames.training)
        held_out = frames.held_out.spread_subset(_MAX_SCORED_TARGETS)
        with self._fabric.rank_zero_first():
            training = self._add_motion(TRAINING, training, prior)
            held_out = self._add_motion(_HELD_OUT, held_out, prior)
            self._corners = self._read_or_find_corners(frames.all_targets, held_out)
        notes = (*frames.notes, *self.notes)
        return replace(frames, training=training, held_out=held_out, notes=notes)

    def pose_warm_up_targets(self, frames: VideoFrames, prior: Prior) -> VideoTargetFrames:
        """Training targets with estimated motion, from which a pose network can learn."""
        training = self._limit_training_targets(frames.training)
        with self._fabric.rank_zero_first():
            return self._add_motion(TRAINING, training, prior)

    def _limit_training_targets(self, training: VideoTargetFrames) -> VideoTargetFrames:
        """Choose at most ``max_targets`` targets, spread over the footage, and add a note."""
        if self._max_targets is None or len(training) <= self._max_targets:
            return training
        max_targets = max(self._max_targets, _BLOCK_TARGETS)
        subset = training.spread_subset(max_targets, block=_BLOCK_TARGETS)
        note = Text(
            f"{len(subset):,} of {len(training):,} targets are used, spread over the footage; to "
            "use more, increase ",
            OptionName("minutes"),
        )
        self.notes += (Note(note),)
        return subset

    def score_held_out(self, frames: VideoFrames) -> HeldOutErrors:
        """Score the depth that was learned so far at corners of held-out targets.

        The motion of held-out targets is estimated again from this depth.
        """
        held_out = frames.held_out
        pair_motions = find_pair_motions(held_out, self._predict_depths(held_out))
        motions = {pair: motion.source_T_target for pair, motion in pair_motions.items()}
        frames = replace(frames, held_out=held_out.targets_with_motion(motions))

        scored = targets_with_enough_corners(held_out, self._corners)
        errors = mean_corner_errors(scored, self._predict_depths(scored), self._corners)
        return HeldOutErrors(frames=frames, error=float(np.mean(errors)), errors=errors)

    def scored_places(self, frames: VideoFrames) -> tuple[FramePlace, ...]:
        """Places of the held-out targets that are scored."""
        scored = targets_with_enough_corners(frames.held_out, self._corners)
        return tuple(target.place for target in scored.targets)

    def _read_or_find_corners(
        self, all_targets: VideoTargetFrames, held_out: VideoTargetFrames
    ) -> Corners:
        """Corners of the held-out targets that are scored; empty if nothing is held out."""
        folder = self._run / MOTION_FOLDER
        stored_corners = read_corners(folder)
        if stored_corners or not len(held_out):
            return stored_corners

        # A target with too few points over windows has the corners of its own pairs.
        pair_corners = read_estimate(self._estimate_path(_HELD_OUT)).corners
        window_corners = triangulate_held_out_corners(all_targets, held_out, self._predict_depths)
        corners = {**pair_corners, **window_corners}
        scored = targets_with_enough_corners(held_out, corners)
        if not len(scored):
            raise _error_without_scored_targets(held_out)
        if len(scored) < _FEW_SCORED_TARGETS:
            target_count = count_text(len(scored), "target")
            note = Text(
                f"the run is scored on only {target_count}: film longer, or use a larger ",
                OptionName("held_out"),
            )
            self.notes += (Note(note),)
        scored_corners = {target.place: corners[target.place] for target in scored.targets}
        write_corners(folder, scored_corners)
        return scored_corners

    def _add_motion(
        self, set_name: str, targets: VideoTargetFrames, prior: Prior
    ) -> VideoTargetFrames:
        """Add trusted motion, corners and the prior's depth to targets, and leave others out.

        ``set_name`` is ``TRAINING`` or ``_HELD_OUT``. A motion that the run's folder has is read.
        """
        if not len(targets):
            return targets
        prior_depths = self._store_prior_depths(targets, prior)
        path = self._estimate_path(set_name)
        if not path.exists():
            write_estimate(path, self._estimate_motion(set_name, targets, prior_depths))
        estimate = read_estimate(path)
        if set_name == TRAINING:
            self.corner_trust = estimate.trust
        corner_maps = CornerMaps(corners=estimate.corners)
        return targets.targets_with_motion(estimate.motions, prior_depths, corner_maps)

    def _store_prior_depths(self, targets: VideoTargetFrames, prior: Prior) -> StoredMaps:
        """Store the prior's depth of the targets, in about the unit of the network's depth."""
        if prior.model is None:
            depths = self._predict_depths(targets)
            return store_prior_depths(targets, self._cache, prior.key, depths)
        median_depth = self._median_network_depth(targets)
        return store_prior_depths(
            targets, self._cache, prior.key, prior.depths(targets), median=median_depth
        )

    def _estimate_motion(
        self, set_name: str, targets: VideoTargetFrames, prior_depths: StoredMaps
    ) -> TrustedEstimate:
        """Estimate the motion of targets, and note which of them are left out.

        It is an error if too few training targets have motion, or no held-out target can be scored.
        """
        depths = (prior_depths.maps_or_zeros(target.place) for target in targets.targets)
        estimated = find_pair_and_window_motions(targets, depths, self._report_motion_progress)
        trusted = select_trusted_motions(targets.targets, estimated.pairs, estimated.windows)
        self._check_and_note_left_out(set_name, targets, trusted)
        if set_name == TRAINING:
            self.notes += notes_on_field_of_view(targets, prior_depths)
            return trusted

        trusted_pairs = [estimated.pairs[pair] for pair in trusted.motions]
        if math.isnan(mean_corner_error(trusted_pairs)):
            raise _error_without_scored_targets(targets)
        return trusted

    @property
    def _report_motion_progress(self) -> Callable[[int, int], None]:
        return partial(FrameProgress(shown=self._fabric.is_global_zero), "motion by geometry")

    def _median_network_depth(self, targets: VideoTargetFrames) -> float:
        sampled_depths = self._predict_depths(targets.spread_subset(_MEDIAN_TARGETS))
        return float(np.median([float(np.median(depth)) for depth in sampled_depths]))

    def _check_and_note_left_out(
        self, set_name: str, targets: VideoTargetFrames, trusted: TrustedEstimate
    ) -> None:
        """Note how many targets are left out, and why; ``InputError`` if too few remain."""
        num_left_out = trusted.left_out.total()
        num_remaining = len(targets) - num_left_out
        if set_name == TRAINING and num_remaining < self._min_targets:
            raise _error_of_few_targets(targets, trusted, num_remaining, self._min_targets)
        if not num_left_out:
            return
        reasons = [
            f"in {trusted.left_out[reason]:,} of them, {description}"
            for reason, description in _LEFT_OUT_REASONS.items()
            if trusted.left_out[reason]
        ]
        self.notes += (
            f"rilievo leaves out {num_left_out:,} of {len(targets):,} {set_name} targets: "
            f"{'; '.join(reasons)}",
        )

    def _predict_depths(self, targets: VideoTargetFrames) -> Iterator[Field]:
        return network_depths(self._network, targets, self._fabric.device)

    def _estimate_path(self, set_name: str) -> Path:
        return self._run / MOTION_FOLDER / f"{set_name}.npz"


def notes_on_field_of_view(frames: VideoTargetFrames, prior_depths: StoredMaps) -> tuple[str, ...]:
    """Note that another field of view fits the first sequence clearly better, if one does."""
    first_target = frames.targets[0]
    K = frames.get_K(first_target)
    focal_factor = better_focal_factor(_track_first_sequence(frames, prior_depths), K)
    if focal_factor is None:
        return ()
    better_K = K.copy()
    better_K[[0, 1], [0, 1]] *= focal_factor
    width = frames.read_frame(first_target.place).shape[1]
    problem = (
        f"the field of view seems wrong: tracked corners fit about "
        f"{horizontal_fov(better_K, width):.0f} degrees better than {horizontal_fov(K, width):.0f}"
    )
    hint = Text("give ", AnyOf(OptionName("fov", "..."), OptionName("camera", "...")))
    return (Note(problem, hint=hint),)


def _track_first_sequence(frames: VideoTargetFrames, prior_depths: StoredMaps) -> list[CornerPair]:
    """Track corners from some targets of the first sequence to their last source."""
    first_sequence = frames.targets[0].place.sequence
    pairs = []
    for target in frames.spread_subset(_FOV_TARGETS).targets:
        if target.place.sequence != first_sequence:
            continue
        target_frame = frames.read_frame(target.place)
        source_frame = frames.read_frame(target.sources[-1])
        depth = prior_depths.maps_or_zeros(target.place)
        pairs.append(CornerPair.between(target_frame, source_frame, depth))
    return pairs


def _error_without_scored_targets(held_out: VideoTargetFrames) -> InputError:
    return InputError(
        path=f"{printable(held_out.ids[0])} and after",
        problem=Text(
            f"none of the {len(held_out):,} held-out targets has a reliable motion and enough "
            "parallax, so the run could not be scored: use a larger ",
            OptionName("held_out"),
            ", or footage with more parallax in its middle or at its end",
        ),
    )


def _error_of_few_targets(
    targets: VideoTargetFrames, trusted: TrustedEstimate, num_remaining: int, min_targets: int
) -> InputError:
    """Error that names the most frequent reason why targets are left out, with advice."""
    problem = (
        f"{printable(targets.ids[0])} and after: motion was found for {num_remaining} of "
        f"{len(targets):,} frames, but {min_targets} are needed"
    )
    main_reason = max(_LEFT_OUT_REASONS, key=lambda reason: trusted.left_out[reason])
    num_left_out = trusted.left_out[main_reason]
    if not num_left_out:
        return InputError(f"{problem}: use longer footage")
    return InputError(
        f"{problem}; in {num_left_out:,} of the others, "
        f"{_LEFT_OUT_REASONS_WITH_ADVICE[main_reason]}"
    )
