"""Frames of a run, from footage on disk: decode, measure motion, find sources, hold some out."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Matrix, Size
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.pose_files import read_poses_of_files
from rilievo.data.clips.sequences import Clip, sequence_undistortion
from rilievo.data.clips.sources import list_sequences
from rilievo.data.clips.undistortion import shrink_mask
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.training.video.frames.frame_store import (
    FrameStore,
    Progress,
    allocated_bytes,
    cache_files,
    open_store,
)
from rilievo.training.video.frames.image_motion import (
    LARGEST_STRIDE,
    MovingFrames,
    find_moving_frames,
    stride_for_parallax,
)
from rilievo.training.video.frames.target_frames import OpenClip, VideoFrames, VideoTargetFrames
from rilievo.training.video.frames.targets import (
    OTHER_EYE,
    FramePlace,
    Neighbours,
    SequenceTargets,
    Target,
    has_all_frames,
    split_targets,
)

_MONODEPTH2_CAMERA = (0.58, 1.92, 0.5, 0.5)
"""fx and cx of KITTI as shares of the width, fy and cy of the height (Godard et al. 2019)."""
_MIN_PARALLAX = 0.1
"""Median parallax below which a camera only rotates [px at a width of 640]."""
_MAX_BROKEN_NOTES = 10
"""Broken frames that have a note of their own."""


@dataclass(slots=True, kw_only=True)
class OpeningState:
    """What is gathered while the frames of a run are opened.

    Attributes:
        data: Options of the footage.
        size: Training size, (height, width) [px].
        offsets: Offsets of the sources in time; ``OTHER_EYE`` for the other camera.
        cache: Folder of decoded frames.
        progress: Function that is told about each decoded frame.
        source_pyramids: Whether sources are compared at coarser scales.
        notes: Notes for the user.
        broken: Broken frames.
        moving: Measured motion, by the index of the sequence.
        runs: Indices of frames that follow one another, by the index of the sequence.
    """

    data: VideoData
    size: Size
    offsets: tuple[int, ...]
    cache: Path
    progress: Progress | None
    source_pyramids: bool = False
    notes: list[str] = field(default_factory=list)
    broken: set[FramePlace] = field(default_factory=set)
    moving: dict[int, MovingFrames] = field(default_factory=dict)
    runs: dict[int, Sequence[Sequence[int]]] = field(default_factory=dict)


def open_frames(
    data: VideoData,
    *,
    size: tuple[int, int],
    offsets: tuple[int, ...],
    cache: Path,
    progress: Progress | None = None,
    source_pyramids: bool = False,
) -> VideoFrames:
    """Decode the frames of a run, find targets with their sources, and hold some out.

    Frames that hardly moved are skipped, sequences end at scene cuts, and the stride is chosen by
    the motion.

    Args:
        data: Options of the footage.
        size: Training size, (height, width) [px].
        offsets: Offsets of the sources in time, in strides.
        cache: Folder of decoded frames.
        progress: Function that is told about each decoded frame.
        source_pyramids: Whether sources are compared at coarser scales.

    Raises:
        InputError: If the footage cannot be used.
    """
    opening = OpeningState(
        data=data,
        size=size,
        offsets=offsets_of_all_sources(data, offsets),
        cache=cache,
        progress=progress,
        source_pyramids=source_pyramids,
    )
    sequences = list_sequences(data)
    stores: dict[int, FrameStore] = {}
    for index, sequence in enumerate(sequences):
        # All frames of these must be read before their targets are known.
        if sequence.video is not None or _needs_measured_motion(sequence, data):
            stores[index] = _open_store_and_note_broken(opening, index, sequence, None)

    sequences = [
        _with_frame_numbers(sequence, stores.get(index)) for index, sequence in enumerate(sequences)
    ]
    strides = [
        _set_runs_and_find_stride(opening, index, sequence, stores.get(index))
        for index, sequence in enumerate(sequences)
    ]
    neighbours = Neighbours(sequences, opening.runs)
    target_sets = [
        neighbours.find_targets(index, opening.offsets, stride)
        for index, stride in enumerate(strides)
    ]

    for index, sequence in enumerate(sequences):
        if index not in stores:
            needed = _frame_indices_of_targets(target_sets, index)
            stores[index] = _open_store_and_note_broken(opening, index, sequence, needed)
    _note_broken_and_disk_use(opening, stores.values())
    clips = [
        _make_open_clip(opening, sequence, stores[index], strides[index])
        for index, sequence in enumerate(sequences)
    ]
    return split_into_video_frames(opening, clips, target_sets)


def offsets_of_all_sources(data: VideoData, offsets: tuple[int, ...]) -> tuple[int, ...]:
    """Offsets of the sources in time, if these are used, and ``OTHER_EYE`` for a stereo pair."""
    temporal_offsets = offsets if data.temporal else ()
    return (*temporal_offsets, OTHER_EYE) if data.stereo else temporal_offsets


def _needs_measured_motion(sequence: Clip, data: VideoData) -> bool:
    if not sequence.measured:
        return False
    return data.least_motion > 0 or sequence.stride is None


def _open_store_and_note_broken(
    opening: OpeningState, index: int, sequence: Clip, needed: Sequence[int] | None
) -> FrameStore:
    store = open_store(
        sequence, opening.size, opening.cache, wanted=needed, progress=opening.progress
    )
    for frame, reason in store.broken.items():
        opening.broken.add(FramePlace(index, frame))
        if len(opening.broken) <= _MAX_BROKEN_NOTES:
            opening.notes.append(Note(Text("skipped: ", reason)))
    return store


def _with_frame_numbers(sequence: Clip, frames: FrameStore | None) -> Clip:
    """Number the frames of a video, which are counted by decoding, and read their poses."""
    if sequence.video is None or frames is None:
        return sequence
    names = tuple(Path(f"{index:06d}") for index in range(frames.count))
    poses = None if sequence.poses_file is None else read_poses_of_files(sequence.poses_file, names)
    return replace(sequence, numbers=tuple(range(frames.count)), poses=poses)


def _set_runs_and_find_stride(
    opening: OpeningState, index: int, sequence: Clip, frames: FrameStore | None
) -> int:
    """Find the runs of frames of a sequence, by motion if it is measured, and its stride."""
    if frames is None or not _needs_measured_motion(sequence, opening.data):
        opening.runs[index] = _consecutive_index_runs(sequence.numbers)
        return sequence.stride or 1

    if frames.fault is not None:
        opening.notes.append(frames.fault)
    moving = _read_or_measure_motion(opening, sequence, frames)
    opening.moving[index], opening.runs[index] = moving, moving.runs
    width = opening.size[1]
    stride = sequence.stride
    if stride is None:
        stride = stride_for_parallax(moving.parallax, width, opening.data.parallax)
    opening.notes.extend(motion_notes(sequence, moving, stride, frames.count, width))
    return stride


def _consecutive_index_runs(numbers: Sequence[int]) -> list[list[int]]:
    """Runs of the indices of frames whose numbers follow one another."""
    runs: list[list[int]] = []
    for index, number in enumerate(numbers):
        if not index or number != numbers[index - 1] + 1:
            runs.append([])
        runs[-1].append(index)
    return runs


def _read_or_measure_motion(
    opening: OpeningState, sequence: Clip, frames: FrameStore
) -> MovingFrames:
    """Read the motion of a sequence from the cache, or measure and store it."""
    K, min_motion = training_K(opening, sequence), opening.data.least_motion
    path = cache_files(sequence, opening.size, opening.cache).motion_file(K, min_motion)
    cached = _read_moving_frames_if_valid(path, sequence)
    if cached is not None:
        return cached

    pieces = []
    for run in _consecutive_index_runs(sequence.numbers):
        whole_frames = ((index, frames.frame(index)) for index in run if index not in frames.broken)
        pieces.append(find_moving_frames(whole_frames, K, min_motion=min_motion))
    moving = MovingFrames(
        runs=tuple(run for piece in pieces for run in piece.runs),
        parallaxes=tuple(parallax for piece in pieces for parallax in piece.parallaxes),
        still=sum(piece.still for piece in pieces),
        cuts=sum(piece.cuts for piece in pieces),
        largest=max((piece.largest for piece in pieces), default=0.0),
    )
    with replacing(path) as part:
        part.write_text(to_json(moving), encoding="utf-8")
    return moving


def _read_moving_frames_if_valid(path: Path, sequence: Clip) -> MovingFrames | None:
    """Read stored motion; None if there is none, or if it is not of this sequence."""
    try:
        moving = from_json(MovingFrames, read_text(path))
    except (InputError, NotThisRecord):
        return None
    indices = [index for run in moving.runs for index in run]
    is_in_order = all(first < second for first, second in itertools.pairwise(indices))
    has_parallaxes = all(0 <= parallax < math.inf for parallax in moving.parallaxes)
    has_frames = set(range(len(sequence.numbers))).issuperset(indices)
    return moving if is_in_order and has_parallaxes and has_frames else None


def motion_notes(
    sequence: Clip, moving: MovingFrames, stride: int, count: int, width: int
) -> list[str]:
    """Notes on the motion of a sequence of ``count`` frames that are ``width`` wide [px]."""
    name = printable(sequence.id)
    notes: list[str] = []
    if moving.still or moving.cuts or stride > 1:
        notes.append(
            f"{name}: {moving.still:,} of {count:,} frames stand still and are skipped, "
            f"{moving.cuts} cuts; the stride is {stride} (median parallax "
            f"{moving.parallax:.1f} px a frame)"
        )
    parallax_at_640 = moving.parallax * 640 / width
    if math.isfinite(parallax_at_640) and parallax_at_640 < _MIN_PARALLAX:
        notes.append(
            f"{name}: the camera turns but hardly travels (median parallax {moving.parallax:.2f} "
            f"px a frame), so that {LARGEST_STRIDE} frames apart little depth can be seen"
        )
    return notes


def _frame_indices_of_targets(target_sets: Sequence[SequenceTargets], sequence: int) -> list[int]:
    """Indices of the frames of a sequence that are targets, or sources of any target."""
    places: set[FramePlace] = set()
    for target_set in target_sets:
        for target in target_set.all_targets:
            places.update(target.places)
    return sorted(place.frame for place in places if place.sequence == sequence)


def _note_broken_and_disk_use(opening: OpeningState, stores: Iterable[FrameStore]) -> None:
    if len(opening.broken) > _MAX_BROKEN_NOTES:
        count = len(opening.broken) - _MAX_BROKEN_NOTES
        opening.notes.append(f"skipped: {count:,} more broken frames")
    megabytes = sum(allocated_bytes(store.path) for store in stores) / 1e6
    opening.notes.append(
        f"{printable(opening.cache)}: decoded frames take {megabytes:,.1f} MB there"
    )


def _make_open_clip(
    opening: OpeningState, sequence: Clip, frames: FrameStore, stride: int
) -> OpenClip:
    if sequence.camera.note is not None and not opening.data.published_camera:
        opening.notes.append(sequence.camera.note)
    shift = None if sequence.other_eye is None else sequence.other_eye.shift
    if shift is not None and opening.data.baseline is not None:
        shift = math.copysign(opening.data.baseline, shift)
    return OpenClip(
        sequence=sequence,
        frames=frames,
        K=training_K(opening, sequence),
        valid=valid_pixels(sequence, opening.size),
        shift=shift,
        stride=stride,
    )


def training_K(opening: OpeningState, sequence: Clip) -> Matrix:
    """Intrinsics at the training size [px]: the sequence's own, or those of Monodepth2's code."""
    height, width = opening.size
    if opening.data.published_camera:
        fx, fy, cx, cy = _MONODEPTH2_CAMERA
        return pinhole_K(fx * width, fy * height, cx * width, cy * height)
    return sequence.K_at(opening.size)


def valid_pixels(sequence: Clip, size: Size) -> Mask | None:
    """Pixels of undistorted frames that show a scene, not the car's bonnet; None for all."""
    undistortion = sequence_undistortion(sequence)
    if undistortion is None and not sequence.hood:
        return None
    if undistortion is None:
        valid = np.ones(size, bool)
    else:
        valid = np.array(shrink_mask(undistortion.valid, size))
    valid[math.floor(size[0] * (1 - sequence.hood)) :] = False
    return valid


