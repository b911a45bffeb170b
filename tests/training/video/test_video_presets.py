"""Presets of training on video: what they are, and what is said of their differences."""

from dataclasses import replace

import pytest

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.errors import OptionError
from rilievo.training.engine.config_fields import with_changed_fields
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.video.video_config import VideoAugmentation, VideoConfig
from rilievo.training.video.video_defaults import UncheckedVideoConfig, complete_video_config
from rilievo.training.video.video_presets import (
    REASONS,
    preset_config,
    preset_differences,
)

CONFIG = VideoConfig(data=VideoData(roots=("a",)))


def test_faithful_trains_as_the_authors_did() -> None:
    config = preset_config(replace(CONFIG, preset="faithful", start="imagenet"))
    assert (config.epochs, config.batch_size, config.learning_rate) == (20, 12, 1e-4)
    assert (config.milestones, config.warm_up, config.clip_norm) == ((15,), 0, None)
    assert (config.accumulate, config.precision) == (1, "fp32")
    assert config.losses == VideoLosses(
        ssim=0.85,
        smoothness=1e-3,
        minimum=True,
        automask=True,
        align_corners=True,
        in_front=False,
        pixel_centres=False,
    )
    assert not config.blueprint.cancels_scale
    assert preset_config(CONFIG).blueprint.cancels_scale
    assert config.augmentation == VideoAugmentation(
        flip=0.5,
        jitter=0.5,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
        move_centre=False,
    )
    assert config.offsets == (-1, 1)
    assert config.blueprint.scales == (0, 1, 2, 3)
    assert (config.blueprint.size, config.start) == ((192, 640), "imagenet")


def test_every_difference_of_faithful_has_its_reason_and_every_reason_is_a_difference() -> None:
    stereo = VideoData(roots=("a",), kind=SourceKind.KITTI_RAW, stereo=True)
    config = preset_config(replace(CONFIG, preset="faithful", data=stereo))
    assert (config.data.baseline, config.blueprint.unit) == (0.1, 5.4)
    differences = preset_differences(config)
    # A warm-up of the pose network needs a start that knows depth.
    assert {each.field for each in differences} == set(REASONS) - {"pose_warm_up"}
    assert all(each.reason == REASONS[each.field] for each in differences)
    assert preset_differences(preset_config(CONFIG)) == ()


def test_clip_is_compared_with_itself_and_takes_no_reason_of_faithful() -> None:
    blueprint = VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY)
    clip = preset_config(replace(CONFIG, preset="clip", start="rilievo/small", blueprint=blueprint))
    assert preset_differences(clip) == ()
    [warm_up] = preset_differences(replace(clip, warm_up=5))
    assert (warm_up.field, warm_up.default, warm_up.reason) == ("warm_up", "20", None)


def test_a_camera_that_the_user_gives_is_kept_by_faithful_too() -> None:
    given = VideoData(roots=("a",), kind=SourceKind.KITTI_RAW, camera=(700.0, 700.0, 600.0, 180.0))
    assert preset_config(replace(CONFIG, preset="faithful", data=given)).data == given
    both = preset_config(replace(CONFIG, preset="faithful", data=replace(given, stereo=True)))
    assert (both.data.baseline, both.blueprint.unit) == (None, 1.0)
    apart = VideoData(roots=("a",), kind=SourceKind.KITTI_RAW, stereo=True, baseline=0.54)
    own = preset_config(replace(CONFIG, preset="faithful", data=apart))
    assert (own.data.baseline, own.blueprint.unit) == (0.54, 1.0)
    footage = preset_config(replace(CONFIG, preset="faithful"))
    assert not footage.data.published_camera


@pytest.mark.parametrize("preset", ["clip", "default", "faithful"])
def test_given_fields_replace_those_of_the_preset_and_no_others(preset: str) -> None:
    data, losses = VideoData(roots=("a",)), VideoLosses()
    of_preset = complete_video_config(UncheckedVideoConfig(preset=preset, data=data), {"preset"})
    request = UncheckedVideoConfig(
        preset=preset,
        seed=5,
        batch_size=3,
        clip_norm=0.25,
        data=replace(data, parallax=7.0, held_out=0.3),
        losses=replace(losses, ssim=0.5, smoothness=9.0),
    )
    given = {"preset", "seed", "batch_size", "data.parallax", "losses.ssim"}
    assert complete_video_config(request, given) == replace(
        of_preset,
        seed=5,
        batch_size=3,
        data=replace(of_preset.data, parallax=7.0),
        losses=replace(of_preset.losses, ssim=0.5),
    )


def test_what_the_user_chose_is_a_difference_without_a_reason() -> None:
    preset = preset_config(CONFIG)
    config = replace(preset, losses=replace(preset.losses, ssim=0.5), seed=3, epochs=2)
    assert [
        (difference.field, difference.value, difference.reason)
        for difference in preset_differences(config)
    ] == [
        ("losses.ssim", "0.5", None),
        ("epochs", "2", None),
    ]


def test_blueprint_data_and_batch_are_no_matter_of_a_preset() -> None:
    config = replace(
        CONFIG,
        preset="faithful",
        blueprint=VideoBlueprint(encoder="lite", size=(64, 96)),
        batch_size=3,
        seed=5,
    )
    found = preset_config(config)
    assert (found.blueprint, found.batch_size, found.seed) == (config.blueprint, 3, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lossse.ssim": 0.5}, "no training field 'lossse.ssim'; did you mean 'losses.ssim'"),
        ({"losses.ssim": "much"}, "losses.ssim"),
        ({"losses.ssim": 2.0}, "share of SSIM"),
        ({"data.stereo": True}, "no training field 'data.stereo'"),
        ({"milestones": [4, 2]}, "milestones"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        with_changed_fields(CONFIG, changes, fixed=("data.",))


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'faithful'"):
        preset_config(replace(CONFIG, preset="faithfull"))
