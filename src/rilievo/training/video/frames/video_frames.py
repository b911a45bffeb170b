"""Frames of a run from footage on disk: they are decoded, matched with sources, and split."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.arrays.shapes import Matrix, Size
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequences import Clip, FrameReader
from rilievo.data.clips.sources import list_sequences, with_counted_frames
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text, count_text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.names import printable
from rilievo.training.video.frames.frame_store import (
    FrameStore,
    Progress,
    allocated_bytes,
    open_store,
)
from rilievo.training.video.frames.image_motion import (
    MovingFrames,
    SequenceRuns,
    motion_notes,
    needs_measured_motion,
    runs_by_motion,
    runs_by_number,
)
from rilievo.training.video.frames.target_frames import OpenClip, VideoFrames, VideoTargetFrames
from rilievo.training.video.frames.targets import (
    OTHER_EYE,
    FramePlace,
    SequenceTargets,
    SourceFinder,
    Target,
    TargetSplit,
    has_all_frames,
    split_targets,
)

_MONODEPTH2_CAMERA = (0.58, 1.92, 0.5, 0.5)
"""fx, fy, cx, cy of KITTI, as fractions of width and height (Godard et al. 2019)."""
_MAX_BROKEN_NOTES = 10
"""Broken frames that have a note of their own."""


@dataclass(slots=True, kw_only=True)
class _FrameDecoder:
    """Decodes the frames of sequences, and collects which frames are broken.

    Attributes:
        size: Training size [px].
        cache: Folder of decoded frames.
        notes: List to which notes on broken frames are added.
        stores: Stored frames of the sequences that were decoded, by the sequence's index.
    """

    size: Size
    cache: Path
    progress: Progress | None
    notes: list[str]
    stores: dict[int, FrameStore] = field(default_factory=dict)
    broken_frames: set[FramePlace] = field(default_factory=set)

    def decode(
        self, sequence_index: int, sequence: Clip, needed_frames: Sequence[int] | None = None
    ) -> None:
        """Decode the needed frames of a sequence that are not stored yet; None means all."""
        store = open_store(
            sequence, self.size, self.cache, wanted=needed_frames, progress=self.progress
        )
        self.stores[sequence_index] = store
        for frame, reason in store.broken.items():
            self.broken_frames.add(FramePlace(sequence_index, frame))
            if len(self.broken_frames) <= _MAX_BROKEN_NOTES:
                self.notes.append(Note(Text("skipped: ", reason)))

    def note_totals(self) -> None:
        """Note how many broken frames have no note of their own, and the size of the cache."""
        num_unlisted = len(self.broken_frames) - _MAX_BROKEN_NOTES
        if num_unlisted > 0:
            self.notes.append(f"skipped: {count_text(num_unlisted, 'more broken frame')}")
        megabytes = sum(allocated_bytes(store.path) for store in self.stores.values()) / 1e6
        self.notes.append(f"{printable(self.cache)}: the decoded frames take {megabytes:,.1f} MB")


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
    the motion. ``size`` is the training size, ``offsets`` are those of the sources in strides, and
    ``cache`` is the folder of decoded frames. With ``source_pyramids``, sources are compared at
    coarser scales too.

    Raises:
        InputError: If the footage cannot be used.
    """
    notes: list[str] = []
    decoder = _FrameDecoder(size=size, cache=cache, progress=progress, notes=notes)
    sequences = _decode_if_targets_need_it(list_sequences(data), data, decoder)
    stores = decoder.stores
    runs_by_sequence = [
        _find_runs(sequence, stores.get(index), data) for index, sequence in enumerate(sequences)
    ]
    for index, runs in enumerate(runs_by_sequence):
        if runs.motion is not None:
            notes += motion_notes(sequences[index], runs.motion, runs.stride, stores[index])
    offsets = offsets_of_all_sources(data, offsets)
    target_sets = _find_targets(sequences, runs_by_sequence, offsets)

    # Of the other sequences, only the frames of targets are decoded.
    for index, sequence in enumerate(sequences):
        if index not in stores:
            decoder.decode(index, sequence, _frames_of_targets(target_sets, index))
    decoder.note_totals()

    clips = [
        _make_open_clip(sequence, stores[index], runs_by_sequence[index].stride, data)
        for index, sequence in enumerate(sequences)
    ]
    if not data.published_camera:
        camera_notes = (sequence.camera.note for sequence in sequences)
        notes += [note for note in camera_notes if note is not None]
    return _split_into_video_frames(
        data,
        clips,
        target_sets,
        motions=[runs.motion for runs in runs_by_sequence if runs.motion is not None],
        broken_frames=decoder.broken_frames,
        offsets=offsets,
        source_pyramids=source_pyramids,
        notes=notes,
    )