def split_into_video_frames(
    opening: OpeningState, clips: Sequence[OpenClip], target_sets: Sequence[SequenceTargets]
) -> VideoFrames:
    """Leave out unusable targets, hold some of the others out, and note how many there are.

    Raises:
        InputError: If no target is left to train on.
    """
    usable_sets = [_usable_targets(opening, clips, target_set) for target_set in target_sets]
    split = split_targets(usable_sets, opening.data.held_out, opening.data.held_out_stretches)
    training = split.training[: opening.data.limit]
    if not training:
        raise _error_without_targets(opening, clips, target_sets)

    usable = [target for target_set in usable_sets for target in target_set.all_targets]
    all_count = sum(len(target_set.all_targets) for target_set in target_sets)
    unusable_count = all_count - len(usable)
    lonely_count = sum(target_set.lonely for target_set in target_sets)
    counts = {
        "that stand still": sum(moving.still for moving in opening.moving.values()),
        "without a neighbour on each side": lonely_count,
        "with a broken frame or an unknown pose": unusable_count,
        "next to those held out": split.between,
        "held out": len(split.held_out),
        "beyond the limit": len(split.training) - len(training),
    }
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
    if lonely_count or unusable_count or split.between:
        opening.notes.append(f"{len(training):,} targets; other frames: {left_out}")
    if split.short:
        opening.notes.append(
            f"{_short_clips_text(split.short, len(target_sets))} too short for a held-out stretch "
            "in the middle: only the end is held out, "
            f"{len(split.held_out):,} targets in all; film longer"
        )

    def frames_of(targets: Sequence[Target]) -> VideoTargetFrames:
        frames = VideoTargetFrames(clips, targets, source_pyramids=opening.source_pyramids)
        return frames.with_motion_of_poses() if opening.data.follow_poses else frames

    return VideoFrames(
        training=frames_of(training),
        held_out=frames_of(split.held_out),
        whole=frames_of(sorted(usable, key=lambda target: target.place)),
        offsets=opening.offsets,
        sequences=tuple(clips),
        notes=tuple(opening.notes),
        left_out=left_out,
    )


