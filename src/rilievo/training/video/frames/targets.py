"""Targets of a run: which frames depth is learned of, and which frames are their sources."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rilievo.data.clips.sequences import Clip

OTHER_EYE = 0
"""Offset of the frame of the other camera of a stereo pair."""
_MAX_GAP = 5
"""Most targets between those to train on and a held-out stretch."""
_MAX_GAP_SHARE = 1 / 20
"""Their largest share of the targets of a sequence."""
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
        lonely: Number of frames that lack a source, and so are no targets.
    """

    targets: tuple[Target, ...]
    listed_held_out: tuple[Target, ...] | None = None
    lonely: int = 0

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """Targets to train on and those listed as held out."""
        return (*self.targets, *(self.listed_held_out or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSplit:
    """Targets of a run, split for training and validation.

    Attributes:
        training: Targets to train on.
        held_out: Targets to validate on.
        between: Number of targets that are neither, as they are next to held-out ones.
        short: Number of sequences that are too short for all held-out stretches.
    """

    training: tuple[Target, ...]
    held_out: tuple[Target, ...]
    between: int
    short: int = 0


class Neighbours:
    """Index of all sequences, which finds the sources of their frames."""

    def __init__(
        self, sequences: Sequence[Clip], runs: Mapping[int, Sequence[Sequence[int]]]
    ) -> None:
        """Index sequences.

        Args:
            sequences: Sequences of a run.
            runs: Indices of frames that follow one another, by the index of the sequence.
        """
        self._sequences, self._runs = sequences, runs
        self._index_of_sequence = {sequence.id: index for index, sequence in enumerate(sequences)}
        self._index_by_number: dict[int, dict[int, int]] = {}

    def find_targets(self, sequence: int, offsets: Sequence[int], stride: int) -> SequenceTargets:
        """Find the targets of a sequence: listed or all frames that have all sources.

        Args:
            sequence: Index of the sequence.
            offsets: Offsets of the sources in time, in strides; ``OTHER_EYE`` for the other camera.
            stride: Frames between neighbours.
        """
        listed = self._sequences[sequence].listed
        if listed is None:
            return self._targets_in_runs(sequence, offsets, stride)
        training = self._targets_with_numbers(sequence, listed.training, offsets, stride)
        if listed.held_out is None:
            return training
        held_out = self._targets_with_numbers(sequence, listed.held_out, offsets, stride)
        return SequenceTargets(
            targets=training.targets,
            listed_held_out=held_out.targets,
            lonely=training.lonely + held_out.lonely,
        )

    def _targets_in_runs(
        self, sequence: int, offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        """Targets among all frames; neighbours are counted within runs."""
        targets: list[Target] = []
        lonely = 0
        for run in self._runs[sequence]:
            for position, frame in enumerate(run):
                temporal_sources: dict[int, FramePlace | None] = {}
                for offset in offsets:
                    source = position + offset * stride
                    is_in_run = 0 <= source < len(run)
                    place = FramePlace(sequence, run[source]) if is_in_run else None
                    temporal_sources[offset] = place
                target = self._target_with_all_sources(sequence, frame, temporal_sources)
                if target is None:
                    lonely += 1
                else:
                    targets.append(target)
        return SequenceTargets(targets=tuple(targets), lonely=lonely)

    def _targets_with_numbers(
        self, sequence: int, numbers: Sequence[int], offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        """Targets among the frames with these numbers; neighbours are counted by numbers."""
        indices = self._indices_by_number(sequence)
        targets: list[Target] = []
        for number in numbers:
            if number not in indices:
                continue
            temporal_sources = {
                offset: self._place_of_number(sequence, number + offset * stride)
                for offset in offsets
            }
            target = self._target_with_all_sources(sequence, indices[number], temporal_sources)
            if target is not None:
                targets.append(target)
        return SequenceTargets(targets=tuple(targets), lonely=len(numbers) - len(targets))

    def _target_with_all_sources(
        self, sequence: int, frame: int, temporal_sources: Mapping[int, FramePlace | None]
    ) -> Target | None:
        """Target with its sources by offset; None if one of them is missing."""
        sources: list[FramePlace] = []
        for offset, temporal_source in temporal_sources.items():
            is_stereo = offset == OTHER_EYE
            source = self._other_eye_place(sequence, frame) if is_stereo else temporal_source
            if source is None:
                return None
            sources.append(source)
        return Target(place=FramePlace(sequence, frame), sources=tuple(sources))

    def _place_of_number(self, sequence: int, number: int) -> FramePlace | None:
        frame = self._indices_by_number(sequence).get(number)
        return None if frame is None else FramePlace(sequence, frame)

    def _other_eye_place(self, sequence: int, frame: int) -> FramePlace | None:
        """Place of the frame that the other camera of a stereo pair took at the same time."""
        eye = self._sequences[sequence].other_eye
        if eye is None or eye.sequence not in self._index_of_sequence:
            return None
        number = self._sequences[sequence].numbers[frame]
        return self._place_of_number(self._index_of_sequence[eye.sequence], number)

    def _indices_by_number(self, sequence: int) -> dict[int, int]:
        if sequence not in self._index_by_number:
            numbers = self._sequences[sequence].numbers
            self._index_by_number[sequence] = {
                number: index for index, number in enumerate(numbers)
            }
        return self._index_by_number[sequence]


def split_targets(
    sequences: Sequence[SequenceTargets], share: float, stretches: int = 1
) -> TargetSplit:
    """Split targets into those to train on and those held out.

    No frame of a held-out target is used in training, and with several stretches, none that is next
    to one. Of sequences so short that their share is less than half a target, whole ones are held
    out now and then.

    Args:
        sequences: Targets of each sequence. Sequences with listed held-out targets keep those.
        share: Share of the targets of each sequence to hold out.
        stretches: Where they lie: 1 for the end of a sequence, 2 for its middle and its end.
    """
    training: list[Target] = []
    held_out: list[Target] = []
    between, short = 0, 0
    owed = 0.0  # held-out targets that shorter sequences owe
    is_single = sum(bool(sequence.targets) for sequence in sequences) == 1
    for sequence in sequences:
        if sequence.listed_held_out is not None:
            training.extend(sequence.targets)
            held_out.extend(sequence.listed_held_out)
            continue

        targets = sorted(sequence.targets, key=_place_of)  # lists are often shuffled
        wanted = share * len(targets)
        count = _held_out_count(wanted, is_single=is_single)
        if wanted and not count:
            owed += wanted
            if owed >= len(targets) / 2:
                count = len(targets)
                owed -= count

        needed_for_stretches = _MIN_STRETCH * stretches
        has_stretches = needed_for_stretches <= count < len(targets)
        if stretches > 1 and 0 < count < needed_for_stretches:
            short += 1
        chosen = _held_out_indices(len(targets), count, stretches if has_stretches else 1)
        sequence_held_out = [targets[index] for index in chosen]

        gap = min(_MAX_GAP, int(_MAX_GAP_SHARE * len(targets))) if stretches > 1 else 0
        forbidden = {place for target in sequence_held_out for place in target.places}
        forbidden |= _places_around(targets, sequence_held_out, gap)
        sequence_training = [
            target for target in targets if not forbidden.intersection(target.places)
        ]
        training.extend(sequence_training)
        held_out.extend(sequence_held_out)
        between += len(targets) - count - len(sequence_training)
    if not training:
        return TargetSplit(training=tuple(held_out), held_out=(), between=between)
    return TargetSplit(
        training=tuple(training), held_out=tuple(held_out), between=between, short=short
    )


def _place_of(target: Target) -> FramePlace:
    return target.place


def _held_out_count(wanted: float, *, is_single: bool) -> int:
    """Number of held-out targets; a single sequence has at least one, if any are wanted."""
    if not wanted or (wanted < 0.5 and not is_single):
        return 0
    return max(1, round(wanted))


def _held_out_indices(length: int, count: int, stretches: int) -> list[int]:
    """Indices of ``count`` of ``length`` targets, in stretches: the last one ends at the end."""
    indices: list[int] = []
    for number in range(stretches):
        size = (count + number) // stretches
        # Other stretches lie in the middle of theirs.
        is_last = number == stretches - 1
        end = round((number + 1) / stretches * length + (0 if is_last else size / 2))
        indices.extend(range(end - size, end))
    return indices


def _places_around(
    targets: Sequence[Target], held_out: Sequence[Target], gap: int
) -> set[FramePlace]:
    """Places of used frames that are at most ``gap`` used frames from a held-out target."""
    used = sorted({place for target in targets for place in target.places})
    rank = {place: index for index, place in enumerate(used)}
    around: set[FramePlace] = set()
    for target in held_out:
        first = max(0, rank[target.place] - gap)
        neighbours = used[first : rank[target.place] + gap + 1]
        around.update(place for place in neighbours if place.sequence == target.place.sequence)
    return around


def has_all_frames(target: Target, broken: Collection[FramePlace]) -> bool:
    """Whether none of the frames of a target is broken."""
    return not any(place in broken for place in target.places)
