"""Targets of a run with their sources."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rilievo.data.clips.sequences import Clip

OTHER_EYE = 0
"""Offset of the frame of the other camera of a stereo pair."""
_GAP, _GAP_SHARE = 5, 1 / 20
"""Frames between training and several held-out stretches, and their largest share."""
_SHORTEST = 3


class FramePlace(NamedTuple):
    """Indices of a sequence and of a frame in it."""

    sequence: int
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Frame to learn the depth of, with its sources."""

    place: FramePlace
    sources: tuple[FramePlace, ...]

    @property
    def places(self) -> tuple[FramePlace, ...]:
        """Places of the target and its sources."""
        return (self.place, *self.sources)

    def is_other_eye(self, source: FramePlace) -> bool:
        """Whether the other camera of a stereo pair took a source."""
        return source.sequence != self.place.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTargets:
    """Targets of one sequence; ``lonely`` is the number of frames that lack a source."""

    targets: tuple[Target, ...]
    listed_held_out: tuple[Target, ...] | None = None
    lonely: int = 0

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """Targets, and those listed as held out."""
        return (*self.targets, *(self.listed_held_out or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSplit:
    """Targets of a run, split for training and validation.

    Attributes:
        between: Number of targets next to held-out ones, which are neither.
        short: Number of sequences too short for all stretches.
    """

    training: tuple[Target, ...]
    held_out: tuple[Target, ...]
    between: int
    short: int = 0


class Neighbours:
    """Index of sequences, which finds the sources of a frame."""

    def __init__(
        self, sequences: Sequence[Clip], runs: Mapping[int, Sequence[Sequence[int]]]
    ) -> None:
        """Index sequences with their runs of consecutive frames."""
        self._sequences, self._runs = sequences, runs
        self._places = {sequence.id: place for place, sequence in enumerate(sequences)}
        self._by_number: dict[int, dict[int, int]] = {}

    def find_targets(self, sequence: int, offsets: Sequence[int], stride: int) -> SequenceTargets:
        """Targets of a sequence that have all sources."""
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
        candidates = []
        for run in self._runs[sequence]:
            for at, frame in enumerate(run):
                places = {offset: at + offset * stride for offset in offsets}
                near = {
                    offset: FramePlace(sequence, run[place]) if 0 <= place < len(run) else None
                    for offset, place in places.items()
                }
                candidates.append(self._target_if_all_sources_exist(sequence, frame, near))
        targets = tuple(filter(None, candidates))
        return SequenceTargets(targets=targets, lonely=len(candidates) - len(targets))

    def _targets_with_numbers(
        self, sequence: int, numbers: Sequence[int], offsets: Sequence[int], stride: int
    ) -> SequenceTargets:
        indices, candidates = self._indices_by_number(sequence), []
        for number in numbers:
            if number in indices:
                near = {
                    offset: self._place_of_number(sequence, number + offset * stride)
                    for offset in offsets
                }
                candidates.append(
                    self._target_if_all_sources_exist(sequence, indices[number], near)
                )
        targets = tuple(filter(None, candidates))
        return SequenceTargets(targets=targets, lonely=len(numbers) - len(targets))

    def _target_if_all_sources_exist(
        self, sequence: int, frame: int, near: Mapping[int, FramePlace | None]
    ) -> Target | None:
        sources = [
            self._other_eye_place(sequence, frame) if offset == OTHER_EYE else place
            for offset, place in near.items()
        ]
        there = tuple(source for source in sources if source is not None)
        is_whole = len(there) == len(sources)
        return Target(place=FramePlace(sequence, frame), sources=there) if is_whole else None

    def _place_of_number(self, sequence: int, number: int) -> FramePlace | None:
        frame = self._indices_by_number(sequence).get(number)
        return None if frame is None else FramePlace(sequence, frame)

    def _other_eye_place(self, sequence: int, frame: int) -> FramePlace | None:
        eye = self._sequences[sequence].other_eye
        if eye is None or eye.sequence not in self._places:
            return None
        number = self._sequences[sequence].numbers[frame]
        return self._place_of_number(self._places[eye.sequence], number)

    def _indices_by_number(self, sequence: int) -> dict[int, int]:
        if sequence not in self._by_number:
            numbers = self._sequences[sequence].numbers
            self._by_number[sequence] = {number: index for index, number in enumerate(numbers)}
        return self._by_number[sequence]


def split_targets(
    frames: Sequence[SequenceTargets], share: float, stretches: int = 1
) -> TargetSplit:
    """Split targets into those to train on and those held out: a share of every sequence.

    ``stretches`` is 1 for its end, 2 for its middle and its end. No frame of a held-out target, or
    with several stretches next to one, is used in training. Of short sequences, whole ones are held
    out.
    """
    training: list[Target] = []
    held_out: list[Target] = []
    waiting, between, short = 0.0, 0, 0
    alone = sum(bool(target_set.targets) for target_set in frames) == 1
    for target_set in frames:
        if target_set.listed_held_out is not None:
            training.extend(target_set.targets)
            held_out.extend(target_set.listed_held_out)
            continue
        targets = sorted(
            target_set.targets, key=lambda target: target.place
        )  # lists are often shuffled
        wanted = share * len(targets)
        count = max(1, round(wanted)) if wanted and (wanted >= 0.5 or alone) else 0
        if wanted and not count:
            waiting += wanted
            if waiting >= len(targets) / 2:
                count = len(targets)
                waiting -= count
        several = count < len(targets) and count >= _SHORTEST * stretches
        short += 0 < count < _SHORTEST * stretches and stretches > 1
        chosen = _held_out_indices(len(targets), count, stretches if several else 1)
        kept_out = [targets[index] for index in chosen]
        gap = min(_GAP, int(_GAP_SHARE * len(targets))) if stretches > 1 else 0
        taken = {place for target in kept_out for place in target.places}
        taken |= _places_around(targets, kept_out, gap)
        free = [target for target in targets if not taken.intersection(target.places)]
        training.extend(free)
        held_out.extend(kept_out)
        between += len(targets) - count - len(free)
    if not training:
        return TargetSplit(training=tuple(held_out), held_out=(), between=between)
    return TargetSplit(
        training=tuple(training), held_out=tuple(held_out), between=between, short=short
    )


def _held_out_indices(length: int, count: int, stretches: int) -> list[int]:
    sizes = [(count + number) // stretches for number in range(stretches)]
    ends = [
        round((number + 1) / stretches * length + (size / 2 if number + 1 < stretches else 0))
        for number, size in enumerate(sizes)
    ]
    return [
        index for size, end in zip(sizes, ends, strict=True) for index in range(end - size, end)
    ]


def _places_around(
    targets: Sequence[Target], held_out: Sequence[Target], gap: int
) -> set[FramePlace]:
    """Places within ``gap`` used frames of those held out."""
    used = sorted({place for target in targets for place in target.places})
    rank = {place: index for index, place in enumerate(used)}
    return {
        used[index]
        for target in held_out
        for index in range(rank[target.place] - gap, rank[target.place] + gap + 1)
        if 0 <= index < len(used) and used[index].sequence == target.place.sequence
    }


def has_all_frames(target: Target, gone: Collection[FramePlace]) -> bool:
    """Whether none of a target's frames is gone."""
    return not any(place in gone for place in target.places)
