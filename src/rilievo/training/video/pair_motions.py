"""Camera motion between targets and their sources, estimated by geometry.

Motion is estimated in two ways. For a pair, corners are tracked from a target to one source. Over
a window, points are tracked along a chain of targets. Sources lie a stride away from their target,
so a clip falls into as many chains as the stride has frames. Neighbouring frames of different
chains are estimated independently, so their difference shows how wrong triangulated depth is.

Transforms are ``source_T_target``. Positions are (x, y) [px]. Depth and translations have the unit
of the depth that was passed in, up to one factor a target until ``unify_scales``.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import (
    AnyPlane,
    Float64,
    Matrix,
    Points,
    Positions,
    Transform,
    Transforms,
    Values,
)
from rilievo.data.motion.clip_motion import ClipMotion, ClipTracker
from rilievo.data.motion.pair_motion import (
    TRACKING,
    PairMotion,
    Triangulated,
    depth_errors,
    motion_between,
    unify_scales,
)
from rilievo.data.motion.tracks import PointDepths, Tracking, grey, track_positions
from rilievo.errors import InputError
from rilievo.io.files.archives import BROKEN_FILE, npz_member, opened_npz
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace, Target

Pair = tuple[FramePlace, FramePlace]
"""A target and one of its sources."""
Motions = Mapping[Pair, Transform]
"""``source_T_target`` of pairs."""
ProgressCallback = Callable[[int, int], None]
"""Function that takes the number of finished targets, and of all targets."""

MOTION_FOLDER = "motions"
"""Folder of a run's motions."""
TRAINING = "training"
"""Name of the training targets, and of the file of their motions."""

_WINDOW_TRACKING = Tracking(
    max_corners=800, min_quality=0.005, min_distance=4, max_return_distance=0.3
)
"""Tracking over windows. With half as many corners, directions in five clips were up to 12.7
degrees off, in place of 11.8."""
_MAX_LOG_DEPTH_ERROR = 0.1
"""Largest standard error of log depth at which a point is used."""
_MIN_POINTS = 20
"""Fewest points of a target whose motion over a window is used."""
_MIN_RATIOS = 10
"""Fewest ratios of depth that have a meaningful median."""
_MAX_SAME_POINT_DISTANCE = 1.0
"""Largest distance between two observations of the same point [px]."""
_MAX_NEIGHBOUR_DISTANCE = 3
"""Largest distance between targets of two chains that are compared [frames]."""

