"""Frames of a run, from footage on disk: decode, measure motion, find sources, hold out."""

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

_PUBLISHED = (0.58, 1.92, 0.5, 0.5)
"""KITTI's fx and cx as shares of the width, fy and cy of the height (Godard et al. 2019)."""
_LEAST_PARALLAX = 0.1
"""Median parallax [px at a width of 640] below which a camera only rotates."""


@dataclass(slots=True, kw_only=True)
class OpeningState:
    """State that is gathered while frames are opened."""

    data: VideoData
    size: Size
    offsets: tuple[int, ...]
    cache: Path
    progress: Progress | None
    source_pyramids: bool = False
    notes: list[str] = field(default_factory=list)
    gone: set[FramePlace] = field(default_factory=set)
    moving: dict[int, MovingFrames] = field(default_factory=dict)
    runs: dict[int, Sequence[Sequence[int]]] = field(default_factory=dict)


def training_K(opening: OpeningState, sequence: Clip) -> Matrix:
    """Intrinsics at the training size [px]: the clip's, or those of Monodepth2's code."""
    height, width = opening.size
    if opening.data.published_camera:
        fx, fy, cx, cy = _PUBLISHED
        return pinhole_K(fx * width, fy * height, cx * width, cy * height)
    return sequence.K_at(opening.size)


def valid_pixels(sequence: Clip, size: Size) -> Mask | None:
    """Undistorted pixels above the car's bonnet; None for all."""
    how = sequence_undistortion(sequence)
    if how is None and not sequence.hood:
        return None
    valid = np.ones(size, bool) if how is None else np.array(shrink_mask(how.valid, size))
    valid[math.floor(size[0] * (1 - sequence.hood)) :] = False
    return valid


def motion_notes(
    sequence: Clip, moving: MovingFrames, stride: int, count: int, width: int
) -> list[str]:
    """Notes of still frames, cuts, stride, and hardly any travel."""
    name, parallax = printable(sequence.id), moving.parallax * 640 / width
    lines: list[str] = []
    if moving.still or moving.cuts or stride > 1:
        lines.append(
            f"{name}: {moving.still:,} of {count:,} frames stand still and are skipped, "
            f"{moving.cuts} cuts; the stride is {stride} (median parallax "
            f"{moving.parallax:.1f} px a frame)"
        )
    if math.isfinite(parallax) and parallax < _LEAST_PARALLAX:
        lines.append(
            f"{name}: the camera turns but hardly travels (median parallax {moving.parallax:.2f} "
            f"px a frame), so that {LARGEST_STRIDE} frames apart little depth can be seen"
        )
    return lines


def split_into_video_frames(
    opening: OpeningState, opened: Sequence[OpenClip], frames: Sequence[SequenceTargets]
) -> VideoFrames:
    """Leave out unusable targets, hold some out, and note what became of the rest."""
    usable = [_usable_targets(opening, opened, target_set) for target_set in frames]
    parted = split_targets(usable, opening.data.held_out, opening.data.held_out_stretches)
    training = parted.training[: opening.data.limit]
    if not training:
        raise _error_without_targets(opening, opened, frames)
    lonely = sum(target_set.lonely for target_set in frames)
    broken = sum(len(target_set.all_targets) for target_set in frames) - sum(
        len(target_set.all_targets) for target_set in usable
    )
    counts = {
        "that stand still": sum(item.still for item in opening.moving.values()),
        "without a neighbour on each side": lonely,
        "with a broken frame or an unknown pose": broken,
        "next to those held out": parted.between,
        "held out": len(parted.held_out),
        "beyond the limit": len(parted.training) - len(training),
    }
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
    if lonely or broken or parted.between:
        opening.notes.append(f"{len(training):,} targets; other frames: {left_out}")
    if parted.short:
        opening.notes.append(
            f"{_short_clips_text(parted.short, frames)} too short for a held-out stretch in the "
            "middle: only the end is held out, "
            f"{len(parted.held_out):,} targets in all; film longer"
        )
    whole = sorted(
        (target for target_set in usable for target in target_set.all_targets),
        key=lambda target: target.place,
    )
    training_frames, held_out, every = (
        VideoTargetFrames(opened, targets, source_pyramids=opening.source_pyramids)
        for targets in (training, parted.held_out, whole)
    )
    if opening.data.follow_poses:
        training_frames, held_out, every = (
            part.with_motion_of_poses() for part in (training_frames, held_out, every)
        )
    return VideoFrames(
        training=training_frames,
        held_out=held_out,
        whole=every,
        offsets=opening.offsets,
        sequences=tuple(opened),
        notes=tuple(opening.notes),
        left_out=left_out,
    )


