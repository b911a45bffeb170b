"""Motion between targets and their sources by geometry, over windows and by pairs.

Sources lie a stride away, so that a clip falls apart into chains. Frames beside each other, of
different chains, tell by how much depth errs.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rilievo.data.clips.bundle_adjustment import PointDepths, chained_log_scales
from rilievo.data.clips.clip_motion import ClipMotion, ClipTracker
from rilievo.data.clips.pair_motion import (
    TRACKING,
    PairMotion,
    Triangulated,
    depth_errors,
    motion_of_tracks,
)
from rilievo.data.clips.tracks import Tracking, grey, rays_at, track_corners, track_positions
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import check_regular, printable, reason
from rilievo.io.numbers import npz_member
from rilievo.shapes import AnyPlane, Float64, Matrix, Points, Positions, Transform, Values
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace, Target

_FOLLOWING = Tracking(corners=800, quality=0.005, apart=4, comes_back=0.3)
"""Twice the corners of trajectories: directions in five clips were up to 11.8 degrees off, and 12.7
with half as many."""
_SURE = 0.1
"""Largest standard error of log depth of a point."""
_FEWEST = 20
_SAME = 1.0
"""Largest distance between the same point in two chains [px]."""
_FEWEST_SAME = 10
_BESIDE = 3


@frozen
class WindowMotion:
    """Motion of one target, in the unit of its chain; ``parallax`` is in pixels."""

    motions: Mapping[FramePlace, Transform]
    parallax: float
    points: PointDepths

    def corner_unit_factor(self, points: Triangulated) -> float:
        """Factor from the unit of corners to the chain's; NaN without enough."""
        if not len(points.depth):
            return math.nan
        nearest = _nearest_points(points.places, self.points.places)
        ratios = self.points.depth[nearest.index] / points.depth
        same = nearest.distance < _SAME
        return float(np.median(ratios[same])) if same.sum() >= _FEWEST_SAME else math.nan


@frozen
class Windows:
    """Motion of targets over windows.

    Attributes:
        error: Mean relative error of depth by chains that know nothing of each other.
        given_error: The same of given depth.
    """

    targets: Mapping[FramePlace, WindowMotion]
    error: float
    given_error: float


@dataclass(slots=True)
class _Chain:
    K: Matrix
    tracker: ClipTracker
    targets: list[Target] = field(default_factory=list)


class WindowTracker:
    """Tracker of points through the chains of targets."""

    def __init__(self, frames: VideoTargetFrames) -> None:
        self._frames = frames
        self._chains: list[_Chain] = []
        self._open: dict[FramePlace, _Chain] = {}

    def add(self, target: Target, depth: AnyPlane) -> None:
        """Add the next target; raises ``MissingExtraError`` without OpenCV."""
        if any(source.sequence != target.place.sequence for source in target.sources):
            return
        before = [source for source in target.sources if source < target.place]
        chain = self._open.pop(max(before), None) if before else None
        if chain is None:
            K = self._frames.K_of(target)
            chain = _Chain(K=K, tracker=ClipTracker(K, _FOLLOWING))
            self._chains.append(chain)
        chain.tracker.add(self._frames.frame_of(target.place), depth)
        chain.targets.append(target)
        self._open[target.place] = chain

    def estimate_windows(self) -> Windows:
        """Motion of targets with enough points, and errors of depth."""
        motions: dict[FramePlace, WindowMotion] = {}
        chain_of: dict[FramePlace, int] = {}
        for number, chain in enumerate(self._chains):
            here = _window_motions(chain, chain.tracker.motion())
            motions |= here
            chain_of |= dict.fromkeys(here, number)
        errors = [
            error
            for one, other in itertools.pairwise(sorted(motions))
            if chain_of[one] != chain_of[other] and other.frame - one.frame <= _BESIDE
            for error in self._relative_depth_differences(one, other, motions)
        ]
        model_errors = [
            error
            for motion in motions.values()
            for error in _deviations_from_median(motion.points.given / motion.points.depth).tolist()
        ]
        return Windows(
            targets=motions,
            # Both frames err; the mean error of one of them is smaller by the root of two.
            error=float(np.mean(errors)) / math.sqrt(2) if errors else math.nan,
            given_error=float(np.mean(model_errors)) if model_errors else math.nan,
        )

    def _relative_depth_differences(
        self, one: FramePlace, other: FramePlace, motions: Mapping[FramePlace, WindowMotion]
    ) -> list[float]:
        if one.sequence != other.sequence:
            return []
        frames = [grey(self._frames.frame_of(place)) for place in (one, other)]
        here, there = motions[one].points, motions[other].points
        moved, back = track_positions(frames[0], frames[1], here.places, TRACKING)
        nearest = _nearest_points(moved, there.places)
        same = back & (nearest.distance < _SAME)
        return _deviations_from_median(here.depth[same] / there.depth[nearest.index[same]]).tolist()


