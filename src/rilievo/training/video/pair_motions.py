"""Camera motion between targets and their sources, estimated by geometry.

Motion is estimated in two ways. By pairs, each source is tracked from its target alone. Over
windows, points are tracked along a chain of targets. Sources lie a stride away from their target,
so a clip falls into as many chains as the stride has frames. Neighbouring frames of different
chains are estimated independently, so their difference shows by how much triangulated depth errs.

Transforms are ``source_T_target``. Positions are (x, y) [px]. Depth and translations have the unit
of the depth that was given, up to one factor a target until ``unify_scales``.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from rilievo.data.clips.clip_motion import ClipMotion, ClipTracker
from rilievo.data.clips.log_scales import ScaleLink, linked_log_scales
from rilievo.data.clips.pair_motion import (
    TRACKING,
    PairMotion,
    Triangulated,
    depth_errors,
    motion_of_tracks,
)
from rilievo.data.clips.tracks import Tracking, grey, rays_at, track_corners, track_positions
from rilievo.data.clips.window_adjustment import PointDepths
from rilievo.errors import InputError
from rilievo.geometry.transforms import invert
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace, Target

Pair = tuple[FramePlace, FramePlace]
"""A target and one of its sources."""
Motions = Mapping[Pair, Transform]
"""``source_T_target`` of pairs."""
Progress = Callable[[int, int], None]
"""Function of the number of targets that are done, and of all."""

MOTION_FOLDER = "motions"
"""Folder of a run's motions."""
TRAINING = "training"
"""Name of the training targets, and of the file of their motions."""

