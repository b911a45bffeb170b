"""Presets that follow from what was asked for, where none was named."""

from pathlib import Path

import pytest

from rilievo.data.clips.footage import VideoData
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.video.schedule import VideoSchedule
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_defaults import UncheckedVideoConfig, complete_video_config


def asked(pose: PoseKind, *fields: str) -> VideoConfig:
    request = UncheckedVideoConfig(
        blueprint=VideoBlueprint(pose=pose, size=(96, 128)),
        data=VideoData(roots=(Path("clip.mp4"),)),
    )
    return complete_video_config(request, {"blueprint.size", *fields})


@pytest.mark.parametrize("pose", [PoseKind.SHARED, PoseKind.SEPARATE, PoseKind.CNN])
def test_a_network_of_motion_is_more_than_the_refinement_of_a_clip(pose: PoseKind) -> None:
    config = asked(pose, "blueprint.pose")
    assert (config.preset, config.blueprint.pose) == ("default", pose)


def test_a_clip_is_refined_where_no_more_is_asked_for() -> None:
    assert asked(PoseKind.SHARED).preset == "clip"
    assert asked(PoseKind.GEOMETRY, "blueprint.pose").preset == "clip"


@pytest.mark.parametrize(
    ("given", "steps", "minutes"),
    [
        ({"epochs"}, 10, None),
        ({"epochs", "steps"}, 7, None),
        ({"epochs", "steps", "minutes"}, 7, 3.0),
        ({"minutes"}, None, 3.0),
    ],
)
@pytest.mark.parametrize("pose", [PoseKind.GEOMETRY, PoseKind.CNN])
def test_minutes_come_before_steps_and_steps_before_epochs(
    given: set[str], steps: int | None, minutes: float | None, pose: PoseKind
) -> None:
    request = UncheckedVideoConfig(
        blueprint=VideoBlueprint(pose=pose, size=(96, 128)),
        data=VideoData(roots=(Path("clip.mp4"),)),
        batch_size=4,
        epochs=2,
        steps=7,
        minutes=3.0,
    )
    fields = {"blueprint.size", "blueprint.pose", "batch_size", *given}
    config = complete_video_config(request, fields)
    schedule = VideoSchedule.from_config(config, 20, processes=1)
    assert schedule.minutes == minutes
    if steps is not None:
        assert schedule.steps == steps