_MIN_RELATIVE_LENGTH, _MAX_RELATIVE_LENGTH = 0.1, 5.0
"""Range of the length of a trusted translation, over the median length."""
_MAX_DIRECTION_ERROR = 10.0
"""Largest standard error of the direction of a trusted translation [degrees]."""
_MAX_ROTATION_ERROR = 1e-3
"""Largest entry of R Rᵀ - 1 of a stored rotation, which is rounded to 32 bits at most."""
_MIN_PARALLAX = 1.0
"""Least median parallax of a trusted motion over a window [px]."""
_SHARED_PAIR_ERROR = 0.05
"""Relative error of depth that both sources of a target share, so that comparing them does not show
it; 0.02 to 0.08 in real and rendered rooms."""
_SHARED_WINDOW_ERROR = 0.04
"""The same for two chains; 0.01 to 0.07."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMotion:
    """Motion of one target over a window.

    Attributes:
        motions: ``source_T_target`` by source, in the unit of the target's chain.
        parallax: Median parallax of the points, to the source with the least [px].
        points: Depth of the tracked points, in the unit of the chain.
    """

    motions: Mapping[FramePlace, Transform]
    parallax: float
    points: PointDepths

    def scale_to_chain(self, corners: Triangulated) -> float:
        """Factor that converts the depth of a pair's corners to the unit of the chain.

        It is the median depth ratio of the points that the pair and the window share. It is NaN if
        there are too few of them.
        """
        if not len(corners.depth):
            return math.nan

        # Both were tracked in the frame of the target, so the same point has the same position.
        nearest = _nearest_points(corners.positions, self.points.positions)
        depth_ratios = self.points.depth[nearest.index] / corners.depth
        is_same_point = nearest.distance < _MAX_SAME_POINT_DISTANCE
        if is_same_point.sum() < _MIN_RATIOS:
            return math.nan
        return float(np.median(depth_ratios[is_same_point]))


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEstimates:
    """Motion of all targets over windows, and the errors of depth that it shows.

    Attributes:
        motion_by_target: Motion of each target; targets with too few points are missing.
        triangulation_error: Mean relative error of triangulated depth; NaN for a single chain.
        model_depth_error: Mean relative error of the depth that was passed in; NaN without motion.
    """

    motion_by_target: Mapping[FramePlace, WindowMotion]
    triangulation_error: float
    model_depth_error: float


@dataclass(slots=True)
class _Chain:
    """Targets along which points are tracked: each is the nearest earlier source of the next."""

    K: Matrix
    tracker: ClipTracker
    targets: list[Target] = field(default_factory=list)


class WindowTracker:
    """Tracker of points along the chains of targets.

    Targets are added in the order of their frames.
    """

    def __init__(self, frames: VideoTargetFrames) -> None:
        self._frames = frames
        self._chains: list[_Chain] = []
        self._chain_by_last_target: dict[FramePlace, _Chain] = {}

    def add_target(self, target: Target, depth: AnyPlane) -> None:
        """Track the points of the earlier targets into the next one, whose ``depth`` has any unit.

        Targets with a source in another sequence, such as the other camera of a stereo pair, are
        ignored. OpenCV is needed.
        """
        if any(source.sequence != target.place.sequence for source in target.sources):
            return

        chain = self._pop_continued_chain(target)
        if chain is None:
            chain = self._start_chain(target)
        chain.tracker.add(self._frames.read_frame(target.place), depth)
        chain.targets.append(target)
        self._chain_by_last_target[target.place] = chain

    def _pop_continued_chain(self, target: Target) -> _Chain | None:
        """Find the chain that ends at the nearest earlier source, and forget its old end."""
        earlier_sources = [source for source in target.sources if source < target.place]
        if not earlier_sources:
            return None
        nearest_source = max(earlier_sources)
        return self._chain_by_last_target.pop(nearest_source, None)

    def _start_chain(self, target: Target) -> _Chain:
        K = self._frames.get_K(target)
        chain = _Chain(K=K, tracker=ClipTracker(K, _WINDOW_TRACKING))
        self._chains.append(chain)
        return chain

    def estimate_windows(self) -> WindowEstimates:
        """Estimate the motion of all targets with enough points, and the errors of depth."""
        motion_by_target: dict[FramePlace, WindowMotion] = {}
        chain_index_by_target: dict[FramePlace, int] = {}
        for chain_index, chain in enumerate(self._chains):
            chain_motions = _chain_window_motions(chain, chain.tracker.motion())
            motion_by_target |= chain_motions
            chain_index_by_target |= dict.fromkeys(chain_motions, chain_index)

        differences = self._differences_between_chains(motion_by_target, chain_index_by_target)
        # Both chains contribute to a difference, so the error of one of them is smaller by √2.
        triangulation_error = _mean_or_nan(differences) / math.sqrt(2)
        return WindowEstimates(
            motion_by_target=motion_by_target,
            triangulation_error=triangulation_error,
            model_depth_error=_mean_or_nan(_model_depth_errors(motion_by_target.values())),
        )

    def _differences_between_chains(
        self,
        motion_by_target: Mapping[FramePlace, WindowMotion],
        chain_index_by_target: Mapping[FramePlace, int],
    ) -> Float64[np.ndarray, "m"]:
        """Relative differences of depth between neighbouring targets of different chains."""
        differences = [np.zeros(0)]
        for first, second in itertools.pairwise(sorted(motion_by_target)):
            is_close = second.frame - first.frame <= _MAX_NEIGHBOUR_DISTANCE
            is_same_chain = chain_index_by_target[first] == chain_index_by_target[second]
            if first.sequence == second.sequence and is_close and not is_same_chain:
                differences.append(self._depth_differences(first, second, motion_by_target))
        return np.concatenate(differences)

    def _depth_differences(
        self,
        first: FramePlace,
        second: FramePlace,
        motion_by_target: Mapping[FramePlace, WindowMotion],
    ) -> Float64[np.ndarray, "m"]:
        """Relative depth differences at the points that both targets have.

        The points of the first target are tracked into the second frame, where those of the second
        target that end up at the same pixel are the same points of the scene.
        """
        first_frame = grey(self._frames.read_frame(first))
        second_frame = grey(self._frames.read_frame(second))
        first_points = motion_by_target[first].points
        second_points = motion_by_target[second].points

        tracked_positions, is_tracked = track_positions(
            first_frame, second_frame, first_points.positions, TRACKING
        )
        nearest = _nearest_points(tracked_positions, second_points.positions)
        is_same_point = is_tracked & (nearest.distance < _MAX_SAME_POINT_DISTANCE)
        first_depth = first_points.depth[is_same_point]
        second_depth = second_points.depth[nearest.index[is_same_point]]
        return _deviations_from_median(first_depth / second_depth)


class _NearestPoints(NamedTuple):
    index: Indices
    distance: Values


def _nearest_points(positions: Positions, candidates: Float64[np.ndarray, "m 2"]) -> _NearestPoints:
    """For each position, find the nearest candidate and its distance [px]."""
    distances = np.linalg.norm(positions[:, None] - candidates[None], axis=2)
    return _NearestPoints(index=distances.argmin(axis=1), distance=distances.min(axis=1))


def _chain_window_motions(chain: _Chain, motion: ClipMotion) -> dict[FramePlace, WindowMotion]:
    """Relative motions between the targets of a chain, for targets with enough precise points."""
    index_by_place = {target.place: index for index, target in enumerate(chain.targets)}
    window_motions = {}
    for index, target in enumerate(chain.targets):
        points = motion.points[index].more_precise_than(_MAX_LOG_DEPTH_ERROR)
        if len(points.depth) < _MIN_POINTS:
            continue
        source_T_target = _motions_to_sources(motion, index_by_place, target)
        if not source_T_target:
            continue
        parallaxes = [np.median(points.parallax(T, chain.K)) for T in source_T_target.values()]
        window_motions[target.place] = WindowMotion(
            motions=source_T_target,
            # Unlike min, np.min returns NaN if any parallax is NaN.
            parallax=float(np.min(parallaxes)),
            points=points,
        )
    return window_motions


def _motions_to_sources(
    motion: ClipMotion, index_by_place: Mapping[FramePlace, int], target: Target
) -> dict[FramePlace, Transform]:
    """``source_T_target`` of the sources that are in the chain, on the same side of each cut."""
    target_index = index_by_place[target.place]
    source_T_target = {}
    for source in target.sources:
        source_index = index_by_place.get(source)
        if source_index is None:
            continue
        motion_to_source = motion.motion_between(source_index, target_index)
        if motion_to_source is not None:
            source_T_target[source] = motion_to_source
    return source_T_target


def _model_depth_errors(motions: Iterable[WindowMotion]) -> Float64[np.ndarray, "m"]:
    """Relative errors of the model depth at triangulated points, up to a factor per target."""
    depth_ratios = [motion.points.model_depth / motion.points.depth for motion in motions]
    return np.concatenate([np.zeros(0), *map(_deviations_from_median, depth_ratios)])


def _deviations_from_median(ratios: Values) -> Float64[np.ndarray, "m"]:
    """|ratio / median - 1|, at most 1, without NaN; empty for too few ratios."""
    finite = ratios[np.isfinite(ratios)]
    if len(finite) < _MIN_RATIOS:
        return np.zeros(0)
    return np.minimum(np.abs(finite / np.median(finite) - 1), 1)


def _mean_or_nan(values: Float64[np.ndarray, "m"]) -> float:
    return float(values.mean()) if len(values) else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionEstimate:
    """Motion of targets by geometry, as it is stored.

    Attributes:
        motions: ``source_T_target`` of pairs.
        corners: x [px], y [px] and depth, up to one factor per target, by target.
        trust: Factor in 0..1 of the weight of corners in the loss.
    """

    motions: Motions
    corners: Mapping[FramePlace, Points]
    trust: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedEstimate(MotionEstimate):
    """Motion of the targets whose motion can be trusted.

    Attributes:
        left_out: Number of targets that are left out, by reason: "lost" (too few corners agree on a
            motion), "turning" (no clear translation) or "odd" (a translation of unusual length).
    """

    left_out: Counter[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedMotion:
    """Motion by pairs and over windows, before untrustworthy targets are left out."""

    pairs: Mapping[Pair, PairMotion]
    windows: WindowEstimates


def find_pair_motions(
    frames: VideoTargetFrames,
    depths: Iterable[AnyPlane],
    report_progress: ProgressCallback | None = None,
) -> dict[Pair, PairMotion]:
    """Estimate the motion from each target to each of its sources.

    ``depths`` are those of the targets, in units that are about the same. OpenCV is needed.
    """
    pair_motions: dict[Pair, PairMotion] = {}
    for num_done, (target, depth) in enumerate(zip(frames.targets, depths, strict=True), start=1):
        pair_motions |= _find_motions_of_target(frames, target, depth)
        if report_progress is not None:
            report_progress(num_done, len(frames))
    return pair_motions


def _find_motions_of_target(
    frames: VideoTargetFrames, target: Target, depth: AnyPlane
) -> dict[Pair, PairMotion]:
    """Estimate the motion from one target to each of its sources."""
    target_frame = grey(frames.read_frame(target.place))
    K = frames.get_K(target)
    pair_motions: dict[Pair, PairMotion] = {}
    for source in target.sources:
        source_frame = grey(frames.read_frame(source))
        pair_motions[target.place, source] = motion_between(target_frame, source_frame, depth, K)
    return pair_motions


def find_pair_and_window_motions(
    frames: VideoTargetFrames,
    depths: Iterable[AnyPlane],
    report_progress: ProgressCallback | None = None,
) -> EstimatedMotion:
    """Estimate motion by pairs and over windows, in one pass over the frames.

    The arguments and errors are those of ``find_pair_motions``. ``depths`` are read only once, so
    they may be predicted one by one.
    """
    tracker = WindowTracker(frames)
    pair_motions: dict[Pair, PairMotion] = {}
    for num_done, (target, depth) in enumerate(zip(frames.targets, depths, strict=True), start=1):
        tracker.add_target(target, depth)
        pair_motions |= _find_motions_of_target(frames, target, depth)
        if report_progress is not None:
            report_progress(num_done, len(frames))
    return EstimatedMotion(pairs=pair_motions, windows=tracker.estimate_windows())


def mean_corner_error(motions: Iterable[PairMotion]) -> float:
    """Mean relative error of the model depth over all triangulated corners; NaN without any."""
    # Each motion has the mean over its own corners, which is NaN without any.
    total_error = 0.0
    num_corners = 0
    for motion in motions:
        if motion.num_depth_checks:
            total_error += motion.depth_error * motion.num_depth_checks
            num_corners += motion.num_depth_checks
    return total_error / num_corners if num_corners else math.nan


def corner_trust(targets: Sequence[Target], motions: Mapping[Pair, PairMotion]) -> float:
    """Factor in 0..1 of the weight of corners, from the motions of pairs.

    The sources of a target triangulate the same corners independently, so the differences of their
    depths show the error of triangulation. The factor is 1 if nothing can be compared.
    """
    differences = [np.zeros(0)]
    for target in targets:
        corners = [motions[target.place, source].corners for source in sorted(target.sources)]
        for first, second in itertools.combinations(corners, 2):
            differences.append(_relative_depth_differences(first, second))
    mean_difference = _mean_or_nan(np.concatenate(differences))

    total_error = mean_corner_error(
        motions[target.place, source] for target in targets for source in target.sources
    )
    if math.isnan(mean_difference) or math.isnan(total_error):
        return 1.0
    triangulation_error = math.hypot(mean_difference, _SHARED_PAIR_ERROR)
    return _trust_from_errors(triangulation_error, total_error)


def _relative_depth_differences(
    first: Triangulated, second: Triangulated
) -> Float64[np.ndarray, "m"]:
    """Relative differences of depth at the corners of a target that two sources see."""
    _, first_index, second_index = np.intersect1d(
        _corner_keys(first), _corner_keys(second), return_indices=True
    )
    depth_ratios = first.depth[first_index] / second.depth[second_index]
    parallax = np.minimum(first.parallax[first_index], second.parallax[second_index])
    return depth_errors(depth_ratios, parallax)


def _corner_keys(corners: Triangulated) -> np.ndarray:
    """Positions as complex numbers x + iy, which ``np.intersect1d`` can compare.

    They are the same for a corner of a target, whatever its source.
    """
    return corners.positions.round(3) @ [1, 1j]


def _trust_from_errors(triangulation_error: float, total_error: float) -> float:
    """Fraction by which the error of triangulated depth is below that of the model depth, in 0..1.

    ``total_error`` is the difference between both depths, so it contains the errors of both. The
    model depth alone has the error √(total² - triangulation²).
    """
    if triangulation_error >= total_error:
        return 0.0
    model_depth_error = math.sqrt(total_error**2 - triangulation_error**2)
    return max(0.0, 1 - triangulation_error / model_depth_error)


class _TrustedTarget(NamedTuple):
    """Motions of a target by source, and its corners (x, y, depth)."""

    motions: Mapping[FramePlace, Transform]
    corners: Points


def select_trusted_motions(
    targets: Sequence[Target],
    pair_motions: Mapping[Pair, PairMotion],
    windows: WindowEstimates | None = None,
) -> TrustedEstimate:
    """Select the targets whose motions can be trusted, at one scale along each sequence.

    A target has the motion over its window, or if that cannot be trusted, the motion of its pairs.
    """
    window_by_target = {} if windows is None else windows.motion_by_target
    median_length = _median_length(pair_motions.values(), window_by_target.values())

    motions: dict[Pair, Transform] = {}
    corners: dict[FramePlace, Points] = {}
    left_out: Counter[str] = Counter()
    for target in targets:
        pairs = {source: pair_motions[target.place, source] for source in target.sources}
        trusted = _trust_window(pairs, window_by_target.get(target.place), median_length)
        if trusted is None:
            reason = _reason_to_leave_out(pairs.values(), median_length)
            if reason is not None:
                left_out[reason] += 1
                continue
            trusted = _trust_pairs(pairs)
        corners[target.place] = trusted.corners
        for source, motion in trusted.motions.items():
            motions[target.place, source] = motion

    trusted_targets = [target for target in targets if target.place in corners]
    return TrustedEstimate(
        motions=unify_scales(motions),
        corners=corners,
        trust=_trust_by_windows_or_pairs(trusted_targets, pair_motions, windows),
        left_out=left_out,
    )


def _median_length(pairs: Iterable[PairMotion], windows: Iterable[WindowMotion]) -> float:
    """Median length of the translation of pairs; NaN if the camera does not move.

    If too few pairs have a clear direction, the translations over windows count as well.
    """
    lengths = [
        _translation_length(pair.source_T_target) for pair in pairs if pair.is_direction_known
    ]
    if len(lengths) < _MIN_RATIOS:
        for window in windows:
            lengths += [_translation_length(motion) for motion in window.motions.values()]
    return float(np.median(lengths)) if lengths else math.nan


def _trust_by_windows_or_pairs(
    targets: Sequence[Target],
    pair_motions: Mapping[Pair, PairMotion],
    windows: WindowEstimates | None,
) -> float:
    """Factor in 0..1 of the weight of corners, from the errors over windows.

    If these are not known, such as for a single chain, the factor follows from the pairs.
    """
    if (
        windows is None
        or math.isnan(windows.triangulation_error)
        or math.isnan(windows.model_depth_error)
    ):
        return corner_trust(targets, pair_motions)
    triangulation_error = math.hypot(windows.triangulation_error, _SHARED_WINDOW_ERROR)
    return _trust_from_errors(triangulation_error, windows.model_depth_error)


def _trust_window(
    pairs: Mapping[FramePlace, PairMotion], window: WindowMotion | None, median_length: float
) -> _TrustedTarget | None:
    """Motions and corners over a window; None if the motion to a source cannot be trusted."""
    # A parallax of NaN is too small as well.
    if window is None or not window.parallax >= _MIN_PARALLAX:
        return None

    motions: dict[FramePlace, Transform] = {}
    for source, pair in pairs.items():
        motion = _motion_in_unit_of_window(source, pair, window, median_length)
        if motion is None or not _has_usual_length(motion, median_length):
            return None
        motions[source] = motion
    corners = np.column_stack([window.points.positions, window.points.depth])
    return _TrustedTarget(motions=motions, corners=corners)


def _trust_pairs(pairs: Mapping[FramePlace, PairMotion]) -> _TrustedTarget:
    return _TrustedTarget(
        motions={source: pair.source_T_target for source, pair in pairs.items()},
        corners=_merge_corners([pair.corners for pair in pairs.values()]),
    )


def _motion_in_unit_of_window(
    source: FramePlace, pair: PairMotion, window: WindowMotion, median_length: float
) -> Transform | None:
    """Motion to a source, in the unit of the window; None if it is not known.

    It is the motion over the window. If the source is not in the window, it is that of the pair.
    """
    if source in window.motions:
        return window.motions[source]
    if _reason_to_leave_out([pair], median_length) is not None:
        return None
    factor = window.scale_to_chain(pair.corners)
    if math.isnan(factor):
        return None
    return _scale_translation(pair.source_T_target, factor)


def _reason_to_leave_out(pairs: Iterable[PairMotion], median_length: float) -> str | None:
    """Key of ``TrustedEstimate.left_out`` for a target with these motions; None to keep it."""
    pairs = list(pairs)
    if not all(pair.is_known for pair in pairs):
        return "lost"
    if not all(
        pair.is_direction_known and pair.direction_error < _MAX_DIRECTION_ERROR for pair in pairs
    ):
        return "turning"
    if not all(_has_usual_length(pair.source_T_target, median_length) for pair in pairs):
        return "odd"
    return None


def _has_usual_length(motion: Transform, median_length: float) -> bool:
    """Whether a translation is neither far longer nor far shorter than the others."""
    min_length = _MIN_RELATIVE_LENGTH * median_length
    max_length = _MAX_RELATIVE_LENGTH * median_length
    return min_length < _translation_length(motion) < max_length


def _translation_length(motion: Transform) -> float:
    return float(np.linalg.norm(motion[:3, 3]))


def _scale_translation(motion: Transform, factor: float) -> Transform:
    scaled = motion.copy()
    scaled[:3, 3] *= factor
    return scaled


def _merge_corners(corners_by_source: Sequence[Triangulated]) -> Points:
    """Merge the corners that the sources of a target triangulated, as columns x, y and depth.

    The log depth of a corner is the mean over its sources. A source weighs by its squared parallax,
    since the variance of triangulated log depth falls with it.
    """
    all_positions = np.concatenate([corners.positions for corners in corners_by_source])
    log_depths = np.log(np.concatenate([corners.depth for corners in corners_by_source]))
    weights = np.concatenate([corners.parallax for corners in corners_by_source]) ** 2

    # A corner has the same position in the target for all sources.
    positions, corner_index = np.unique(all_positions.round(3), axis=0, return_inverse=True)
    corner_index = corner_index.ravel()
    total_weights = np.bincount(corner_index, weights, len(positions))
    weighted_log_depths = np.bincount(corner_index, weights * log_depths, len(positions))
    return np.column_stack([positions, np.exp(weighted_log_depths / total_weights)])


def read_training_motions(run: Path) -> Motions:
    """Read the motions of a run's training targets; empty if none were estimated."""
    path = run / MOTION_FOLDER / f"{TRAINING}.npz"
    return read_estimate(path).motions if path.is_file() else {}


