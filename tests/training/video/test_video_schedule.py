"""The learning rate and the course of a run on video."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, OptionError
from rilievo.training.video.schedule import TimeBudget, VideoSchedule
from rilievo.training.video.video_config import VideoConfig

CONFIG = VideoConfig(data=VideoData(roots=("a",)))


def test_fifteen_epochs_are_trained_at_the_full_rate_and_five_at_a_tenth() -> None:
    """The published program with a newer torch trains fourteen and six."""
    course = VideoSchedule.from_config(CONFIG, 39810, processes=1)
    assert course.steps == 20 * 3317
    rates = [course.learning_rate_factor(step) for step in range(course.steps)]
    assert rates.count(1.0) == 15 * 3317
    assert sum(rate == pytest.approx(0.1) for rate in rates) == 5 * 3317
    assert rates == sorted(rates, reverse=True)


def test_the_rate_climbs_to_its_peak_and_never_starts_at_nothing() -> None:
    course = VideoSchedule.from_config(replace(CONFIG, warm_up=4), 1000, processes=1)
    assert [course.learning_rate_factor(k) for k in range(6)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 1]
    )


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
    course = VideoSchedule.from_config(config, targets, processes=processes)
    assert course.steps * course.batches >= epochs * (targets // 12)
    assert (course.steps - 1) * course.batches < epochs * (targets // 12)
    ends = [step for step in range(1, course.steps + 1) if course.ends_epoch(step)]
    assert ends[-1] == course.steps
    assert len(ends) <= epochs + 1
    # Processes and accumulated batches are one and the same.
    swapped = replace(config, accumulate=accumulate * processes)
    assert VideoSchedule.from_config(swapped, targets, processes=1) == course


def test_too_few_targets_for_a_batch_are_refused() -> None:
    with pytest.raises(InputError, match=r"7 target frames .* batch size of 12; .*batch_size"):
        VideoSchedule.from_config(CONFIG, 7, processes=1)


def test_steps_take_the_place_of_epochs() -> None:
    assert VideoSchedule.from_config(replace(CONFIG, steps=7), 1000, processes=2).steps == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"accumulate": 0}, "accumulate must be 1 or more"),
        ({"steps": 0}, "steps must be 1 or more"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"precision": "fp8"}, "precision must be fp32, bf16, fp16, got 'fp8'"),
        ({"milestones": (5, 3)}, "milestones must be epochs of 1 or more, in ascending order"),
        ({"milestones": (0,)}, "milestones must be epochs of 1 or more, in ascending order"),
        ({"offsets": (-1, 0)}, "and from 0"),
        ({"offsets": ()}, "offsets must name at least one"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]


def test_a_cosine_falls_from_the_full_rate_to_nothing() -> None:
    course = VideoSchedule.from_config(replace(CONFIG, milestones=(), warm_up=2), 1000, processes=1)
    rates = [course.learning_rate_factor(9, share) for share in (0, 0.5, 1)]
    assert rates == pytest.approx([1, 0.5, 0])
    assert course.learning_rate_factor(0) == pytest.approx(0.5)


def spent(budget: TimeBudget, pace: Callable[[float], float], *, validation: float) -> list[float]:
    """Seconds at which the validations of a run ended; the last is the end of the run."""
    clock, ends = 0.0, list[float]()
    while budget.fraction_done < 1:
        seconds = pace(clock)
        clock += seconds
        budget.fraction_done = budget.add_seconds(seconds)
        if budget.is_validation_due():
            clock += validation
            budget.validation_seconds = validation
            budget.fraction_done = budget.add_seconds(validation)
            budget.fraction_at_validation = budget.fraction_done
            ends.append(clock)
    return ends


@pytest.mark.parametrize("pace", [lambda _: 0.5, lambda now: 0.5 if now < 100 else 4.0])
def test_a_run_of_minutes_keeps_them_whatever_its_pace(pace: Callable[[float], float]) -> None:
    budget = TimeBudget.after_preparation(
        10.0, preparation_seconds=200.0, num_validations=4, validation_seconds=5.0
    )
    ends = spent(budget, pace, validation=5.0)
    assert len(ends) == 4
    assert 395 < ends[-1] <= 400 + 4.0


def test_a_run_of_minutes_whose_preparation_took_them_trains_for_a_quarter_of_them() -> None:
    budget = TimeBudget.after_preparation(
        10.0, preparation_seconds=590.0, num_validations=6, validation_seconds=20.0
    )
    assert budget.total_seconds == 150
    # Six validations would leave half a minute for steps.
    assert budget.num_validations == 1
    assert spent(budget, lambda _: 1.0, validation=20.0)[-1] <= 151


def test_a_run_of_minutes_moves_from_its_first_step() -> None:
    budget = TimeBudget.after_preparation(
        1.0, preparation_seconds=10.0, num_validations=2, validation_seconds=0.0
    )
    shares = []
    for _ in range(10):
        budget.fraction_done = budget.add_seconds(5.0)
        shares.append(budget.fraction_done)
    assert shares == pytest.approx([step / 10 for step in range(1, 11)])