class _NearestPoints(NamedTuple):
    index: Indices
    distance: Values


def _nearest_points(places: Positions, others: Float64[np.ndarray, "m 2"]) -> _NearestPoints:
    distances = np.linalg.norm(places[:, None] - others[None], axis=2)
    return _NearestPoints(index=distances.argmin(axis=1), distance=distances.min(axis=1))


def _window_motions(chain: _Chain, motion: ClipMotion) -> dict[FramePlace, WindowMotion]:
    places = {target.place: index for index, target in enumerate(chain.targets)}
    motions = {}
    for index, target in enumerate(chain.targets):
        points = _points_of_small_error(motion.points[index])
        near = {
            source: motion.cam_T_world[places[source]] @ invert(motion.cam_T_world[index])
            for source in target.sources
            if source in places and motion.parts[places[source]] == motion.parts[index]
        }
        if near and len(points.depth) >= _FEWEST:
            motions[target.place] = WindowMotion(
                motions=near,
                parallax=min(
                    _median_parallax(points, transform, chain.K) for transform in near.values()
                ),
                points=points,
            )
    return motions


def _points_of_small_error(points: PointDepths) -> PointDepths:
    sure = points.doubt < _SURE
    return replace(
        points,
        places=points.places[sure],
        depth=points.depth[sure],
        given=points.given[sure],
        doubt=points.doubt[sure],
    )


def _median_parallax(points: PointDepths, motion: Transform, K: Matrix) -> float:
    rays = rays_at(points.places, K) @ motion[:3, :3].T
    moved = rays * points.depth[:, None] + motion[:3, 3]
    ends, starts = (vectors[:, :2] / np.maximum(vectors[:, 2:], 1e-6) for vectors in (moved, rays))
    return float(np.median(np.linalg.norm((ends - starts) * K[[0, 1], [0, 1]], axis=1)))


def _deviations_from_median(ratio: Values) -> Float64[np.ndarray, "m"]:
    """|ratio / median - 1|, at most 1; none of fewer than 10."""
    ratios = ratio[np.isfinite(ratio)]
    if len(ratios) < _FEWEST_SAME:
        return np.zeros(0)
    return np.minimum(np.abs(ratios / np.median(ratios) - 1), 1)


_SHORTEST, _LONGEST = 0.1, 5.0
"""Limits of the length of a motion, as shares of the median."""

_STEADY = 10.0
"""Largest standard error of a direction [degrees]."""

_SHARED_ERROR = 0.05
"""Relative error that both sources share, of 0.02 to 0.08 in real and rendered rooms."""

_WINDOW_ERROR = 0.04
"""The same over windows, of 0.01 to 0.07."""

_LEAST_PARALLAX = 1.0

Pair = tuple[FramePlace, FramePlace]
"""Places of a target and of its source."""