def _short_clips_text(short: int, count: int) -> str:
    if count == 1:
        return "the footage is"
    return f"{short:,} of {count:,} sequences are"


def _usable_targets(
    opening: OpeningState, clips: Sequence[OpenClip], target_set: SequenceTargets
) -> SequenceTargets:
    """Targets without broken frames, and with the poses that motion follows."""

    def is_usable(target: Target) -> bool:
        if not has_all_frames(target, opening.broken):
            return False
        if not opening.data.follow_poses:
            return True
        clip = clips[target.place.sequence].sequence
        return all(
            target.is_other_eye(source) or clip.motion(source.frame, target.place.frame) is not None
            for source in target.sources
        )

    listed_held_out = target_set.listed_held_out
    if listed_held_out is not None:
        listed_held_out = tuple(filter(is_usable, listed_held_out))
    return SequenceTargets(
        targets=tuple(filter(is_usable, target_set.targets)),
        listed_held_out=listed_held_out,
        lonely=target_set.lonely,
    )


def _error_without_targets(
    opening: OpeningState, clips: Sequence[OpenClip], target_sets: Sequence[SequenceTargets]
) -> InputError:
    """Error that says why no target is left to train on."""
    moving = list(opening.moving.values())
    name = printable(clips[0].sequence.id) if len(clips) == 1 else f"{len(clips)} sequences"
    moving_count = sum(len(run) for motion in moving for run in motion.runs)
    still_count = sum(motion.still for motion in moving)
    if still_count and still_count >= moving_count:
        largest = max(motion.largest for motion in moving)
        return InputError(
            f"{name}: the camera stands still: {still_count:,} of {still_count + moving_count:,} "
            f"frames move less than {opening.data.least_motion:g} px, the most by {largest:.2f} "
            "px; depth is learned from a camera that travels"
        )
    frame_count = sum(clip.frames.count for clip in clips)
    lonely_count = sum(target_set.lonely for target_set in target_sets)
    cut_count = sum(motion.cuts for motion in moving)
    return InputError(
        (
            f"no target is left of {frame_count:,} frames: {lonely_count:,} have no neighbour on "
            f"each side ({cut_count} cuts, {len(opening.broken)} broken frames, offsets "
            f"{','.join(map(str, opening.offsets))})"
        ),
        path=name,
        hint=Text(
            "give more footage, or a smaller ", OptionName("stride"), " or ", OptionName("held_out")
        ),
    )
