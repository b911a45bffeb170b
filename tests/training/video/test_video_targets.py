import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.data.clips.sequence_camera import SequenceCamera
from rilievo.data.clips.sequences import Clip, ListedTargets, OtherEye
from rilievo.geometry.cameras.camera import Camera
from rilievo.training.video.frames.targets import (
    FramePlace,
    SequenceTargets,
    SourceFinder,
    split_targets,
)

CAMERA = SequenceCamera(camera=Camera(K=np.diag([50.0, 50.0, 1.0])))


def sequence(numbers: list[int], **more: object) -> Clip:
    named = {
        "id": "clip",
        "frame_numbers": tuple(numbers),
        "shape": (64, 96),
        "camera": CAMERA,
        **more,
    }
    return Clip(**named)  # pyright: ignore[reportArgumentType]


def contents_text(
    runs: list[list[int]], *, offsets: tuple[int, ...] = (-1, 1), stride: int = 1
) -> SequenceTargets:
    count = max(max(run) for run in runs) + 1
    return SourceFinder([sequence(list(range(count)))], {0: runs}).find_targets(0, offsets, stride)


def frames_of(search: SequenceTargets) -> list[list[int]]:
    return [[place.frame for place in target.places] for target in search.targets]


def test_neighbours_are_those_of_the_run_and_none_reach_over_a_cut() -> None:
    targets = contents_text([[0, 1, 4, 5], [6, 7, 8]])
    assert frames_of(targets) == [[1, 0, 4], [4, 1, 5], [7, 6, 8]]
    assert targets.num_without_sources == 4


def test_neighbours_are_a_stride_apart() -> None:
    targets = contents_text([list(range(7))], stride=2)
    assert frames_of(targets) == [[2, 0, 4], [3, 1, 5], [4, 2, 6]]
    assert frames_of(contents_text([list(range(5))], offsets=(-2, -1, 1))) == [
        [2, 0, 1, 3],
        [3, 1, 2, 4],
    ]


def test_a_list_takes_neighbours_by_number() -> None:
    numbers = [3, 4, 5, 7, 8, 9]
    listed = ListedTargets(training=(8, 4, 5, 6, 99), held_out=(8,))
    targets = SourceFinder([sequence(numbers, listed_targets=listed)], {}).find_targets(
        0, (-1, 1), 1
    )
    assert frames_of(targets) == [[4, 3, 5], [1, 0, 2]]
    assert targets.listed_held_out is not None
    assert [target.place.frame for target in targets.listed_held_out] == [4]
    assert targets.num_without_sources == 3


def test_neighbours_of_a_list_are_a_stride_apart() -> None:
    numbers = sequence(list(range(3, 12)), listed_targets=ListedTargets(training=(6, 4)))
    targets = SourceFinder([numbers], {}).find_targets(0, (-1, 1), 2)
    assert frames_of(targets) == [[3, 1, 5]]


def test_the_other_eye_is_the_frame_of_the_same_number() -> None:
    left = sequence([0, 1, 2], id="left", other_eye=OtherEye(sequence="right", x_offset=-0.5))
    right = sequence([1, 2, 3], id="right", listed_targets=ListedTargets(training=()))
    targets = SourceFinder([left, right], {0: [[0, 1, 2]]}).find_targets(0, (0,), 1)
    assert [target.places for target in targets.targets] == [
        (FramePlace(0, 1), FramePlace(1, 0)),
        (FramePlace(0, 2), FramePlace(1, 1)),
    ]
    assert targets.num_without_sources == 1


def test_the_last_targets_of_every_sequence_are_held_out() -> None:
    parted = split_targets([contents_text([list(range(42))])], 0.1)
    assert [target.place.frame for target in parted.held_out] == [37, 38, 39, 40]
    assert parted.training[-1].place.frame == 34
    assert parted.num_near_held_out == 2


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.floats(0, 0.6),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_no_frame_is_both_learned_from_and_held_out(
    lengths: list[int], share: float, stride: int, stretches: int
) -> None:
    sequences = [sequence(list(range(length)), id=str(k)) for k, length in enumerate(lengths)]
    source_finder = SourceFinder(sequences, {k: [range(n)] for k, n in enumerate(lengths)})
    targets = [source_finder.find_targets(k, (-1, 1), stride) for k in range(len(lengths))]
    parted = split_targets(targets, share, stretches)
    learned = {place for target in parted.training for place in target.places}
    assert not learned & {place for target in parted.held_out for place in target.places}
    total = sum(len(each.targets) for each in targets)
    assert len(parted.training) + len(parted.held_out) + parted.num_near_held_out == total
    assert bool(parted.training) == bool(total)


