"""A run that learned nothing says so."""

import pytest
from torch import nn

from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames
from rilievo.training.video.video_learner import VideoLearner
from rilievo.training.video.video_records import VideoRecord
from rilievo.training.video.video_run import _weigh_corner_loss


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, ()),
        ({"warp_error": 0.12, "identity_error": 0.19}, ()),
        ({"warp_error": 0.2054, "identity_error": 0.1882}, ("0.2054", "0.1882")),
        ({"abs_rel": 0.2, "constant_abs_rel": 0.3}, ()),
        ({"abs_rel": 0.31, "constant_abs_rel": 0.3}, ("0.310", "0.300")),
    ],
)
def test_doubts_name_the_numbers_that_say_it(
    numbers: dict[str, float], words: tuple[str, ...]
) -> None:
    record = VideoRecord(
        targets=9,
        held_out=2,
        notes=(),
        depth_parameters=1,
        pose_parameters=1,
        steps=40,
        epochs=1.0,
        processes=1,
        sequences=(),
        warnings=(),
        seconds=1.0,
        device="cpu",
        torch_version="2",
        version="1",
        differences=(),
        **numbers,
    )
    assert len(record.quality_warnings) == (1 if words else 0)
    assert all(word in record.quality_warnings[0] for word in words)


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        (0.0, ["no more accurate than", "does not count in the loss"]),
        (0.2, ["hardly more accurate than", "only 0.1: "]),
        (0.9, []),
    ],
)
def test_the_note_on_corners_says_what_their_weight_becomes(trust: float, words: list[str]) -> None:
    targets = VideoTargetFrames((), ())
    frames = VideoFrames(
        training=targets, held_out=targets, all_targets=targets, offsets=(-1, 1), sequences=()
    )
    networks = nn.Identity()  # losses need no networks
    learner = VideoLearner(networks, VideoLosses(corners=0.5), seed=0)  # pyright: ignore[reportArgumentType]
    notes = _weigh_corner_loss(frames, learner, trust).notes
    assert learner.losses.corners == pytest.approx(0.5 * trust)
    assert len(notes) == bool(words)
    assert all(word in str(note) for word in words for note in notes)
