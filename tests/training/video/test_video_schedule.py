"""The learning rate and the course of a run on video."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, OptionError
from rilievo.training.video.schedule import Course, Minutes
from rilievo.training.video.video_config import VideoConfig

CONFIG = VideoConfig(data=VideoData(roots=("a",)))


def test_fifteen_epochs_are_trained_at_the_full_rate_and_five_at_a_tenth() -> None:
    """The published program with a newer torch trains fourteen and six."""
    course = Course.from_config(CONFIG, 39810, processes=1)
    assert course.steps == 20 * 3317
    rates = [course.rate(step) for step in range(course.steps)]
    assert rates.count(1.0) == 15 * 3317
    assert sum(rate == pytest.approx(0.1) for rate in rates) == 5 * 3317
    assert rates == sorted(rates, reverse=True)


def test_the_rate_climbs_to_its_peak_and_never_starts_at_nothing() -> None:
    course = Course.from_config(replace(CONFIG, warm_up=4), 1000, processes=1)
    assert [course.rate(k) for k in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


@given(
    targets=st.integers(12, 500),
    epochs=st.integers(1, 7),
    accumulate=st.integers(1, 5),
    processes=st.integers(1, 4),
)
@settings(deadline=None)
def test_an_epoch_ends_as_often_as_there_are_epochs_and_all_batches_are_seen(
    targets: int, epochs: int, accumulate: int, processes: int
) -> None:
    config = replace(CONFIG, epochs=epochs, accumulate=accumulate)
    course = Course.from_config(config, targets, processes=processes)
    assert course.steps * course.batches >= epochs * (targets // 12)
    assert (course.steps - 1) * course.batches < epochs * (targets // 12)
    ends = [step for step in range(1, course.steps + 1) if course.ends_epoch(step)]
    assert ends[-1] == course.steps
    assert len(ends) <= epochs + 1
    # Processes and accumulated batches are one and the same.
    swapped = replace(config, accumulate=accumulate * processes)
    assert Course.from_config(swapped, targets, processes=1) == course


def test_too_few_targets_for_a_batch_are_refused() -> None:
    with pytest.raises(InputError, match=r"7 targets are fewer than a batch of 12; .*batch_size"):
        Course.from_config(CONFIG, 7, processes=1)


def test_steps_take_the_place_of_epochs() -> None:
    assert Course.from_config(replace(CONFIG, steps=7), 1000, processes=2).steps == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs is 1 or more, got 0"),
        ({"accumulate": 0}, "accumulate is 1 or more"),
        ({"steps": 0}, "steps is 1 or more"),
        ({"learning_rate": -1.0}, "learning_rate is above 0"),
        ({"clip_norm": 0.0}, "clip_norm is above 0"),
        ({"precision": "fp8"}, "precision is fp32, bf16, fp16, got 'fp8'"),
        ({"milestones": (5, 3)}, "milestones are epochs in order"),
        ({"milestones": (0,)}, "milestones are epochs in order"),
        ({"offsets": (-1, 0)}, "without 0"),
        ({"offsets": ()}, "need offsets"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]


def test_a_cosine_falls_from_the_full_rate_to_nothing() -> None:
    course = Course.from_config(replace(CONFIG, milestones=(), warm_up=2), 1000, processes=1)
    rates = [course.rate(9, share) for share in (0, 0.5, 1)]
    assert rates == pytest.approx([1, 0.5, 0])
    assert course.rate(0) == pytest.approx(0.5)


def spent(minutes: Minutes, pace: Callable[[float], float], *, validation: float) -> list[float]:
    """Seconds at which the validations of a run ended; the last is the end of the run."""
    clock, ends = 0.0, list[float]()
    while minutes.share < 1:
        seconds = pace(clock)
        clock += seconds
        minutes.share = minutes.add_seconds(seconds)
        if minutes.is_validation_due():
            clock += validation
            minutes.validation = validation
            minutes.share = minutes.add_seconds(validation)
            minutes.validated = minutes.share
            ends.append(clock)
    return ends


@pytest.mark.parametrize("pace", [lambda _: 0.5, lambda now: 0.5 if now < 100 else 4.0])
def test_a_run_of_minutes_keeps_them_whatever_its_pace(pace: Callable[[float], float]) -> None:
    minutes = Minutes.after_preparation(10.0, spent=200.0, validations=4, validation=5.0)
    ends = spent(minutes, pace, validation=5.0)
    assert len(ends) == 4
    assert 395 < ends[-1] <= 400 + 4.0


def test_a_run_of_minutes_whose_preparation_took_them_trains_for_a_quarter_of_them() -> None:
    minutes = Minutes.after_preparation(10.0, spent=590.0, validations=6, validation=20.0)
    assert minutes.given == 150
    # Six validations would leave half a minute for steps.
    assert minutes.validations == 1
    assert spent(minutes, lambda _: 1.0, validation=20.0)[-1] <= 151


def test_a_run_of_minutes_moves_from_its_first_step() -> None:
    minutes = Minutes.after_preparation(1.0, spent=10.0, validations=2, validation=0.0)
    shares = []
    for _ in range(10):
        minutes.share = minutes.add_seconds(5.0)
        shares.append(minutes.share)
    assert shares == pytest.approx([step / 10 for step in range(1, 11)])