def _short_clips_text(short: int, frames: Sequence[SequenceTargets]) -> str:
    if len(frames) == 1:
        return "the footage is"
    return f"{short:,} of {len(frames):,} sequences are"


def _usable_targets(
    opening: OpeningState, opened: Sequence[OpenClip], sequence: SequenceTargets
) -> SequenceTargets:
    """Targets without broken frames, and with the poses to follow."""

    def is_usable(target: Target) -> bool:
        if not has_all_frames(target, opening.gone):
            return False
        clip = opened[target.place.sequence].sequence
        return not opening.data.follow_poses or all(
            target.is_other_eye(source) or clip.motion(source.frame, target.place.frame) is not None
            for source in target.sources
        )

    return SequenceTargets(
        targets=tuple(filter(is_usable, sequence.targets)),
        listed_held_out=None
        if sequence.listed_held_out is None
        else tuple(filter(is_usable, sequence.listed_held_out)),
        lonely=sequence.lonely,
    )


def _error_without_targets(
    opening: OpeningState, opened: Sequence[OpenClip], sequences: Sequence[SequenceTargets]
) -> InputError:
    moving = list(opening.moving.values())
    name = printable(opened[0].sequence.id) if len(opened) == 1 else f"{len(opened)} sequences"
    rest = sum(len(run) for item in moving for run in item.runs)
    still = sum(item.still for item in moving)
    if still and still >= rest:
        largest = max(item.largest for item in moving)
        return InputError(
            f"{name}: the camera stands still: {still:,} of {still + rest:,} frames move less than "
            f"{opening.data.least_motion:g} px, the most by {largest:.2f} px; "
            "depth is learned from a camera that travels"
        )
    frames = sum(item.frames.count for item in opened)
    cuts = sum(item.cuts for item in moving)
    return InputError(
        (
            f"no target is left of {frames:,} frames: "
            f"{sum(item.lonely for item in sequences):,} have no neighbour on each side "
            f"({cuts} cuts, {len(opening.gone)} broken frames, offsets "
            f"{','.join(map(str, opening.offsets))})"
        ),
        path=name,
        hint=Text(
            "give more footage, or a smaller ", OptionName("stride"), " or ", OptionName("held_out")
        ),
    )


_NAMED = 10


def open_frames(
    data: VideoData,
    *,
    size: tuple[int, int],
    offsets: tuple[int, ...],
    cache: Path,
    progress: Progress | None = None,
    source_pyramids: bool = False,
) -> VideoFrames:
    """Open the frames of a run; notes count what is left out.

    Frames that hardly moved are skipped, scene cuts split sequences, and the stride comes from the
    motion.
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
    stores = {
        place: _open_store_and_note_broken(opening, place, sequence, None)
        for place, sequence in enumerate(sequences)
        # All frames of these must be read before their targets are known.
        if sequence.video is not None or _needs_measured_motion(sequence, data)
    }
    sequences = [
        _clip_with_frame_numbers(sequence, stores.get(place))
        for place, sequence in enumerate(sequences)
    ]
    strides = [
        _set_runs_and_find_stride(opening, place, sequence, stores.get(place))
        for place, sequence in enumerate(sequences)
    ]
    neighbours = Neighbours(sequences, opening.runs)
    target_sets = [
        neighbours.find_targets(place, opening.offsets, strides[place])
        for place in range(len(sequences))
    ]
    for place, sequence in enumerate(sequences):
        if place not in stores:
            stores[place] = _open_store_and_note_broken(
                opening, place, sequence, _frame_indices_of_targets(target_sets, place)
            )
    _note_broken_and_disk_use(opening, stores.values())
    opened = [
        _make_open_clip(opening, sequence, stores[place], strides[place])
        for place, sequence in enumerate(sequences)
    ]
    return split_into_video_frames(opening, opened, target_sets)


def offsets_of_all_sources(data: VideoData, offsets: tuple[int, ...]) -> tuple[int, ...]:
    """Offsets in time, if these are used, and the other eye's."""
    temporal = offsets if data.temporal else ()
    return (*temporal, OTHER_EYE) if data.stereo else temporal


def _needs_measured_motion(sequence: Clip, data: VideoData) -> bool:
    if not sequence.measured:
        return False
    return data.least_motion > 0 or sequence.stride is None


