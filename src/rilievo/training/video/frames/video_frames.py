"""Frames of a run, from footage on disk: decode, measure motion, find sources, hold out."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.known_poses import poses_in
from rilievo.data.clips.sequences import Clip
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.messages import Note, template
from rilievo.training.video.frames.cache_files import cache_files, taken_bytes
from rilievo.training.video.frames.frame_store import FrameStore, Progress, open_store
from rilievo.training.video.frames.image_motion import Moving, find_moving, stride_for
from rilievo.training.video.frames.opening import (
    Opening,
    parted_frames,
    said_of_motion,
    training_K,
    valid_pixels,
)
from rilievo.training.video.frames.target_frames import OpenClip, VideoFrames
from rilievo.training.video.frames.targets import OTHER_EYE, Found, FramePlace, Neighbours

_NAMED = 10
"""Number of broken frames that are named; more are only counted."""


def open_frames(
    data: VideoData,
    *,
    size: tuple[int, int],
    offsets: tuple[int, ...],
    cache: Path,
    progress: Progress | None = None,
    source_pyramids: bool = False,
) -> VideoFrames:
    """Open the frames of a run.

    Sequences without a list are read once: frames that hardly moved are skipped, scene cuts split
    them, and the stride comes from the motion. Frames that are left out are counted in the notes.
    """
    opening = Opening(
        data=data,
        size=size,
        offsets=all_offsets(data, offsets),
        cache=cache,
        progress=progress,
        source_pyramids=source_pyramids,
    )
    sequences = list_sequences(data)
    stores = {
        place: _store(opening, place, sequence, None)
        for place, sequence in enumerate(sequences)
        # All frames of these must be read before their targets are known.
        if sequence.video is not None or _is_measured(sequence, data)
    }
    sequences = [_counted(sequence, stores.get(place)) for place, sequence in enumerate(sequences)]
    strides = [
        _look(opening, place, sequence, stores.get(place))
        for place, sequence in enumerate(sequences)
    ]
    neighbours = Neighbours(sequences, opening.runs)
    target_sets = [
        neighbours.find(place, opening.offsets, stride) for place, stride in enumerate(strides)
    ]
    for place, sequence in enumerate(sequences):
        if place not in stores:
            stores[place] = _store(opening, place, sequence, _needed(target_sets, place))
    _say_totals(opening, stores.values())
    opened = [
        _opened(opening, sequence, stores[place], strides[place])
        for place, sequence in enumerate(sequences)
    ]
    return parted_frames(opening, opened, target_sets)


def all_offsets(data: VideoData, offsets: tuple[int, ...]) -> tuple[int, ...]:
    """Return the offsets of the sources in time, and of the other camera of a stereo pair."""
    temporal = offsets if data.temporal else ()
    return (*temporal, OTHER_EYE) if data.stereo else temporal


def _is_measured(sequence: Clip, data: VideoData) -> bool:
    if not sequence.measured:
        return False
    return data.least_motion > 0 or (data.stride or sequence.stride) is None


def _store(
    opening: Opening, place: int, sequence: Clip, needed: Sequence[int] | None
) -> FrameStore:
    """Decode the frames of a sequence, and note those that are broken."""
    store = open_store(
        sequence, opening.size, opening.cache, wanted=needed, progress=opening.progress
    )
    for index, why in store.broken.items():
        opening.gone.add(FramePlace(place, index))
        if len(opening.gone) <= _NAMED:
            opening.notes.append(Note(f"skipped: {template(why)}"))
    return store


def _needed(frames: Sequence[Found], sequence: int) -> list[int]:
    """Indices of the frames of a sequence that are a target or a source of any target."""
    return sorted(
        {
            place.frame
            for target_set in frames
            for target in target_set.every
            for place in target.places
            if place.sequence == sequence
        }
    )


def _counted(sequence: Clip, frames: FrameStore | None) -> Clip:
    """Add the numbers and poses of frames to a video; other sequences stay as they are."""
    if sequence.video is None or frames is None:
        return sequence
    names = tuple(Path(f"{index:06d}") for index in range(frames.count))
    poses = None if sequence.poses_file is None else poses_in(sequence.poses_file, names)
    return replace(sequence, numbers=tuple(range(frames.count)), poses=poses)


def _look(opening: Opening, place: int, sequence: Clip, frames: FrameStore | None) -> int:
    """Find the runs of consecutive frames of a sequence and return its stride."""
    user_stride = opening.data.stride or sequence.stride
    if frames is None or not _is_measured(sequence, opening.data):
        opening.runs[place] = _unbroken(sequence.numbers)
        return user_stride or 1
    if frames.fault is not None:
        opening.notes.append(frames.fault)
    moving = _moving(opening, sequence, frames)
    opening.moving[place], opening.runs[place] = moving, moving.runs
    stride = user_stride or stride_for(moving.parallax, opening.size[1], opening.data.parallax)
    opening.notes.extend(said_of_motion(sequence, moving, stride, frames.count, opening.size[1]))
    return stride


def _moving(opening: Opening, sequence: Clip, frames: FrameStore) -> Moving:
    """Measure the motion of a sequence, or read it from the cache if it was measured before."""
    K, least = training_K(opening, sequence), opening.data.least_motion
    path = cache_files(sequence, opening.size, opening.cache).motion_file(K, least)
    remembered = _remembered(path, sequence)
    if remembered is not None:
        return remembered
    parts = [
        find_moving(
            ((index, frames.frame(index)) for index in run if index not in frames.broken),
            K,
            least=least,
        )
        for run in _unbroken(sequence.numbers)
    ]
    moving = Moving(
        runs=tuple(run for piece in parts for run in piece.runs),
        parallaxes=tuple(parallax for piece in parts for parallax in piece.parallaxes),
        still=sum(piece.still for piece in parts),
        cuts=sum(piece.cuts for piece in parts),
        largest=max((piece.largest for piece in parts), default=0.0),
    )
    with replacing(path) as part:
        part.write_text(to_json(moving), encoding="utf-8")
    return moving


def _remembered(path: Path, sequence: Clip) -> Moving | None:
    """Read the stored motion; None where there is none, or it is of other frames."""
    try:
        moving = from_json(Moving, read_text(path))
    except (InputError, NotThisRecord):
        return None
    places = [place for run in moving.runs for place in run]
    there = frozenset(place for run in _unbroken(sequence.numbers) for place in run)
    in_order = all(one < later for one, later in itertools.pairwise(places))
    is_motion = all(0 <= parallax < math.inf for parallax in moving.parallaxes)
    return moving if in_order and is_motion and there.issuperset(places) else None


def _unbroken(numbers: Sequence[int]) -> list[list[int]]:
    """Group the indices of frames whose numbers are consecutive."""
    runs: list[list[int]] = []
    for index, number in enumerate(numbers):
        if not index or number != numbers[index - 1] + 1:
            runs.append([])
        runs[-1].append(index)
    return runs


def _say_totals(opening: Opening, stores: Iterable[FrameStore]) -> None:
    if len(opening.gone) > _NAMED:
        opening.notes.append(f"skipped: {len(opening.gone) - _NAMED:,} more broken frames")
    taken = sum(taken_bytes(store.path) for store in stores)
    opening.notes.append(
        f"{printable(opening.cache)}: decoded frames take {taken / 1e6:,.1f} MB there"
    )


def _opened(opening: Opening, sequence: Clip, frames: FrameStore, stride: int) -> OpenClip:
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