_WINDOW_TRACKING = Tracking(corners=800, quality=0.005, apart=4, comes_back=0.3)
"""Tracking over windows. With half as many corners, directions in five clips were up to 12.7
degrees off, in place of 11.8."""
_MAX_LOG_DEPTH_ERROR = 0.1
"""Largest standard error of log depth at which a point is used."""
_MIN_POINTS = 20
"""Fewest points of a target whose motion over a window is used."""
_MIN_RATIOS = 10
"""Fewest ratios of depth that have a meaningful median."""
_SAME_POINT = 1.0
"""Largest distance between two observations of the same point [px]."""
_NEIGHBOUR_FRAMES = 3
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

    def unit_factor(self, corners: Triangulated) -> float:
        """Factor from the unit of a pair's corners to the unit of the chain.

        It is the median over points that both know; NaN if there are too few of them.
        """
        if not len(corners.depth):
            return math.nan

        nearest = _nearest_points(corners.places, self.points.places)
        ratios = self.points.depth[nearest.index] / corners.depth
        is_same = nearest.distance < _SAME_POINT
        if is_same.sum() < _MIN_RATIOS:
            return math.nan
        return float(np.median(ratios[is_same]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Motion of all targets over windows.

    Attributes:
        targets: Motion by target; targets with too few points are missing.
        error: Mean relative error of triangulated depth, from the differences between independent
            chains; NaN for a single chain.
        given_error: Mean relative error of the given depth; NaN without motion.
    """

    targets: Mapping[FramePlace, WindowMotion]
    error: float
    given_error: float


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

    def add(self, target: Target, depth: AnyPlane) -> None:
        """Track points into the next target, whose ``depth`` is in any unit.

        Targets with a source in another sequence, as of a stereo pair, are ignored.

        Raises:
            MissingExtraError: Without OpenCV.
        """
        if any(source.sequence != target.place.sequence for source in target.sources):
            return

        chain = self._continued_chain(target) or self._start_chain(target)
        chain.tracker.add(self._frames.frame_of(target.place), depth)
        chain.targets.append(target)
        self._chain_by_last_target[target.place] = chain

    def _continued_chain(self, target: Target) -> _Chain | None:
        """Chain that ends at the nearest earlier source."""
        earlier_sources = [source for source in target.sources if source < target.place]
        if not earlier_sources:
            return None
        return self._chain_by_last_target.pop(max(earlier_sources), None)

    def _start_chain(self, target: Target) -> _Chain:
        K = self._frames.K_of(target)
        chain = _Chain(K=K, tracker=ClipTracker(K, _WINDOW_TRACKING))
        self._chains.append(chain)
        return chain

    def estimate_windows(self) -> Windows:
        """Estimate the motion of all targets with enough points, and the errors of depth."""
        motions: dict[FramePlace, WindowMotion] = {}
        chain_of: dict[FramePlace, int] = {}
        for number, chain in enumerate(self._chains):
            chain_motions = _chain_window_motions(chain, chain.tracker.motion())
            motions |= chain_motions
            chain_of |= dict.fromkeys(chain_motions, number)

        differences = self._differences_between_chains(motions, chain_of)
        model_errors = _model_depth_errors(motions.values())
        return Windows(
            targets=motions,
            # Both frames err; the mean error of one of them is smaller by the root of two.
            error=_mean_or_nan(differences) / math.sqrt(2),
            given_error=_mean_or_nan(model_errors),
        )

    def _differences_between_chains(
        self, motions: Mapping[FramePlace, WindowMotion], chain_of: Mapping[FramePlace, int]
    ) -> Float64[np.ndarray, "m"]:
        """Relative differences of depth between neighbouring targets of different chains."""
        differences = [np.zeros(0)]
        for first, second in itertools.pairwise(sorted(motions)):
            is_same_chain = chain_of[first] == chain_of[second]
            if is_same_chain or second.frame - first.frame > _NEIGHBOUR_FRAMES:
                continue
            if first.sequence == second.sequence:
                differences.append(self._depth_differences(first, second, motions))
        return np.concatenate(differences)

    def _depth_differences(
        self, first: FramePlace, second: FramePlace, motions: Mapping[FramePlace, WindowMotion]
    ) -> Float64[np.ndarray, "m"]:
        """Relative differences at points of the first frame that are found again in the second."""
        first_frame = grey(self._frames.frame_of(first))
        second_frame = grey(self._frames.frame_of(second))
        first_points, second_points = motions[first].points, motions[second].points

        tracked, is_tracked = track_positions(
            first_frame, second_frame, first_points.places, TRACKING
        )
        nearest = _nearest_points(tracked, second_points.places)
        is_same = is_tracked & (nearest.distance < _SAME_POINT)
        second_depth = second_points.depth[nearest.index[is_same]]
        return _deviations_from_median(first_points.depth[is_same] / second_depth)


class _NearestPoints(NamedTuple):
    index: Indices
    distance: Values


def _nearest_points(places: Positions, candidates: Float64[np.ndarray, "m 2"]) -> _NearestPoints:
    """For each place, the index of the nearest candidate and its distance [px]."""
    distances = np.linalg.norm(places[:, None] - candidates[None], axis=2)
    return _NearestPoints(index=distances.argmin(axis=1), distance=distances.min(axis=1))


def _chain_window_motions(chain: _Chain, motion: ClipMotion) -> dict[FramePlace, WindowMotion]:
    """Motions of the targets of a chain that have enough points."""
    index_of = {target.place: index for index, target in enumerate(chain.targets)}
    motions = {}
    for index, target in enumerate(chain.targets):
        points = _precise_points(motion.points[index])
        if len(points.depth) < _MIN_POINTS:
            continue

        world_T_target = invert(motion.cam_T_world[index])
        source_T_target = {}
        for source in target.sources:
            source_index = index_of.get(source)
            # Poses before and after a cut have no relation.
            if source_index is not None and motion.parts[source_index] == motion.parts[index]:
                source_T_target[source] = motion.cam_T_world[source_index] @ world_T_target
        if source_T_target:
            parallaxes = [_median_parallax(points, T, chain.K) for T in source_T_target.values()]
            motions[target.place] = WindowMotion(
                # A NaN among them stays, whatever the order of the sources.
                motions=source_T_target,
                parallax=float(np.min(parallaxes)),
                points=points,
            )
    return motions


def _precise_points(points: PointDepths) -> PointDepths:
    """Points whose depth has a small standard error."""
    is_precise = points.doubt < _MAX_LOG_DEPTH_ERROR
    return replace(
        points,
        places=points.places[is_precise],
        depth=points.depth[is_precise],
        given=points.given[is_precise],
        doubt=points.doubt[is_precise],
    )


def _median_parallax(points: PointDepths, source_T_target: Transform, K: Matrix) -> float:
    """Median displacement of points by the translation alone [px]."""
    R, t = source_T_target[:3, :3], source_T_target[:3, 3]
    rotated = rays_at(points.places, K) @ R.T
    moved = rotated * points.depth[:, None] + t
    focal_lengths = K[[0, 1], [0, 1]]
    displacement = (_perspective_divide(moved) - _perspective_divide(rotated)) * focal_lengths
    return float(np.median(np.linalg.norm(displacement, axis=1)))


def _perspective_divide(points: Points) -> Positions:
    """Points (x / z, y / z), finite behind the camera too."""
    return points[:, :2] / np.maximum(points[:, 2:], 1e-6)


def _model_depth_errors(motions: Iterable[WindowMotion]) -> Float64[np.ndarray, "m"]:
    """Relative errors of the model's depth at triangulated points, up to a factor a target."""
    ratios = [motion.points.given / motion.points.depth for motion in motions]
    return np.concatenate([np.zeros(0), *map(_deviations_from_median, ratios)])


def _deviations_from_median(ratios: Values) -> Float64[np.ndarray, "m"]:
    """|ratio / median - 1|, at most 1, without NaN; empty for too few ratios."""
    finite = ratios[np.isfinite(ratios)]
    if len(finite) < _MIN_RATIOS:
        return np.zeros(0)
    return np.minimum(np.abs(finite / np.median(finite) - 1), 1)


def _mean_or_nan(numbers: Float64[np.ndarray, "m"]) -> float:
    return float(numbers.mean()) if len(numbers) else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Motion of targets by geometry, as it is stored.

    Attributes:
        motions: ``source_T_target`` of pairs.
        corners: Columns x [px], y [px] and depth up to one factor a target, by target.
        trust: Factor in 0..1 of the weight of corners in the loss.
    """

    motions: Motions
    corners: Mapping[FramePlace, Points]
    trust: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedEstimate(Estimate):
    """Motion of the targets that can be trusted.

    Attributes:
        left_out: Number of other targets by reason: "lost" (too few corners agree), "turning" (no
            clear translation), "odd" (an unusual length).
    """

    left_out: Counter[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedMotion:
    """Motion by pairs and over windows, before it is judged."""

    pairs: Mapping[Pair, PairMotion]
    windows: Windows


def find_pair_motions(
    frames: VideoTargetFrames, depths: Iterable[AnyPlane], progress: Progress | None = None
) -> dict[Pair, PairMotion]:
    """Estimate the motion from each target to each of its sources.

    ``depths`` are those of the targets, in units that are about the same.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    motions: dict[Pair, PairMotion] = {}
    for done, (target, depth) in enumerate(zip(frames.targets, depths, strict=True), start=1):
        target_frame, K = grey(frames.frame_of(target.place)), frames.K_of(target)
        for source in target.sources:
            tracks = track_corners(target_frame, grey(frames.frame_of(source)), TRACKING)
            motions[target.place, source] = motion_of_tracks(tracks, depth, K)
        if progress is not None:
            progress(done, len(frames))
    return motions


def find_pair_and_window_motions(
    frames: VideoTargetFrames, depths: Iterable[AnyPlane], progress: Progress | None = None
) -> EstimatedMotion:
    """Estimate motion by pairs and over windows, in one pass over the frames.

    ``depths`` are those of the targets, in units that are about the same.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    tracker = WindowTracker(frames)

    def track_each() -> Iterator[AnyPlane]:
        for target, depth in zip(frames.targets, depths, strict=True):
            tracker.add(target, depth)
            yield depth

    pairs = find_pair_motions(frames, track_each(), progress)
    return EstimatedMotion(pairs=pairs, windows=tracker.estimate_windows())


def mean_corner_error(motions: Iterable[PairMotion]) -> float:
    """Mean relative error of the given depth at triangulated corners; NaN without any."""
    judging = [motion for motion in motions if motion.judges]
    if not judging:
        return math.nan
    total = sum(motion.depth_error * motion.judges for motion in judging)
    return total / sum(motion.judges for motion in judging)


def corner_trust(targets: Sequence[Target], motions: Mapping[Pair, PairMotion]) -> float:
    """Factor in 0..1 of the weight of corners, by the motions of pairs.

    The error of triangulated depth follows from how much the sources of a target disagree; see
    ``_trust_from_errors``. It is 1 where nothing can be compared.
    """
    differences = [np.zeros(0)]
    for target in targets:
        corners = [motions[target.place, source].corners for source in sorted(target.sources)]
        differences += [
            _relative_depth_differences(first, second)
            for first, second in itertools.combinations(corners, 2)
        ]
    disagreement = _mean_or_nan(np.concatenate(differences))

    depth_error = mean_corner_error(
        motions[target.place, source] for target in targets for source in target.sources
    )
    if math.isnan(disagreement) or math.isnan(depth_error):
        return 1.0
    triangulation_error = math.hypot(disagreement, _SHARED_PAIR_ERROR)
    return _trust_from_errors(triangulation_error, depth_error)


def _relative_depth_differences(
    first: Triangulated, second: Triangulated
) -> Float64[np.ndarray, "m"]:
    """Relative differences of depth at the corners of a target that two sources see."""
    _, i, j = np.intersect1d(_corner_keys(first), _corner_keys(second), return_indices=True)
    parallax = np.minimum(first.parallax[i], second.parallax[j])
    return depth_errors(first.depth[i] / second.depth[j], parallax)


def _corner_keys(corners: Triangulated) -> np.ndarray:
    """Positions x + iy, which are equal for the same corner of a target, whatever the source."""
    return corners.places.round(3) @ [1, 1j]


def _trust_from_errors(triangulation_error: float, total_error: float) -> float:
    """Share by which triangulated depth errs less than given depth, in 0..1.

    Given depth is compared with triangulated depth, so ``total_error`` contains the errors of both:
    given depth itself errs by √(total² - triangulation²).
    """
    if triangulation_error >= total_error:
        return 0.0
    given_error = math.sqrt(total_error**2 - triangulation_error**2)
    return max(0.0, 1 - triangulation_error / given_error)


def select_trusted_motions(
    targets: Sequence[Target], estimates: Mapping[Pair, PairMotion], windows: Windows | None = None
) -> TrustedEstimate:
    """Select the targets whose motions can be trusted, at one scale along each sequence.

    A target has the motion over its window, or if that cannot be trusted, the motion of its pairs.
    """
    window_of = {} if windows is None else windows.targets
    median_length = _median_length(estimates.values(), window_of.values())

    motions: dict[Pair, Transform] = {}
    corners: dict[FramePlace, Points] = {}
    left_out: Counter[str] = Counter()
    for target in targets:
        pairs = {source: estimates[target.place, source] for source in target.sources}
        window = window_of.get(target.place)
        window_motions = _trusted_window_motions(pairs, window, median_length)
        pair_fault = _reason_to_leave_out(pairs.values(), median_length)
        if window is not None and window_motions is not None:
            by_source = window_motions
            corners[target.place] = np.column_stack([window.points.places, window.points.depth])
        elif pair_fault is None:
            by_source = {source: pair.source_T_target for source, pair in pairs.items()}
            corners[target.place] = _merge_corners([pair.corners for pair in pairs.values()])
        else:
            by_source = {}
            left_out[pair_fault] += 1
        motions |= {(target.place, source): motion for source, motion in by_source.items()}

    trusted = [target for target in targets if target.place in corners]
    return TrustedEstimate(
        motions=unify_scales(motions),
        corners=corners,
        trust=_trust_by_windows_or_pairs(trusted, estimates, windows),
        left_out=left_out,
    )


def _median_length(pairs: Iterable[PairMotion], windows: Iterable[WindowMotion]) -> float:
    """Usual length of a translation; NaN if nothing travels.

    Pairs tell it alone if enough of them travel. Otherwise the windows tell it with them.
    """
    lengths = [_translation_length(pair) for pair in pairs if pair.travels]
    if len(lengths) < _MIN_RATIOS:
        lengths += [_length(motion) for window in windows for motion in window.motions.values()]
    return float(np.median(lengths)) if lengths else math.nan


def _trust_by_windows_or_pairs(
    targets: Sequence[Target], motions: Mapping[Pair, PairMotion], windows: Windows | None
) -> float:
    if windows is None or math.isnan(windows.error) or math.isnan(windows.given_error):
        return corner_trust(targets, motions)
    triangulation_error = math.hypot(windows.error, _SHARED_WINDOW_ERROR)
    return _trust_from_errors(triangulation_error, windows.given_error)


def _trusted_window_motions(
    pairs: Mapping[FramePlace, PairMotion], window: WindowMotion | None, median_length: float
) -> dict[FramePlace, Transform] | None:
    """Motion of a target to all its sources; None unless all can be trusted."""
    # A parallax that is NaN is none.
    if window is None or not window.parallax >= _MIN_PARALLAX:
        return None

    motions: dict[FramePlace, Transform] = {}
    for source, pair in pairs.items():
        motion = _motion_in_unit_of_window(source, pair, window, median_length)
        if motion is None or not _has_usual_length(_length(motion), median_length):
            return None
        motions[source] = motion
    return motions


def _motion_in_unit_of_window(
    source: FramePlace, pair: PairMotion, window: WindowMotion, median_length: float
) -> Transform | None:
    """Motion over the window, or if it does not hold the source, of the pair; None if unknown."""
    if source in window.motions:
        return window.motions[source]
    if _reason_to_leave_out([pair], median_length) is not None:
        return None
    factor = window.unit_factor(pair.corners)
    return None if math.isnan(factor) else _scale_translation(pair.source_T_target, factor)


def _reason_to_leave_out(pairs: Iterable[PairMotion], median_length: float) -> str | None:
    """Why a target with these motions is left out, see ``TrustedEstimate``; None if it is not."""
    pairs = list(pairs)
    if not all(pair.known for pair in pairs):
        return "lost"
    if not all(pair.travels and pair.direction_error < _MAX_DIRECTION_ERROR for pair in pairs):
        return "turning"
    if not all(_has_usual_length(_translation_length(pair), median_length) for pair in pairs):
        return "odd"
    return None


def _has_usual_length(length: float, median_length: float) -> bool:
    """Whether a translation is neither far longer nor far shorter than the others."""
    return _MIN_RELATIVE_LENGTH * median_length < length < _MAX_RELATIVE_LENGTH * median_length


def _translation_length(pair: PairMotion) -> float:
    return _length(pair.source_T_target)


def _length(motion: Transform) -> float:
    return float(np.linalg.norm(motion[:3, 3]))


def _scale_translation(motion: Transform, factor: float) -> Transform:
    scaled = motion.copy()
    scaled[:3, 3] *= factor
    return scaled


def _merge_corners(corners: Sequence[Triangulated]) -> Points:
    """Columns x, y, depth of a target's corners: means over sources, by squared parallax."""
    all_places = np.concatenate([source.places for source in corners])
    log_depths = np.log(np.concatenate([source.depth for source in corners]))
    weights = np.concatenate([source.parallax for source in corners]) ** 2

    # A corner is at the same position for all sources.
    places, corner_index = np.unique(all_places.round(3), axis=0, return_inverse=True)
    corner_index = corner_index.ravel()
    total_weight = np.bincount(corner_index, weights, len(places))
    total_log_depth = np.bincount(corner_index, weights * log_depths, len(places))
    return np.column_stack([places, np.exp(total_log_depth / total_weight)])


def unify_scales(motions: Motions) -> dict[Pair, Transform]:
    """Bring motions to one scale along each sequence.

    Afterwards the motions of two targets that are sources of each other have the same length, up to
    a weak pull towards the scale that each of them had. The order of the motions, and that of the
    sources of a target, make no difference.
    """
    places = sorted({target for target, _ in motions})
    index_of = {place: index for index, place in enumerate(places)}
    links = []
    for target, source in sorted(motions):
        log_ratio = _log_length_ratio(motions, target, source)
        if target < source and log_ratio is not None:
            links.append(
                ScaleLink(first=index_of[target], second=index_of[source], log_ratio=log_ratio)
            )
    factors = np.exp(linked_log_scales(len(places), links))
    return {
        (target, source): _scale_translation(motion, float(factors[index_of[target]]))
        for (target, source), motion in motions.items()
    }


def _log_length_ratio(motions: Motions, target: FramePlace, source: FramePlace) -> float | None:
    """Log of the length from ``target`` to ``source`` over that of the way back, if both exist."""
    forward, backward = motions.get((target, source)), motions.get((source, target))
    if forward is None or backward is None:
        return None
    forward_length, backward_length = _length(forward), _length(backward)
    if not (0 < forward_length < math.inf and 0 < backward_length < math.inf):
        return None
    return math.log(forward_length / backward_length)


def read_training_motions(run: Path) -> Motions:
    """Read the motions of a run's training targets; empty if none were estimated."""
    path = run / MOTION_FOLDER / f"{TRAINING}.npz"
    return read_estimate(path).motions if path.is_file() else {}


def write_estimate(path: Path, estimate: Estimate) -> None:
    """Write motions, corners and trust to an ``.npz`` file, which ``read_estimate`` reads.

    Members: ``places`` (target sequence, target frame, source sequence, source frame) and
    ``source_T_target`` of each pair; ``corner_counts`` (sequence, frame, number of corners) of each
    target, ``corners`` of all targets one after another, and ``trust``.
    """
    make_folder(path.parent)
    corners = estimate.corners
    places = np.array([[*target, *source] for target, source in estimate.motions], np.int64)
    counts = np.array([[*place, len(points)] for place, points in corners.items()], np.int64)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            places=places.reshape(-1, 4),
            source_T_target=np.array(list(estimate.motions.values())).reshape(-1, 4, 4),
            corner_counts=counts.reshape(-1, 3),
            corners=np.concatenate([*corners.values(), np.zeros((0, 3))]).astype(np.float32),
            trust=np.float64(estimate.trust),
        )


class _StoredArrays(NamedTuple):
    """Arrays of a file of motions; see ``write_estimate``."""

    places: np.ndarray
    source_T_target: np.ndarray
    corner_counts: np.ndarray
    corners: np.ndarray
    trust: float

    def check(self) -> None:
        """Raise ``ValueError`` for arrays that ``write_estimate`` cannot have written."""
        self._check_shapes()
        self._check_places()
        self._check_numbers()

    def _check_shapes(self) -> None:
        tables = (self.places, self.source_T_target, self.corner_counts, self.corners)
        shapes = [table.shape[1:] for table in tables]
        is_shaped = shapes == [(4,), (4, 4), (3,), (3,)]
        if not is_shaped or len(self.places) != len(self.source_T_target):
            raise ValueError(f"shapes {shapes}")
        kinds = [array.dtype.kind for array in (self.places, self.corner_counts)]
        if kinds != ["i", "i"] or self.source_T_target.dtype.kind != "f":
            raise ValueError("places and counts are whole numbers")

    def _check_places(self) -> None:
        if (self.places < 0).any() or (self.corner_counts < 0).any():
            raise ValueError("places and counts are not negative")
        if self.corner_counts[:, 2].sum() != len(self.corners):
            raise ValueError(
                f"counts of {self.corner_counts[:, 2].sum()} corners, "
                f"expected those of {len(self.corners)}"
            )
        for rows in (self.places, self.corner_counts[:, :2]):
            if len(np.unique(rows, axis=0)) != len(rows):
                raise ValueError("two entries of one place")

    def _check_numbers(self) -> None:
        if not 0 <= self.trust <= 1:
            raise ValueError(f"a trust of {self.trust:g}, expected 0 to 1")
        if not _are_rigid(self.source_T_target):
            raise ValueError("motions that are not a rotation and a translation")
        if not np.isfinite(self.corners).all() or (self.corners[:, 2] <= 0).any():
            raise ValueError("corners without a place or a positive depth")


def _are_rigid(transforms: Transforms) -> bool:
    """Whether all transforms are finite, rotate without stretching or mirroring, and translate."""
    if not np.isfinite(transforms).all():
        return False
    R, last_row = transforms[:, :3, :3], transforms[:, 3]
    is_orthonormal = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)) < _MAX_ROTATION_ERROR
    has_last_row = (last_row == [0, 0, 0, 1]).all()
    return bool(is_orthonormal.all() and (np.linalg.det(R) > 0).all() and has_last_row)


def read_estimate(path: Path) -> Estimate:
    """Read motions, corners and trust, as ``write_estimate`` stores them.

    Raises:
        InputError: If the file is broken or something else.
    """
    check_regular(path)
    try:
        stored = _load_arrays(path)
        stored.check()
    except BROKEN_FILE as error:
        raise InputError(f"{printable(path)}: no motions of a run: {reason(error)}") from error

    motions = {}
    for place, matrix in zip(stored.places.tolist(), stored.source_T_target, strict=True):
        motions[FramePlace(*place[:2]), FramePlace(*place[2:])] = matrix

    corners, start = {}, 0
    for sequence, frame, count in stored.corner_counts.tolist():
        corners[FramePlace(sequence, frame)] = stored.corners[start : start + count]
        start += count
    return Estimate(motions=motions, corners=corners, trust=stored.trust)


def _load_arrays(path: Path) -> _StoredArrays:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return _StoredArrays(
            trust=float(npz_member(stored, "trust")),
            places=npz_member(stored, "places"),
            source_T_target=npz_member(stored, "source_T_target"),
            corner_counts=npz_member(stored, "corner_counts"),
            corners=npz_member(stored, "corners").astype(np.float64),
        )
