"""Closing remarks about a whole evaluation."""

import pytest

from rilievo.evaluate.summaries import on_scenes


@pytest.mark.parametrize(
    ("scenes", "said"),
    [
        (["seq-01"] * 12, "frames of 1 scene (seq-01)"),
        (["b"] * 5 + ["a"] * 5, "frames of 2 scenes (a and b)"),
        (["a", "b", "c"] * 4, None),
        ([None] * 12, None),
        (["a", None, None], None),
        (["a", "a"], None),
    ],
)
def test_frames_of_one_clip_claim_no_interval(scenes: list[str | None], said: str | None) -> None:
    lines = list(on_scenes(scenes))
    assert len(lines) == (said is not None)
    assert all(said in line and "no confidence interval" in line for line in lines if said)