Motions = Mapping[Pair, Transform]
"""``source_T_target`` by the places of target and source."""
FOLDER = "motions"
FIRST = "training"
"""Name of the file of the training targets."""


@frozen
class Estimate:
    """Motion of targets by geometry.

    Attributes:
        corners: x [px], y [px] and depth up to one factor a target.
        trust: Factor in 0..1 of the weight of corners.
    """

    motions: Motions
    corners: Mapping[FramePlace, Points]
    trust: float = 1.0


@frozen
class TrustedEstimate(Estimate):
    """Motion that can be trusted, and why other targets are left out.

    Attributes:
        left_out: Numbers: "lost" (few corners agree), "turning" (no travel), "odd" (an unusual
            length).
    """

    left_out: Counter[str]


def find_pair_motions(
    frames: VideoTargetFrames,
    depths: Iterable[AnyPlane],
    progress: Callable[[int, int], None] | None = None,
) -> dict[Pair, PairMotion]:
    """Estimate the motion from each target to each of its sources.

    ``depths`` are in units that are about the same.
    """
    motions: dict[Pair, PairMotion] = {}
    for done, (target, depth) in enumerate(zip(frames.targets, depths, strict=True), start=1):
        now, K = grey(frames.frame_of(target.place)), frames.K_of(target)
        for source in target.sources:
            tracks = track_corners(now, grey(frames.frame_of(source)), TRACKING)
            motions[target.place, source] = motion_of_tracks(tracks, depth, K)
        if progress is not None:
            progress(done, len(frames))
    return motions


@frozen
class EstimatedMotion:
    """Motion by pairs and over windows, before it is judged."""

    pairs: Mapping[Pair, PairMotion]
    windows: Windows


def find_pair_and_window_motions(
    frames: VideoTargetFrames,
    depths: Iterable[AnyPlane],
    progress: Callable[[int, int], None] | None = None,
) -> EstimatedMotion:
    """Estimate motion by pairs and over windows."""
    tracker = WindowTracker(frames)

    def track_and_yield() -> Iterator[AnyPlane]:
        for target, depth in zip(frames.targets, depths, strict=True):
            tracker.add(target, depth)
            yield depth

    pairs = find_pair_motions(frames, track_and_yield(), progress)
    return EstimatedMotion(pairs=pairs, windows=tracker.estimate_windows())


def mean_corner_error(motions: Iterable[PairMotion]) -> float:
    """Mean error of depth at triangulated corners; NaN without any."""
    pairs = [pair for pair in motions if pair.judges]
    corners = sum(pair.judges for pair in pairs)
    errors = sum(pair.depth_error * pair.judges for pair in pairs)
    return errors / corners if corners else math.nan


def corner_trust(targets: Sequence[Target], motions: Mapping[Pair, PairMotion]) -> float:
    """Factor in 0..1 of the weight of corners: the share by which they err less than given depth.

    Given depth errs by √(d² - e²), e the error of triangulation and d ``mean_corner_error``.
    """
    errors = [np.zeros(0)]
    for target in targets:
        first, *others = (motions[target.place, source].corners for source in target.sources)
        for other in others:
            # Corners of a target are at the same places for all its sources.
            here, there = (item.places.round(3) @ [1, 1j] for item in (first, other))
            _, one, two = np.intersect1d(here, there, return_indices=True)
            parallax = np.minimum(first.parallax[one], other.parallax[two])
            errors.append(depth_errors(first.depth[one] / other.depth[two], parallax))
    scatter = np.concatenate(errors)
    apart = mean_corner_error(
        motions[item.place, source] for item in targets for source in item.sources
    )
    if not len(scatter) or math.isnan(apart):
        return 1.0
    return _weight_by_errors(math.hypot(float(scatter.mean()), _SHARED_ERROR), apart)


def _weight_by_errors(e: float, d: float) -> float:
    """Weight 1 - e / √(d² - e²), at least 0."""
    return max(0.0, 1 - e / math.sqrt(d**2 - e**2)) if e < d else 0.0


