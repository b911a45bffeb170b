"""Presets of probe training, and the one place that says what differs between them.

``probe3d`` trains as the program released with Probe3D (El Banani et al. 2024) does, its oddities
included: ``head`` as it stands, ``old`` as it stood when the paper's numbers were made. ``default``
mends them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.networks.blueprint import TREATMENTS, Blueprint, DepthChoice
from rilievo.train.probe.config import (
    Augmentation,
    DataChoice,
    GradientForm,
    Losses,
    NormalsLoss,
    ProbeConfig,
    Schedule,
)
from rilievo.types import Setting

PRESETS = TREATMENTS
"""``probe3d`` is the program's newest state, ``probe3d-old`` that behind the published numbers."""

REASONS: Mapping[str, str] = {
    "preset": "the name",
    "blueprint.treatment": (
        "inputs normalised by ImageNet for every backbone, padded by a whole patch where one side "
        "is divisible already, and the map of the padded image stretched over the image, corners "
        "on corners (the old state repeats cells); 'default' normalises as each backbone was "
        "trained, pads least, cuts the padding off, and keeps the centres of pixels"
    ),
    "losses.gradient_form": (
        "gradients between images of the batch, a mistake mended later; else between rows and "
        "columns"
    ),
    "augmentation.jitter": "colours change in 80 % of the images, anew every epoch",
    "augmentation.crop": "half of the images are cropped, anew every epoch",
    "final_factor": "the learning rate ends at 1 % of its peak, not at 0",
    "schedule": "a quarter of a cosine, not half of one as the paper says",
    "shuffle": "on one GPU the program never shuffles",
}
"""Why a field of a preset is not as in ``default``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of a run that is not as in the preset ``default``.

    Attributes:
        field: Where it stands in the configuration, such as ``losses.depth``.
        value: In this run.
        default: In ``default``.
        reason: What the preset has it for; None where the user chose it.
    """

    field: str
    value: str
    default: str
    reason: str | None = None


def preset_config(name: str, blueprint: Blueprint, data: DataChoice) -> ProbeConfig:
    """The configuration of a preset.

    Args:
        name: In ``PRESETS``.
        blueprint: What is trained; its treatment is set by the preset.
        data: On what.

    Raises:
        OptionError: If there is no such preset.
    """
    if name not in PRESETS:
        raise OptionError(f"no preset '{name}'; {suggest(name, PRESETS)}")
    blueprint = replace(blueprint, depth=_depth_of(blueprint.depth, data))
    # Without kappa there is but the plain angle to learn from.
    normals = NormalsLoss.UNCERTAIN if blueprint.uncertainty else NormalsLoss.ANGULAR
    if name == "default":
        return ProbeConfig(
            blueprint=replace(blueprint, treatment="default"),
            data=data,
            losses=Losses(normals=normals),
        )
    form = GradientForm.OLD if name == "probe3d-old" else GradientForm.HEAD
    return ProbeConfig(
        preset=name,
        blueprint=replace(blueprint, treatment=name),
        data=data,
        losses=Losses(gradient_form=form, normals=normals),
        augmentation=Augmentation(jitter=0.8, crop=0.5),
        final_factor=0.01,
        schedule=Schedule.QUARTER_COSINE,
        shuffle=False,
    )


def _depth_of(depth: DepthChoice, data: DataChoice) -> DepthChoice:
    """What depth is in this data: NAVI's relative depth is stretched to 0.01 to 1 in each image."""
    if data.dataset != "navi" or not (data.variant or "").startswith("relative"):
        return depth
    return replace(depth, kind=DepthKind.AFFINE, largest=min(depth.largest, 1.0))


def overridden(config: ProbeConfig, changes: Mapping[str, Setting]) -> ProbeConfig:
    """A configuration with some of its fields changed.

    Args:
        config: To start from.
        changes: Values by field, a dot between a record and a field in it: ``losses.depth``.

    Raises:
        OptionError: If there is no such field, or the value does not go with it.
    """
    data, known = json.loads(to_json(config)), _flat(config)
    for path, value in changes.items():
        if path not in known or path.startswith(("blueprint.", "data.", "preset")):
            fields_of_training = [name for name in known if not name.startswith("blueprint.")]
            raise OptionError(f"training has no '{path}'; {suggest(path, fields_of_training)}")
        *records, name = path.split(".")
        part = data
        for record in records:
            part = part[record]
        part[name] = value
    try:
        return from_json(ProbeConfig, json.dumps(data))
    except NotThisRecord as error:
        raise OptionError(f"training: {error}") from error


def differences(config: ProbeConfig) -> tuple[Difference, ...]:
    """What of a run is not as in ``default``, beside its data, seed, backbone, probe and task."""
    usual = _flat(preset_config("default", config.blueprint, config.data))
    named = _flat(preset_config(config.preset, config.blueprint, config.data))
    return tuple(
        Difference(
            field=path,
            value=value,
            default=usual[path],
            reason=REASONS.get(path) if value == named[path] else None,
        )
        for path, value in _flat(config).items()
        if value != usual[path] and path != "seed"
    )


def _flat(record: object, prefix: str = "") -> dict[str, str]:
    """Every field of a record and of those in it, by its path, in words."""
    words: dict[str, str] = {}
    assert is_dataclass(record), "a configuration is made of records"
    for each in fields(record):
        value, path = getattr(record, each.name), f"{prefix}{each.name}"
        words |= _flat(value, f"{path}.") if is_dataclass(value) else {path: str(value)}
    return words
