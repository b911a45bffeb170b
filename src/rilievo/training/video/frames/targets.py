"""Targets of a run: the frames whose depth is learned, and the frames that are their sources."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rilievo.data.clips.sequences import Clip

OTHER_EYE = 0
"""Offset of the frame of the other camera of a stereo pair."""
_MAX_GAP = 5
"""Most targets between those to train on and a held-out stretch."""
_MAX_GAP_FRACTION = 1 / 20
"""Largest gap as a fraction of the targets of a sequence."""
_MIN_STRETCH = 3
"""Fewest targets of a held-out stretch, if a sequence has several."""


class FramePlace(NamedTuple):
    """Where a frame is: the index of its sequence, and its own in the sequence."""

    sequence: int
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Frame whose depth is learned, with the frames that are warped to it."""

    place: FramePlace
    sources: tuple[FramePlace, ...]

    @property
    def places(self) -> tuple[FramePlace, ...]:
        """Places of the target and its sources."""
        return (self.place, *self.sources)

    def is_other_eye(self, source: FramePlace) -> bool:
        """Whether a source was taken by the other camera of a stereo pair."""
        return source.sequence != self.place.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTargets:
    """Targets of one sequence.

    Attributes:
        targets: Targets to train on, and to hold some out from if none are listed.
        listed_held_out: Targets that a list of the dataset holds out; None without such a list.
        num_without_sources: Number of frames that are no targets, because a source is missing.
    """

    targets: tuple[Target, ...]
    listed_held_out: tuple[Target, ...] | None = None
    num_without_sources: int = 0

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """Targets to train on and those listed as held out."""
        return (*self.targets, *(self.listed_held_out or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSplit:
    """Targets of a run, split for training and validation.

    Attributes:
        num_near_held_out: Number of targets in neither set, because they are next to held-out ones.
        num_too_short: Number of sequences that are too short for all held-out stretches.
    """

    training: tuple[Target, ...]
    held_out: tuple[Target, ...]
    num_near_held_out: int
    num_too_short: int = 0


class SourceFinder:
    """Finder of the sources of frames, in the same sequence or that of the other camera.

    A frame is a target if all its sources are there.
    """

    def __init__(
        self, sequences: Sequence[Clip], runs: Mapping[int, Sequence[Sequence[int]]]
    ) -> None:
        """Index sequences; ``runs`` has the runs of frame indices by the index of a sequence."""
        self._sequences = sequences
        self._runs = runs
        self._index_of_sequence = {sequence.id: index for index, sequence in enumerate(sequences)}
        self._index_by_number: dict[int, dict[int, int]] = {}

    def find_targets(
        self, sequence_index: int, offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        """Find the targets of a sequence: listed or all frames that have all sources.

        ``offsets`` are those of the sources in time, in strides, or ``OTHER_EYE`` for the other
        camera.
        """
        listed = self._sequences[sequence_index].listed_targets
        if listed is None:
            return self._targets_in_runs(sequence_index, offsets, stride)
        training = self._targets_with_numbers(sequence_index, listed.training, offsets, stride)
        if listed.held_out is None:
            return training
        held_out = self._targets_with_numbers(sequence_index, listed.held_out, offsets, stride)
        return SequenceTargets(
            targets=training.targets,
            listed_held_out=held_out.targets,
            num_without_sources=training.num_without_sources + held_out.num_without_sources,
        )

    def _targets_in_runs(
        self, sequence_index: int, offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        """Targets among all frames; neighbours are counted within runs of frames."""
        targets: list[Target] = []
        num_without_sources = 0
        for run in self._runs[sequence_index]:
            for position, frame_index in enumerate(run):
                temporal_sources: dict[int, FramePlace | None] = dict.fromkeys(offsets)
                for offset in offsets:
                    source_position = position + offset * stride
                    if 0 <= source_position < len(run):
                        source_frame = run[source_position]
                        temporal_sources[offset] = FramePlace(sequence_index, source_frame)
                target = self._target_with_all_sources(
                    sequence_index, frame_index, temporal_sources
                )
                if target is None:
                    num_without_sources += 1
                else:
                    targets.append(target)
        return SequenceTargets(targets=tuple(targets), num_without_sources=num_without_sources)

    def _targets_with_numbers(
        self, sequence_index: int, frame_numbers: Sequence[int], offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        """Targets among the frames with these numbers; neighbours are counted by frame numbers."""
        index_by_number = self._frame_indices(sequence_index)
        targets: list[Target] = []
        for number in frame_numbers:
            if number not in index_by_number:
                continue
            temporal_sources = {
                offset: self._find_place(sequence_index, number + offset * stride)
                for offset in offsets
            }
            frame_index = index_by_number[number]
            target = self._target_with_all_sources(sequence_index, frame_index, temporal_sources)
            if target is not None:
                targets.append(target)
        return SequenceTargets(
            targets=tuple(targets), num_without_sources=len(frame_numbers) - len(targets)
        )

    def _target_with_all_sources(
        self,
        sequence_index: int,
        frame_index: int,
        temporal_sources: Mapping[int, FramePlace | None],
    ) -> Target | None:
        """Make a target; None if a source is missing.

        ``temporal_sources`` are neighbours in time by offset. The one at ``OTHER_EYE`` is replaced
        by the frame of the other camera.
        """
        sources: list[FramePlace] = []
        for offset, temporal_source in temporal_sources.items():
            source = temporal_source
            if offset == OTHER_EYE:
                source = self._other_eye_place(sequence_index, frame_index)
            if source is None:
                return None
            sources.append(source)
        return Target(place=FramePlace(sequence_index, frame_index), sources=tuple(sources))

    def _find_place(self, sequence_index: int, frame_number: int) -> FramePlace | None:
        frame_index = self._frame_indices(sequence_index).get(frame_number)
        return None if frame_index is None else FramePlace(sequence_index, frame_index)

    def _other_eye_place(self, sequence_index: int, frame_index: int) -> FramePlace | None:
        """Place of the frame that the other camera of a stereo pair took at the same time."""
        eye = self._sequences[sequence_index].other_eye
        if eye is None or eye.sequence not in self._index_of_sequence:
            return None
        number = self._sequences[sequence_index].frame_numbers[frame_index]
        return self._find_place(self._index_of_sequence[eye.sequence], number)

    def _frame_indices(self, sequence_index: int) -> dict[int, int]:
        """Index of each frame by its number, for one sequence."""
        if sequence_index not in self._index_by_number:
            frame_numbers = self._sequences[sequence_index].frame_numbers
            self._index_by_number[sequence_index] = {
                number: index for index, number in enumerate(frame_numbers)
            }
        return self._index_by_number[sequence_index]


def split_targets(
    sequences: Sequence[SequenceTargets], held_out_fraction: float, num_stretches: int = 1
) -> TargetSplit:
    """Split targets into those to train on and those held out.

    No frame of a held-out target is used in training. With several stretches, targets next to a
    held-out one are not used either.

    Sequences with listed held-out targets keep those. Of the others, one stretch is held out at the
    end, or with two stretches in the middle and at the end. Footage that is too short for both sets
    is trained on.
    """
    splits: list[TargetSplit] = []
    counts = _held_out_counts(sequences, held_out_fraction)
    for sequence, count in zip(sequences, counts, strict=True):
        if sequence.listed_held_out is None:
            # Lists of targets are often shuffled.
            targets = sorted(sequence.targets, key=lambda target: target.place)
            splits.append(_split_sequence(targets, count, num_stretches))
        else:
            splits.append(
                TargetSplit(
                    training=sequence.targets,
                    held_out=sequence.listed_held_out,
                    num_near_held_out=0,
                )
            )

    training = tuple(target for split in splits for target in split.training)
    held_out = tuple(target for split in splits for target in split.held_out)
    num_near_held_out = sum(split.num_near_held_out for split in splits)
    if not training:
        return TargetSplit(training=held_out, held_out=(), num_near_held_out=num_near_held_out)
    return TargetSplit(
        training=training,
        held_out=held_out,
        num_near_held_out=num_near_held_out,
        num_too_short=sum(split.num_too_short for split in splits),
    )


def _held_out_counts(sequences: Sequence[SequenceTargets], held_out_fraction: float) -> list[int]:
    """Number of targets to hold out of each sequence; 0 for those with listed held-out targets.

    If the fraction of a sequence is less than half a target, none is held out. Instead, such
    fractions are added up, and as soon as the sum is half of a short sequence, this sequence is
    held out as a whole and taken off the sum.
    """
    is_single = sum(bool(sequence.targets) for sequence in sequences) == 1
    owed_by_short_sequences = 0.0
    counts: list[int] = []
    for sequence in sequences:
        num_targets = len(sequence.targets)
        wanted = held_out_fraction * num_targets
        if not wanted or sequence.listed_held_out is not None:
            counts.append(0)
        elif wanted >= 0.5 or is_single:
            counts.append(max(1, round(wanted)))
        else:
            owed_by_short_sequences += wanted
            is_held_out = owed_by_short_sequences >= num_targets / 2
            counts.append(num_targets if is_held_out else 0)
            owed_by_short_sequences -= counts[-1]
    return counts


def _split_sequence(targets: Sequence[Target], count: int, num_stretches: int) -> TargetSplit:
    """Hold out ``count`` targets of one sequence, and leave a gap to those to train on."""
    # Too few targets for all stretches are held out at the end. A whole sequence is one stretch.
    min_count_to_spread = _MIN_STRETCH * num_stretches
    can_spread = min_count_to_spread <= count < len(targets)
    is_too_short = num_stretches > 1 and 0 < count < min_count_to_spread
    indices = _held_out_indices(len(targets), count, num_stretches if can_spread else 1)
    held_out = [targets[index] for index in indices]

    gap = 0
    if num_stretches > 1:
        gap = min(_MAX_GAP, int(_MAX_GAP_FRACTION * len(targets)))
    excluded = {place for target in held_out for place in target.places}
    excluded |= _places_around(targets, held_out, gap)
    training = [target for target in targets if not excluded.intersection(target.places)]
    return TargetSplit(
        training=tuple(training),
        held_out=tuple(held_out),
        num_near_held_out=len(targets) - count - len(training),
        num_too_short=int(is_too_short),
    )


def _held_out_indices(num_targets: int, count: int, num_stretches: int) -> list[int]:
    """Indices of ``count`` targets to hold out, in stretches that are spread over the sequence.

    The sequence is divided into as many equal parts as there are stretches. The last stretch ends
    with the sequence. The others lie around the end of their part: of two stretches, the first is
    in the middle of the sequence.
    """
    indices: list[int] = []
    for stretch in range(num_stretches):
        length = (count + stretch) // num_stretches
        part_end = (stretch + 1) / num_stretches * num_targets
        is_last = stretch == num_stretches - 1
        end = round(part_end + (0 if is_last else length / 2))
        indices.extend(range(end - length, end))
    return indices


def _places_around(
    targets: Sequence[Target], held_out: Sequence[Target], gap: int
) -> set[FramePlace]:
    """Frames of the same sequence that are at most ``gap`` frames from a held-out target.

    Only frames that belong to a target are counted.
    """
    frames = sorted({place for target in targets for place in target.places})
    rank_by_frame = {frame: rank for rank, frame in enumerate(frames)}
    places: set[FramePlace] = set()
    for target in held_out:
        rank = rank_by_frame[target.place]
        neighbours = frames[max(0, rank - gap) : rank + gap + 1]
        places.update(place for place in neighbours if place.sequence == target.place.sequence)
    return places


def has_all_frames(target: Target, broken: Collection[FramePlace]) -> bool:
    """Whether none of the frames of a target is broken."""
    return not any(place in broken for place in target.places)