def _decode_if_targets_need_it(
    sequences: Sequence[Clip], data: VideoData, decoder: _FrameDecoder
) -> list[Clip]:
    """Decode all frames of those sequences whose targets are only known afterwards.

    These are videos, whose frames are counted, and sequences whose motion is measured. All
    sequences are returned, the videos with the number of their frames.
    """
    counted_sequences: list[Clip] = []
    for index, sequence in enumerate(sequences):
        is_video = sequence.video is not None
        if is_video or _needs_measured_motion(sequence, data):
            decoder.decode(index, sequence)
        if is_video:
            counted_sequences.append(with_counted_frames(sequence, decoder.stores[index].count))
        else:
            counted_sequences.append(sequence)
    return counted_sequences


def offsets_of_all_sources(data: VideoData, offsets: tuple[int, ...]) -> tuple[int, ...]:
    """Offsets of the neighbours in time, if they are sources, and ``OTHER_EYE`` for stereo."""
    temporal_offsets = offsets if data.temporal else ()
    return (*temporal_offsets, OTHER_EYE) if data.stereo else temporal_offsets


def _needs_measured_motion(sequence: Clip, data: VideoData) -> bool:
    return needs_measured_motion(sequence, min_motion=data.least_motion)


def _find_runs(sequence: Clip, frames: FrameStore | None, data: VideoData) -> SequenceRuns:
    """Find the runs of frames of a sequence and its stride, from its motion if that is needed."""
    if frames is None or not _needs_measured_motion(sequence, data):
        return runs_by_number(sequence)
    return runs_by_motion(
        sequence,
        frames,
        _training_K(sequence, frames.size, is_published=data.published_camera),
        min_motion=data.least_motion,
        parallax=data.parallax,
    )


def _find_targets(
    sequences: Sequence[Clip],
    runs_by_sequence: Sequence[SequenceRuns],
    offsets: tuple[int, ...],
) -> list[SequenceTargets]:
    """Find the targets of each sequence, with their sources at these offsets."""
    runs_by_index = {index: runs.runs for index, runs in enumerate(runs_by_sequence)}
    source_finder = SourceFinder(sequences, runs_by_index)
    return [
        source_finder.find_targets(index, offsets, runs.stride)
        for index, runs in enumerate(runs_by_sequence)
    ]


def _frames_of_targets(target_sets: Sequence[SequenceTargets], sequence_index: int) -> list[int]:
    """Indices of the frames of a sequence that are targets, or sources of any target."""
    places: set[FramePlace] = set()
    for target_set in target_sets:
        for target in target_set.all_targets:
            places.update(target.places)
    return sorted(place.frame for place in places if place.sequence == sequence_index)


def _make_open_clip(sequence: Clip, frames: FrameStore, stride: int, data: VideoData) -> OpenClip:
    """Combine a sequence with its stored frames, and with its camera at their size."""
    eye_shift = None if sequence.other_eye is None else sequence.other_eye.x_offset
    if eye_shift is not None and data.baseline is not None:
        # The user's baseline has no sign: which eye is on the left stays as it was.
        eye_shift = math.copysign(data.baseline, eye_shift)
    return OpenClip(
        clip=sequence,
        frames=frames,
        K=_training_K(sequence, frames.size, is_published=data.published_camera),
        valid=FrameReader(sequence, frames.size).valid_pixels(),
        eye_shift=eye_shift,
        stride=stride,
    )