def write_estimate(path: Path, estimate: MotionEstimate) -> None:
    """Write motions, corners and trust to an ``.npz`` file, which ``read_estimate`` reads.

    Its members are ``places`` (target sequence, target frame, source sequence, source frame) and
    ``source_T_target`` of each pair, ``corner_counts`` (sequence, frame, number of corners) of each
    target, ``corners`` of all targets one after another, and ``trust``.
    """
    make_folder(path.parent)
    pairs = [[*target, *source] for target, source in estimate.motions]
    counts = [[*place, len(corners)] for place, corners in estimate.corners.items()]
    # Reshaped and padded with no rows, so that empty arrays have the right shape too.
    corners = np.concatenate([*estimate.corners.values(), np.zeros((0, 3))])
    with replacing(path) as temporary_path, temporary_path.open("wb") as file:
        np.savez(
            file,
            places=np.array(pairs, np.int64).reshape(-1, 4),
            source_T_target=np.array(list(estimate.motions.values())).reshape(-1, 4, 4),
            corner_counts=np.array(counts, np.int64).reshape(-1, 3),
            corners=corners.astype(np.float32),
            trust=np.float64(estimate.trust),
        )


class _StoredArrays(NamedTuple):
    """Arrays of a file of motions; see ``write_estimate``.

    Attributes:
        places: Rows (target sequence, target frame, source sequence, source frame), one per pair.
        corner_counts: Rows (sequence, frame, number of corners), one per target.
        corners: Rows (x [px], y [px], depth) of all targets, one after another.
        trust: Factor in 0..1 of the weight of corners in the loss.
    """

    places: np.ndarray
    source_T_target: np.ndarray
    corner_counts: np.ndarray
    corners: np.ndarray
    trust: float

    def check(self) -> None:
        """Raise ``ValueError`` for arrays that ``write_estimate`` cannot have written."""
        self._check_shapes_and_types()
        self._check_places_and_counts()
        self._check_values()

    def _check_shapes_and_types(self) -> None:
        arrays = (self.places, self.source_T_target, self.corner_counts, self.corners)
        row_shapes = [array.shape[1:] for array in arrays]
        if row_shapes != [(4,), (4, 4), (3,), (3,)]:
            raise ValueError(f"shapes {row_shapes}")
        if len(self.places) != len(self.source_T_target):
            raise ValueError(
                f"there are {len(self.places)} pairs but {len(self.source_T_target)} motions"
            )
        has_integers = self.places.dtype.kind == self.corner_counts.dtype.kind == "i"
        if not has_integers or self.source_T_target.dtype.kind != "f":
            raise ValueError("places and counts are not integers, or motions are not floats")

    def _check_places_and_counts(self) -> None:
        if (self.places < 0).any() or (self.corner_counts < 0).any():
            raise ValueError("places or counts are negative")
        num_corners = self.corner_counts[:, 2].sum()
        if num_corners != len(self.corners):
            raise ValueError(
                f"the counts add up to {num_corners} corners, expected {len(self.corners)}"
            )
        targets_with_corners = self.corner_counts[:, :2]
        for keys in (self.places, targets_with_corners):
            if len(np.unique(keys, axis=0)) != len(keys):
                raise ValueError("there are two entries for one place")

    def _check_values(self) -> None:
        if not 0 <= self.trust <= 1:
            raise ValueError(f"the trust is {self.trust:g}, expected 0 to 1")
        if not _are_rigid(self.source_T_target):
            raise ValueError("a motion is not a rotation and a translation")
        if not np.isfinite(self.corners).all() or (self.corners[:, 2] <= 0).any():
            raise ValueError("a corner has no position or no positive depth")