@pytest.mark.parametrize("stride", [1, 5])
def test_the_middle_and_the_end_are_held_out_with_a_gap(stride: int) -> None:
    """Frames that the camera stood still in, 92 to 111, do not count as a gap."""
    run = [*range(92), *range(112, 220)]
    [targets] = [contents_text([run], stride=stride)]
    parted = split_targets([targets], 0.1, 2)
    judged = [run.index(target.place.frame) for target in parted.held_out]
    count = len(targets.targets)
    assert len(judged) == round(0.1 * count)
    half = len(judged) // 2
    for stretch in (judged[:half], judged[half:]):
        assert stretch == list(range(stretch[0], stretch[-1] + 1))
    assert judged[-1] == 199 - stride
    assert np.mean(judged[:half]) == pytest.approx(99.5, abs=1)
    seen = {run.index(place.frame) for target in parted.training for place in target.places}
    assert min(abs(one - other) for one in judged for other in seen) == 6
    assert min(seen) == 0
    assert len(parted.training) + len(judged) + parted.num_near_held_out == count
    assert parted.num_too_short == 0


def test_every_sequence_has_its_own_middle_and_end() -> None:
    sequences = [sequence(list(range(length)), id=str(length)) for length in (102, 82)]
    source_finder = SourceFinder(sequences, {0: [range(102)], 1: [range(82)]})
    parted = split_targets([source_finder.find_targets(k, (-1, 1), 1) for k in (0, 1)], 0.1, 2)
    assert [target.place for target in parted.held_out] == [
        *(FramePlace(0, frame) for frame in [*range(48, 53), *range(96, 101)]),
        *(FramePlace(1, frame) for frame in [*range(39, 43), *range(77, 81)]),
    ]


def test_a_short_sequence_has_its_end_held_out_alone() -> None:
    parted = split_targets([contents_text([list(range(42))])], 0.1, 2)
    assert [target.place.frame for target in parted.held_out] == [37, 38, 39, 40]
    assert parted.training[-1].place.frame == 33
    assert parted.num_too_short == 1


@pytest.mark.parametrize("length", [5, 8])
def test_some_of_many_short_clips_are_held_out_whole(length: int) -> None:
    sequences = [sequence(list(range(length)), id=str(k)) for k in range(200)]
    source_finder = SourceFinder(sequences, {k: [range(length)] for k in range(200)})
    parted = split_targets([source_finder.find_targets(k, (-1, 1), 1) for k in range(200)], 0.05)
    assert len(parted.held_out) == pytest.approx(0.05 * 200 * (length - 2), abs=length)
    assert parted.num_near_held_out == 0


def test_the_last_of_a_shuffled_list_are_the_last_in_time() -> None:
    numbers = list(range(1, 41))
    np.random.default_rng(0).shuffle(numbers)
    listed = ListedTargets(training=tuple(numbers))
    targets = SourceFinder([sequence(list(range(42)), listed_targets=listed)], {}).find_targets(
        0, (-1, 1), 1
    )
    parted = split_targets([targets], 0.1)
    assert sorted(target.place.frame for target in parted.held_out) == [37, 38, 39, 40]
    assert parted.num_near_held_out == 2


def test_a_share_of_nothing_holds_nothing_out() -> None:
    parted = split_targets([contents_text([list(range(20))])], 0.0)
    assert parted.held_out == ()
    assert len(parted.training) == 18


def test_the_list_of_a_split_says_what_is_held_out() -> None:
    listed = ListedTargets(training=(4, 5), held_out=(5,))
    targets = SourceFinder([sequence(list(range(9)), listed_targets=listed)], {}).find_targets(
        0, (-1, 1), 1
    )
    parted = split_targets([targets], 0.5)
    assert [target.place.frame for target in parted.training] == [4, 5]
    assert [target.place.frame for target in parted.held_out] == [5]
