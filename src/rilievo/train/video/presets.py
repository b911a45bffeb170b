"""Presets of training on video, and the one place that says what differs between them.

``faithful`` trains as the authors of Monodepth2 (Godard et al. 2019) trained: their losses,
sampling, augmentation and schedule. ``default`` mends what is wrong with it.
"""

from collections.abc import Mapping
from dataclasses import replace

from rilievo.errors import OptionError, suggest
from rilievo.train.differences import Difference, changed, find_differences
from rilievo.train.video.config import VideoAugmentation, VideoConfig, VideoLosses

PRESETS = ("default", "faithful")

REASONS: Mapping[str, str] = {
    "preset": "the name",
    "augmentation.move_centre": (
        "a mirrored frame keeps its principal point, as the published program has it, which "
        "supposes that it lies in the middle; 'default' moves it too"
    ),
    "losses.in_front": (
        "a point behind a source's camera takes a colour from wherever the division lands; "
        "'default' gives it the largest error"
    ),
    "warm_up": (
        "the full learning rate from the first step on; 'default' climbs, so that a pose network "
        "fresh from chance does not push depth to one end of its range"
    ),
    "clip_norm": "no bound of the gradient; 'default' survives a single bad batch",
}
"""Why a field of ``faithful`` is not as in ``default``."""


def preset_config(config: VideoConfig) -> VideoConfig:
    """A configuration with the numbers of its preset in place of its own.

    Blueprint, data, start, seed and the size of a batch stay: they are no matter of the preset.

    Raises:
        OptionError: If there is no such preset.
    """
    if config.preset not in PRESETS:
        raise OptionError(f"no preset '{config.preset}'; {suggest(config.preset, PRESETS)}")
    plain = VideoConfig(
        blueprint=replace(config.blueprint, mask=False),
        data=config.data,
        preset=config.preset,
        start=config.start,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    if config.preset == "faithful":
        return replace(
            plain,
            losses=VideoLosses(in_front=False),
            augmentation=VideoAugmentation(move_centre=False),
        )
    return replace(plain, warm_up=200, clip_norm=10.0)


def overridden(config: VideoConfig, changes: Mapping[str, object]) -> VideoConfig:
    """A configuration with some of its fields changed.

    Args:
        config: To start from.
        changes: Values by field, a dot between a record and a field in it: ``losses.ssim``.

    Raises:
        OptionError: If there is no such field, or the value does not go with it.
    """
    return changed(config, changes, fixed=("data.", "preset", "format"))


def differences(config: VideoConfig) -> tuple[Difference, ...]:
    """What of a run is not as in ``default``, beside its blueprint, data, start and batch."""
    found = find_differences(
        config,
        usual=preset_config(replace(config, preset="default")),
        named=preset_config(config),
        reasons=REASONS,
    )
    return tuple(each for each in found if not each.field.startswith("blueprint."))
