"""A run that learned nothing says so."""

import pytest

from rilievo.training.video.video_records import VideoRecord


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