def _are_rigid(transforms: Transforms) -> bool:
    """Whether all transforms are finite, rotate without stretching or mirroring, and translate."""
    if not np.isfinite(transforms).all():
        return False
    R = transforms[:, :3, :3]
    last_row = transforms[:, 3]
    is_orthonormal = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)) < _MAX_ROTATION_ERROR
    has_last_row = (last_row == [0, 0, 0, 1]).all()
    return bool(is_orthonormal.all() and (np.linalg.det(R) > 0).all() and has_last_row)


def read_estimate(path: Path) -> MotionEstimate:
    """Read motions, corners and trust, as ``write_estimate`` stores them.

    Raises:
        InputError: If the file is broken, or does not contain motions.
    """
    check_regular(path)
    try:
        stored = _load_arrays(path)
        stored.check()
    except BROKEN_FILE as error:
        raise InputError(
            f"{printable(path)}: is not a valid file of motions: {reason(error)}; delete it, and "
            "rilievo finds the motions again"
        ) from error

    motions = {}
    for place, matrix in zip(stored.places.tolist(), stored.source_T_target, strict=True):
        target = FramePlace(*place[:2])
        source = FramePlace(*place[2:])
        motions[target, source] = matrix

    corners = {}
    first_row = 0
    for sequence, frame, count in stored.corner_counts.tolist():
        corners[FramePlace(sequence, frame)] = stored.corners[first_row : first_row + count]
        first_row += count
    return MotionEstimate(motions=motions, corners=corners, trust=stored.trust)


def _load_arrays(path: Path) -> _StoredArrays:
    with opened_npz(path) as stored:
        return _StoredArrays(
            trust=float(npz_member(stored, "trust")),
            places=npz_member(stored, "places"),
            source_T_target=npz_member(stored, "source_T_target"),
            corner_counts=npz_member(stored, "corner_counts"),
            corners=npz_member(stored, "corners").astype(np.float64),
        )