def _open_store_and_note_broken(
    opening: OpeningState, place: int, sequence: Clip, needed: Sequence[int] | None
) -> FrameStore:
    store = open_store(
        sequence, opening.size, opening.cache, wanted=needed, progress=opening.progress
    )
    for index, why in store.broken.items():
        opening.gone.add(FramePlace(place, index))
        if len(opening.gone) <= _NAMED:
            opening.notes.append(Note(Text("skipped: ", why)))
    return store


def _frame_indices_of_targets(frames: Sequence[SequenceTargets], sequence: int) -> list[int]:
    return sorted(
        {
            place.frame
            for target_set in frames
            for target in target_set.all_targets
            for place in target.places
            if place.sequence == sequence
        }
    )


def _clip_with_frame_numbers(sequence: Clip, frames: FrameStore | None) -> Clip:
    if sequence.video is None or frames is None:
        return sequence
    names = tuple(Path(f"{index:06d}") for index in range(frames.count))
    poses = None if sequence.poses_file is None else read_poses_of_files(sequence.poses_file, names)
    return replace(sequence, numbers=tuple(range(frames.count)), poses=poses)


def _set_runs_and_find_stride(
    opening: OpeningState, place: int, sequence: Clip, frames: FrameStore | None
) -> int:
    if frames is None or not _needs_measured_motion(sequence, opening.data):
        opening.runs[place] = _consecutive_index_runs(sequence.numbers)
        return sequence.stride or 1
    if frames.fault is not None:
        opening.notes.append(frames.fault)
    moving = _read_or_measure_motion(opening, sequence, frames)
    opening.moving[place], opening.runs[place] = moving, moving.runs
    stride = sequence.stride
    if stride is None:
        stride = stride_for_parallax(moving.parallax, opening.size[1], opening.data.parallax)
    opening.notes.extend(motion_notes(sequence, moving, stride, frames.count, opening.size[1]))
    return stride


def _read_or_measure_motion(
    opening: OpeningState, sequence: Clip, frames: FrameStore
) -> MovingFrames:
    K, least = training_K(opening, sequence), opening.data.least_motion
    path = cache_files(sequence, opening.size, opening.cache).motion_file(K, least)
    remembered = _read_moving_frames_if_valid(path, sequence)
    if remembered is not None:
        return remembered
    parts = [
        find_moving_frames(
            ((index, frames.frame(index)) for index in run if index not in frames.broken),
            K,
            least=least,
        )
        for run in _consecutive_index_runs(sequence.numbers)
    ]
    moving = MovingFrames(
        runs=tuple(run for piece in parts for run in piece.runs),
        parallaxes=tuple(parallax for piece in parts for parallax in piece.parallaxes),
        still=sum(piece.still for piece in parts),
        cuts=sum(piece.cuts for piece in parts),
        largest=max((piece.largest for piece in parts), default=0.0),
    )
    with replacing(path) as part:
        part.write_text(to_json(moving), encoding="utf-8")
    return moving


def _read_moving_frames_if_valid(path: Path, sequence: Clip) -> MovingFrames | None:
    try:
        moving = from_json(MovingFrames, read_text(path))
    except (InputError, NotThisRecord):
        return None
    places = [place for run in moving.runs for place in run]
    there = frozenset(place for run in _consecutive_index_runs(sequence.numbers) for place in run)
    in_order = all(one < later for one, later in itertools.pairwise(places))
    is_motion = all(0 <= parallax < math.inf for parallax in moving.parallaxes)
    return moving if in_order and is_motion and there.issuperset(places) else None


def _consecutive_index_runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index, number in enumerate(numbers):
        if not index or number != numbers[index - 1] + 1:
            runs.append([])
        runs[-1].append(index)
    return runs


def _note_broken_and_disk_use(opening: OpeningState, stores: Iterable[FrameStore]) -> None:
    if len(opening.gone) > _NAMED:
        opening.notes.append(f"skipped: {len(opening.gone) - _NAMED:,} more broken frames")
    taken = sum(allocated_bytes(store.path) for store in stores)
    opening.notes.append(
        f"{printable(opening.cache)}: decoded frames take {taken / 1e6:,.1f} MB there"
    )


def _make_open_clip(
    opening: OpeningState, sequence: Clip, frames: FrameStore, stride: int
) -> OpenClip:
    if sequence.camera.note is not None and not opening.data.published_camera:
        opening.notes.append(sequence.camera.note)
    eye = sequence.other_eye
    shift = None if eye is None else eye.shift
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
