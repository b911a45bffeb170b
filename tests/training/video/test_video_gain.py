"""The gain of a run over its start: its interval, and the words for it."""

import itertools

import numpy as np
import pytest
from scipy import stats

from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.gain import Gain, _student_quantile, error_gain
from rilievo.training.video.video_records import VideoRecord

STRETCHES = (range(100, 120), range(400, 420))


def places_of(stretches: tuple[range, ...] = STRETCHES) -> list[FramePlace]:
    return [FramePlace(0, frame) for frame in itertools.chain(*stretches)]


def errors_of(seed: int, factor: float, count: int = 40) -> tuple[list[float], list[float]]:
    """Errors before and after, which are alike within every five frames."""
    rng = np.random.default_rng(seed)
    before = np.repeat(rng.uniform(0.1, 0.2, count // 5), 5)
    after = before * np.repeat(factor + rng.normal(0, 0.05, count // 5), 5)
    return before.tolist(), after.tolist()


def test_the_gain_is_that_of_the_sums() -> None:
    gain = error_gain(
        places_of((range(2), range(50, 52))), [0.1, 0.1, 0.3, 0.3], [0.1, 0.1, 0.2, 0.2]
    )
    assert gain.share == pytest.approx(0.25)
    assert gain.frames == 4


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_that_of_the_linearised_ratio(seed: int) -> None:
    """The delta method's error of a ratio of sums over blocks, with Student's factor."""
    before, after = errors_of(seed, 0.9)
    gain = error_gain(places_of(), before, after)
    x, y = (np.reshape(each, (8, 5)).sum(axis=1) for each in (before, after))
    error = np.sqrt(8 * np.var(y - y.sum() / x.sum() * x, ddof=1)) / x.sum()
    half = stats.t.ppf(0.975, 7) * error
    assert gain.low is not None
    assert gain.high is not None
    assert gain.share - gain.low == pytest.approx(half, rel=0.1)
    assert gain.high - gain.share == pytest.approx(half, rel=0.1)


def test_the_interval_has_the_true_gain_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(300):
        gain = error_gain(places_of(), *errors_of(seed, 0.95))
        assert gain.low is not None
        assert gain.high is not None
        hits += gain.low < 0.05 < gain.high
    assert 0.91 <= hits / 300 <= 0.99


def test_no_error_falls_by_more_than_all_of_it() -> None:
    # The errors fall by 95% and 85%: the interval from two frames, with a factor of 12.7, is wide.
    places = [FramePlace(0, 0), FramePlace(0, 100)]
    gain = error_gain(places, [1.0, 2.0], [0.05, 0.3])
    assert gain.share == pytest.approx(1 - 0.35 / 3)
    assert gain.high == 1
    assert gain.low is not None
    assert gain.low < gain.share


def test_frames_beside_each_other_do_not_count_as_many() -> None:
    before, after = errors_of(0, 0.9)
    dense = error_gain(places_of(), before, after)
    apart = error_gain([FramePlace(0, 100 * index) for index in range(40)], before, after)
    assert dense.low is not None
    assert apart.low is not None
    assert dense.share == apart.share
    assert dense.share - dense.low > 1.8 * (apart.share - apart.low)


def test_sequences_are_blocks_of_their_own() -> None:
    together = error_gain([FramePlace(0, 0), FramePlace(0, 1)], [0.1, 0.2], [0.1, 0.1])
    assert (together.low, together.high) == (None, None)
    assert error_gain([FramePlace(0, 0), FramePlace(1, 1)], [0.1, 0.2], [0.1, 0.1]).low is not None


def test_frames_without_an_error_do_not_count() -> None:
    places = places_of((range(3), range(50, 53)))
    nan = float("nan")
    gain = error_gain(places, [0.1, nan, 0.1, 0.3, 0.3, 0.3], [0.1, 0.5, 0.1, 0.3, nan, 0.3])
    assert (gain.share, gain.frames) == (0.0, 4)
    assert error_gain(places[:1], [nan], [0.1]).frames == 0


def test_student_s_factors_are_those_of_scipy() -> None:
    for degrees in range(1, 200):
        assert _student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3)


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Gain(share=0.04, low=0.012, high=0.068, frames=20), "better by 4% (1 to 7)"),
        (Gain(share=-0.03, low=-0.05, high=-0.01, frames=20), "worse by 3% (1 to 5)"),
        (
            Gain(share=0.005, low=-0.02, high=0.03, frames=20),
            "no measurable difference on 20 held-out frames (\u22122 to +3%)",
        ),
        (
            Gain(share=-0.01, low=-0.03, high=0.01, frames=1),
            "no measurable difference on 1 held-out frame (\u22123 to +1%)",
        ),
        (
            Gain(share=0.4, frames=1),
            "no measurable difference on 1 held-out frame (too few)",
        ),
    ],
)
def test_words_say_no_more_than_the_interval(gain: Gain, words: str) -> None:
    assert gain.words == words


def test_a_start_that_is_kept_says_what_the_best_of_the_run_was() -> None:
    record = VideoRecord(
        targets=9,
        held_out=20,
        notes=(),
        depth_parameters=1,
        pose_parameters=0,
        steps=40,
        epochs=1.0,
        processes=1,
        start_error=0.1,
        corner_error=0.1,
        gain=Gain(share=-0.03, low=-0.05, high=-0.01, frames=20),
        kept_start=True,
        sequences=(),
        warnings=(),
        seconds=1.0,
        device="cpu",
        torch_version="2",
        version="1",
        differences=(),
    )
    assert record.quality_warnings[0].endswith("the best later weights: worse by 3% (1 to 5)")