def select_trusted_motions(
    targets: Sequence[Target], estimates: Mapping[Pair, PairMotion], windows: Windows | None = None
) -> TrustedEstimate:
    """Keep the targets whose motions can be trusted, at one scale along each sequence."""
    over = {} if windows is None else windows.targets
    lengths = [_translation_length(item) for item in estimates.values() if item.travels]
    middle = float(np.median(lengths)) if lengths else math.nan
    counts: Counter[str] = Counter()
    motions: dict[Pair, Transform] = {}
    corners: dict[FramePlace, Points] = {}
    for target in targets:
        pairs = {
            (target.place, source): estimates[target.place, source] for source in target.sources
        }
        window = over.get(target.place)
        long = _trusted_window_motions(target, pairs, window, middle)
        if window is not None and long is not None:
            points = window.points
            motions |= long
            corners[target.place] = np.column_stack([points.places, points.depth])
            continue
        why = _reason_for_doubt(list(pairs.values()), middle)
        if why:
            counts[why] += 1
        else:
            motions |= {pair: item.source_T_target for pair, item in pairs.items()}
            corners[target.place] = _merge_corners([item.corners for item in pairs.values()])
    return TrustedEstimate(
        motions=unify_scales(motions),
        corners=corners,
        trust=_trust_by_windows_or_pairs(
            [item for item in targets if item.place in corners], estimates, windows
        ),
        left_out=counts,
    )


def _trust_by_windows_or_pairs(
    targets: Sequence[Target], motions: Mapping[Pair, PairMotion], windows: Windows | None
) -> float:
    if windows is None or not math.isfinite(windows.error + windows.given_error):
        return corner_trust(targets, motions)
    return _weight_by_errors(math.hypot(windows.error, _WINDOW_ERROR), windows.given_error)


def _trusted_window_motions(
    target: Target,
    pairs: Mapping[Pair, PairMotion],
    window: WindowMotion | None,
    middle: float,
) -> dict[Pair, Transform] | None:
    """Motion to all sources; None unless all can be trusted."""
    if window is None or window.parallax < _LEAST_PARALLAX:
        return None
    motions: dict[Pair, Transform] = {}
    for source in target.sources:
        pair = pairs[target.place, source]
        if source in window.motions:
            motions[target.place, source] = window.motions[source]
        elif _reason_for_doubt([pair], middle) or math.isnan(
            unit := window.corner_unit_factor(pair.corners)
        ):
            return None
        else:
            motions[target.place, source] = _scale_translation(pair.source_T_target, unit)
    usual = all(_is_usual_length(float(np.linalg.norm(T[:3, 3])), middle) for T in motions.values())
    return motions if usual else None


def _merge_corners(points: Sequence[Triangulated]) -> Points:
    """Columns x, y, depth: means over sources, weighted by parallax."""
    every = np.concatenate([source.places for source in points])
    logs = np.log(np.concatenate([source.depth for source in points]))
    weights = np.concatenate([source.parallax for source in points]) ** 2
    # Corners of a target are at the same places for all its sources.
    places, which = np.unique(every.round(3), axis=0, return_inverse=True)
    total = np.bincount(which.ravel(), weights, len(places))
    depth = np.exp(np.bincount(which.ravel(), weights * logs, len(places)) / total)
    return np.column_stack([places, depth])


def unify_scales(motions: Motions) -> dict[Pair, Transform]:
    """Bring motions to one scale along each sequence.

    Where two targets are sources of each other, both motions have the same length.
    """
    later = {target: source for target, source in motions if source > target}
    begins = sorted(set(later) - {source for target, source in later.items() if source in later})
    factors: dict[FramePlace, float] = {}
    for place in begins:
        row = [place]
        while row[-1] in later and later[row[-1]] in later:
            row.append(later[row[-1]])
        steps = [
            math.nan,
            *(_log_length_ratio(motions, one, other) for one, other in itertools.pairwise(row)),
        ]
        logs = chained_log_scales(steps)
        factors |= {
            frame_place: math.exp(log) for frame_place, log in zip(row, logs.tolist(), strict=True)
        }
    return {
        pair: _scale_translation(motion, factors.get(pair[0], 1.0))
        for pair, motion in motions.items()
    }


