"""Presets of training a probe or a whole network, and the completion of given options."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from rilievo.errors import OptionError, suggest
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.training.engine.config_fields import (
    FieldDifference,
    find_differences,
    override_fields,
    with_changed_fields,
)
from rilievo.training.losses.supervised_options import (
    ANGULAR,
    MSE,
    UNCERTAIN,
    GradientForm,
    Losses,
)
from rilievo.training.networks.blueprint import (
    RANDOM,
    TREATMENTS,
    Blueprint,
    DepthChoice,
    is_whole_network,
)
from rilievo.training.probe.probe_config import (
    PLAIN,
    PRESETS,
    Augmentation,
    DataChoice,
    ProbeConfig,
    Schedule,
)

REASONS: Mapping[str, str] = {
    "preset": "the name of the preset",
    "blueprint.treatment": (
        "images are normalised with ImageNet's statistics for every backbone, and padded by a "
        "whole patch even along a side that is already a multiple of it, and the features of the "
        "padded image are stretched over the image, corner to corner (probe3d-old repeats them "
        "instead); 'default' normalises as each backbone was trained, pads as little as possible, "
        "cuts off the padding, and keeps pixel centres in place"
    ),
    "losses.gradient_form": (
        "gradients are taken between images of the batch, a mistake that was fixed later; "
        "'default' takes them between rows and columns"
    ),
    "losses.zero_normals": (
        "normals are learned wherever depth is known, so a ground-truth normal of length zero "
        "counts as an error of 90 degrees, and a normal without depth is ignored; 'default' learns "
        "wherever a normal is known"
    ),
    "augmentation.jitter": (
        "the colours of 80% of the images are changed, differently in every epoch"
    ),
    "augmentation.crop": "half of the images are cropped, differently in every epoch",
    "final_factor": "the learning rate ends at 1% of its peak, not at 0",
    "schedule": "the schedule is a quarter of a cosine, not half of one as the paper says",
    "shuffle": "the program of Probe3D does not shuffle the images if it runs on one GPU",
}
"""Reasons why the presets of Probe3D differ from ``default``, by field."""
_NO_SCHEDULE = "the learning rate is constant"
PLAIN_REASONS: Mapping[str, str] = {
    "preset": "the name of the preset",
    "losses.depth": "the loss is the mean squared error",
    "losses.normals": "the loss is the mean squared error",
    "batch_size": "a batch has two images",
    "learning_rate": "this is the usual learning rate of Adam",
    "weight_decay": "AdamW without weight decay is Adam, up to rounding",
    "warm_up": _NO_SCHEDULE,
    "final_factor": _NO_SCHEDULE,
    "schedule": _NO_SCHEDULE,
}
"""Reasons why the preset ``plain`` differs from ``default``, by field."""


def complete_probe_config(config: ProbeConfig, given_fields: Collection[str]) -> ProbeConfig:
    """Complete the options of ``train probe`` in which only some fields are given."""
    # Only this loss of normals learns kappa; losses of the user do not.
    learns_kappa = config.losses.normals == UNCERTAIN
    if config.preset == PLAIN and "losses.normals" not in given_fields:
        learns_kappa = False
    blueprint = replace(config.blueprint, uncertainty=learns_kappa)
    preset = preset_config(config.preset, blueprint, config.data)
    return override_fields(preset, config, given_fields)


def complete_supervised_config(config: ProbeConfig, given_fields: Collection[str]) -> ProbeConfig:
    """Complete the options of ``train supervised`` in which only some fields are given.

    By default a whole network has a linear probe, and an encoder with pretrained weights learns at
    a tenth of the rate.

    Raises:
        OptionError: If the preset is one for probes alone.
    """
    if config.preset not in ("default", PLAIN):
        raise OptionError(option="preset", expected=f"default or {PLAIN}", value=config.preset)
    backbone = config.blueprint.backbone
    probe = config.blueprint.probe
    rate = config.learning_rate
    if is_whole_network(backbone.name) and "blueprint.probe.kind" not in given_fields:
        probe = replace(probe, kind="linear")
    blueprint = replace(
        config.blueprint,
        probe=probe,
        uncertainty=config.losses.normals == UNCERTAIN,
    )
    preset = ProbeConfig(
        blueprint=blueprint,
        data=config.data,
        losses=config.losses,
        learning_rate=rate,
        backbone_rate=rate if backbone.weights == RANDOM else rate * 0.1,
    )
    if config.preset == PLAIN:
        preset = _with_plain_preset(preset)
    return override_fields(preset, config, given_fields)


def preset_config(name: str, blueprint: Blueprint, data: DataChoice) -> ProbeConfig:
    """Make the configuration of a preset for a network and data.

    Raises:
        OptionError: If there is no such preset.
    """
    if name not in PRESETS:
        raise OptionError(f"no preset '{name}'; {suggest(name, PRESETS)}")
    treatment = name if name in TREATMENTS else "default"
    adapted_blueprint = replace(
        blueprint, depth=_adapt_depth_to_data(blueprint.depth, data), treatment=treatment
    )
    # The uncertain loss needs kappa. Without it, only the plain angle can be learned.
    normals = UNCERTAIN if blueprint.uncertainty else ANGULAR
    default = ProbeConfig(blueprint=adapted_blueprint, data=data, losses=Losses(normals=normals))
    if name == "default":
        return default
    if name == PLAIN:
        return _with_plain_preset(default)
    return _with_probe3d_preset(default, name)


def _with_probe3d_preset(config: ProbeConfig, name: str) -> ProbeConfig:
    """Take what Probe3D's program does today, or what that behind its paper did."""
    gradient_form = GradientForm.OLD if name == "probe3d-old" else GradientForm.HEAD
    return replace(
        config,
        preset=name,
        losses=replace(config.losses, gradient_form=gradient_form, zero_normals=True),
        augmentation=Augmentation(jitter=0.8, crop=0.5),
        final_factor=0.01,
        schedule=Schedule.QUARTER_COSINE,
        shuffle=False,
    )


def _with_plain_preset(config: ProbeConfig) -> ProbeConfig:
    """Take plain Adam at a constant rate, and mean squared errors."""
    return replace(
        config,
        preset=PLAIN,
        losses=Losses(depth=MSE, normals=UNCERTAIN if config.blueprint.uncertainty else MSE),
        batch_size=2,
        learning_rate=1e-3,
        weight_decay=0.0,
        warm_up=0.0,
        final_factor=1.0,
        schedule=Schedule.CONSTANT,
    )


def _adapt_depth_to_data(depth: DepthChoice, data: DataChoice) -> DepthChoice:
    """Adapt the depth to a dataset: NAVI's relative depth goes from 0.01 to 1 in each image."""
    if data.dataset != "navi" or not (data.variant or "").startswith("relative"):
        return depth
    return replace(depth, kind=DepthKind.AFFINE, largest=min(depth.largest, 1.0))


def with_overrides(config: ProbeConfig, changes: Mapping[str, Setting]) -> ProbeConfig:
    """Change fields by their path, such as ``losses.depth``; network and data are fixed."""
    return with_changed_fields(config, changes, fixed=("blueprint.", "data.", "preset"))


def preset_differences(config: ProbeConfig) -> tuple[FieldDifference, ...]:
    """List the fields that differ from the preset ``default`` for the same network and data."""
    return find_differences(
        config,
        default_preset=preset_config("default", config.blueprint, config.data),
        chosen_preset=preset_config(config.preset, config.blueprint, config.data),
        reasons=PLAIN_REASONS if config.preset == PLAIN else REASONS,
    )