def _training_K(sequence: Clip, size: Size, *, is_published: bool) -> Matrix:
    """Intrinsics at the training size [px]: the sequence's own, or those of Monodepth2's code."""
    if not is_published:
        return sequence.K_at(size)
    height, width = size
    fx, fy, cx, cy = _MONODEPTH2_CAMERA
    return pinhole_K(fx * width, fy * height, cx * width, cy * height)


def _split_into_video_frames(
    data: VideoData,
    clips: Sequence[OpenClip],
    target_sets: Sequence[SequenceTargets],
    *,
    motions: Sequence[MovingFrames],
    broken_frames: Collection[FramePlace],
    offsets: tuple[int, ...],
    source_pyramids: bool,
    notes: Sequence[str],
) -> VideoFrames:
    """Leave out unusable targets, hold some of the others out, and note how many there are.

    ``motions`` are those of the sequences in which motion was measured.

    Raises:
        InputError: If no target is left to train on.
    """
    usable_sets = [
        _usable_targets(target_set, clips, broken_frames, needs_poses=data.follow_poses)
        for target_set in target_sets
    ]
    split = split_targets(usable_sets, data.held_out, data.held_out_stretches)
    training = split.training[: data.limit]
    if not training:
        _require_moving_camera(data.least_motion, clips, motions)
        raise _missing_neighbours_error(clips, target_sets, motions, len(broken_frames), offsets)

    usable = [target for target_set in usable_sets for target in target_set.all_targets]
    num_found = sum(len(target_set.all_targets) for target_set in target_sets)
    counts = _LeftOutCounts(
        without_motion=sum(motion.still for motion in motions),
        without_sources=sum(target_set.num_without_sources for target_set in target_sets),
        unusable=num_found - len(usable),
        near_held_out=split.num_near_held_out,
        held_out=len(split.held_out),
        beyond_limit=len(split.training) - len(training),
    )

    def make_frames(targets: Sequence[Target]) -> VideoTargetFrames:
        """Make the frames of some targets, with motion from poses if the run follows them."""
        frames = VideoTargetFrames(clips, targets, source_pyramids=source_pyramids)
        return frames.with_motion_from_poses() if data.follow_poses else frames

    return VideoFrames(
        training=make_frames(training),
        held_out=make_frames(split.held_out),
        all_targets=make_frames(sorted(usable, key=lambda target: target.place)),
        offsets=offsets,
        sequences=tuple(clips),
        notes=(*notes, *_notes_on_split(split, counts, len(training), len(target_sets))),
        left_out=counts.describe(),
    )


def _notes_on_split(
    split: TargetSplit, counts: "_LeftOutCounts", num_training: int, num_sequences: int
) -> list[str]:
    """Notes on frames that are unexpectedly left out, and on sequences that are too short."""
    notes: list[str] = []
    if counts.has_unexpected:
        targets = count_text(num_training, "target")
        notes.append(f"{targets} to train on; other frames: {counts.describe()}")
    if split.num_too_short:
        notes.append(
            f"{_name_short_clips(split.num_too_short, num_sequences)} too short to hold out a "
            "stretch in the middle, so only the end is held out "
            f"({count_text(len(split.held_out), 'target')} in all); film longer"
        )
    return notes


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeftOutCounts:
    """Numbers of frames that are no targets to train on, by reason."""

    without_motion: int
    without_sources: int
    unusable: int
    near_held_out: int
    held_out: int
    beyond_limit: int

    @property
    def has_unexpected(self) -> bool:
        """Whether a reason applies that the user neither chose nor reads in another note."""
        return bool(self.without_sources or self.unusable or self.near_held_out)

    def describe(self) -> str:
        """Describe the counts that are not 0."""
        count_by_reason = {
            "without motion": self.without_motion,
            "without a neighbour on each side": self.without_sources,
            "with a broken frame or an unknown pose": self.unusable,
            "next to held-out frames": self.near_held_out,
            "held out": self.held_out,
            "beyond the limit": self.beyond_limit,
        }
        return ", ".join(
            f"{count:,} {reason}" for reason, count in count_by_reason.items() if count
        )