def _scale_translation(motion: Transform, factor: float) -> Transform:
    moved = motion.copy()
    moved[:3, 3] *= factor
    return moved


def _log_length_ratio(motions: Motions, earlier: FramePlace, later: FramePlace) -> float:
    there, back = motions.get((earlier, later)), motions.get((later, earlier))
    if there is None or back is None:
        return math.nan
    one, other = float(np.linalg.norm(there[:3, 3])), float(np.linalg.norm(back[:3, 3]))
    return math.log(one / other) if min(one, other) > 0 else math.nan


def _reason_for_doubt(pairs: Sequence[PairMotion], middle: float) -> str:
    """Reason, such as ``turning``; empty for trusted motion."""
    if not all(pair.known for pair in pairs):
        return "lost"
    if not all(pair.travels and pair.direction_error < _STEADY for pair in pairs):
        return "turning"
    return (
        "" if all(_is_usual_length(_translation_length(pair), middle) for pair in pairs) else "odd"
    )


def _is_usual_length(length: float, middle: float) -> bool:
    return _SHORTEST * middle < length < _LONGEST * middle


def _translation_length(motion: PairMotion) -> float:
    return float(np.linalg.norm(motion.source_T_target[:3, 3]))


def read_training_motions(run: Path) -> Motions:
    """Read the motions of the training targets; none without an estimate."""
    path = run / FOLDER / f"{FIRST}.npz"
    return read_estimate(path).motions if path.is_file() else {}


def write_estimate(path: Path, estimate: Estimate) -> None:
    """Write motions and corners."""
    make_folder(path.parent)
    corners = estimate.corners
    places = np.array([[*target, *source] for target, source in estimate.motions], np.int64)
    counts = np.array([[*place, len(corner)] for place, corner in corners.items()], np.int64)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            places=places.reshape(-1, 4),
            source_T_target=np.array(list(estimate.motions.values())).reshape(-1, 4, 4),
            corner_counts=counts.reshape(-1, 3),
            corners=np.concatenate([*corners.values(), np.zeros((0, 3))]).astype(np.float32),
            trust=np.float64(estimate.trust),
        )


def read_estimate(path: Path) -> Estimate:
    """Read motions and corners."""
    check_regular(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            places, matrices = npz_member(stored, "places"), npz_member(stored, "source_T_target")
            counts, corners = npz_member(stored, "corner_counts"), npz_member(stored, "corners")
            trust, corners = float(npz_member(stored, "trust")), corners.astype(np.float64)
        shapes = [array.shape[1:] for array in (places, matrices, counts, corners)]
        if shapes != [(4,), (4, 4), (3,), (3,)] or len(places) != len(matrices):
            raise ValueError(f"shapes {shapes}")
        if [array.dtype.kind for array in (places, counts, matrices)] != ["i", "i", "f"]:
            raise ValueError("places and counts are whole numbers")
    except BROKEN_FILE as error:
        raise InputError(f"{printable(path)}: no motions of a run: {reason(error)}") from error
    ends = np.cumsum(counts[:, 2]).tolist()
    return Estimate(
        motions={
            (FramePlace(*map(int, row[:2])), FramePlace(*map(int, row[2:]))): matrix
            for row, matrix in zip(places, matrices, strict=True)
        },
        corners={
            FramePlace(int(sequence), int(frame)): corners[end - count : end]
            for (sequence, frame, count), end in zip(counts, ends, strict=True)
        },
        trust=trust,
    )