def _name_short_clips(num_too_short: int, num_sequences: int) -> str:
    if num_sequences == 1:
        return "the footage is"
    verb = "is" if num_too_short == 1 else "are"
    return f"{num_too_short:,} of {num_sequences:,} sequences {verb}"


def _usable_targets(
    target_set: SequenceTargets,
    clips: Sequence[OpenClip],
    broken_frames: Collection[FramePlace],
    *,
    needs_poses: bool,
) -> SequenceTargets:
    """Keep the targets without broken frames, and with known poses if these are needed."""

    def is_usable(target: Target) -> bool:
        """Whether all frames can be read, and the poses of temporal sources are known if needed."""
        if not has_all_frames(target, broken_frames):
            return False
        if not needs_poses:
            return True
        clip = clips[target.place.sequence].clip
        return all(
            target.is_other_eye(source) or clip.motion(source.frame, target.place.frame) is not None
            for source in target.sources
        )

    listed_held_out = target_set.listed_held_out
    if listed_held_out is not None:
        listed_held_out = tuple(filter(is_usable, listed_held_out))
    usable = tuple(filter(is_usable, target_set.targets))
    return replace(target_set, targets=usable, listed_held_out=listed_held_out)


def _require_moving_camera(
    min_motion: float, clips: Sequence[OpenClip], motions: Sequence[MovingFrames]
) -> None:
    """Raise ``InputError`` if most of the frames whose motion was measured hardly move."""
    num_moving = sum(len(run) for motion in motions for run in motion.runs)
    num_still = sum(motion.still for motion in motions)
    if not num_still or num_still < num_moving:
        return
    largest_motion = max(motion.largest for motion in motions)
    raise InputError(
        f"{_name_footage(clips)}: the camera hardly moves: {num_still:,} of "
        f"{num_still + num_moving:,} frames move less than {min_motion:g} px, and the largest "
        f"motion is {largest_motion:.2f} px; film with a moving camera, because depth is learned "
        "from its motion"
    )


def _missing_neighbours_error(
    clips: Sequence[OpenClip],
    target_sets: Sequence[SequenceTargets],
    motions: Sequence[MovingFrames],
    num_broken: int,
    offsets: Sequence[int],
) -> InputError:
    """Error that no frame can be a target, with counts of the reasons."""
    num_frames = sum(clip.frames.count for clip in clips)
    num_without_sources = sum(target_set.num_without_sources for target_set in target_sets)
    num_cuts = sum(motion.cuts for motion in motions)
    return InputError(
        (
            f"none of {num_frames:,} frames can be a target: {num_without_sources:,} have no "
            f"neighbour on each side ({count_text(num_cuts, 'cut')}, "
            f"{count_text(num_broken, 'broken frame')}, offsets {','.join(map(str, offsets))}, "
            f"{_describe_strides(clips)})"
        ),
        path=_name_footage(clips),
        hint=Text(
            "use more footage, or a smaller ", OptionName("stride"), " or ", OptionName("held_out")
        ),
    )


def _describe_strides(clips: Sequence[OpenClip]) -> str:
    """Describe the strides of sequences, and whether rilievo chose the largest one."""
    longest = max(clips, key=lambda clip: clip.stride)
    shortest = min(clips, key=lambda clip: clip.stride)
    is_same = shortest.stride == longest.stride
    text = f"stride {longest.stride}" if is_same else f"strides up to {longest.stride}"
    # A stride of 1 needs no reason.
    if longest.clip.stride is not None or longest.stride == 1:
        return text
    return f"{text}, chosen because the camera hardly moves from frame to frame"


def _name_footage(clips: Sequence[OpenClip]) -> str:
    return printable(clips[0].clip.id) if len(clips) == 1 else f"{len(clips)} sequences"
