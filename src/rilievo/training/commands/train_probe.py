"""``rilievo train probe``, ``rilievo train supervised``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.cli.parsing import fields_in_arguments, flag_as_written, parse
from rilievo.cli.streams import printing, say
from rilievo.errors import OptionError, needing
from rilievo.schema.fields import option
from rilievo.training.engine.progress import is_first_process
from rilievo.training.networks.blueprint import RANDOM
from rilievo.training.probe.probe_config import (
    SUPERVISED,
    DataChoice,
    ProbeConfig,
    RunOptions,
    UncheckedProbeConfig,
)
from rilievo.training.probe.probe_presets import complete_probe_config, complete_supervised_config
from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions
from rilievo.training.tuning.tuning_record import TuningRecord
from rilievo.training.tuning.tuning_run import fine_tune, plan_tuning

if TYPE_CHECKING:
    from rilievo.training.probe.probe_record import TrainingRecord

_ALSO_WITH_START = ("epochs", "batch_size", "learning_rate", "seed", "precision")
"""Fields of a probe's configuration that have an effect with ``--start``, too."""
_FLIP = "augmentation.flip"
"""Path of the only option of augmentation that has an effect with ``--start``."""


@dataclass(frozen=True, kw_only=True)
class ProbeArguments:
    """Options of ``rilievo train probe``."""

    GROUP: ClassVar[str] = "Output"

    output: Annotated[Path, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(in_short_help=True)] = False
    """Open the model and the images, read the first target, print what would be trained, and train
    nothing.
    """
    config: Annotated[UncheckedProbeConfig, option(name="")]
    run: Annotated[RunOptions, option(name="")] = field(default_factory=RunOptions)


def _defaults_with_start() -> dict[str, str]:
    """Words for the help about the options whose default is another one with ``--start``."""
    further = TuningConfig(data=DataChoice(), tuning=TuningOptions(start=""))
    words = {}
    for name in (*_ALSO_WITH_START, _FLIP):
        default = attrgetter(name)(further)
        if default != attrgetter(name)(SUPERVISED):
            words[f"config.{name}"] = f", {default:g} with --start"
    return words


@dataclass(frozen=True, kw_only=True)
class SupervisedArguments(ProbeArguments):
    """Options of ``rilievo train supervised``."""

    OTHER_DEFAULTS: ClassVar[Mapping[str, str]] = _defaults_with_start()

    config: Annotated[UncheckedProbeConfig, option(name="", without=("warm_up",))] = SUPERVISED
    tuning: Annotated[TuningOptions, option(name="")] = field(default_factory=TuningOptions)


def main(arguments: Sequence[str]) -> int:
    """Train a probe; return 1 if it learned nothing, else 0."""
    request, config = parse_and_complete("probe", arguments)
    return _train(request, config)


def main_supervised(arguments: Sequence[str]) -> int:
    """Train a whole network, or a model further; return 1 if it learned nothing, else 0."""
    request, config = parse_and_complete("supervised", arguments)
    assert isinstance(request, SupervisedArguments), "the record of this command"
    further_config = _tuning_config(request, arguments)
    if further_config is None:
        return _train(request, config)
    return _train_further(request, further_config)


def parse_and_complete(name: str, arguments: Sequence[str]) -> tuple[ProbeArguments, ProbeConfig]:
    """Parse the arguments of ``rilievo train NAME``, and fill in the configuration of its preset.

    ``name`` is "probe" or "supervised".
    """
    command = f"rilievo train {name}"
    if name == "probe":
        into, complete = ProbeArguments, complete_probe_config
        description = "Train a probe on a frozen backbone, for depth, normals or both."
        examples = (
            f"{command} --backbone timm/vit_small_patch14_dinov2 --root data/ -o run",
            f"{command} --backbone mobilenetv2 --dataset nyuv2 --root nyu/ --task both -o run",
        )
    else:
        into, complete = SupervisedArguments, complete_supervised_config
        description = "Train a whole network, on photographs with depth, normals or both."
        examples = (
            f"{command} --root data/ --network depth-cnn --preset plain -o run",
            f"{command} --root data/ --network timm/resnet18 --weights pretrained -o run",
            f"{command} --root data/ --start rilievo/small -o run",
        )
    request = parse(into, arguments, prog=command, description=description, examples=examples)
    return request, complete(request.config, fields_in_arguments(into, arguments, "config"))


def _tuning_config(options: SupervisedArguments, arguments: Sequence[str]) -> TuningConfig | None:
    """Configuration of a run that trains a model further; None without ``--start``.

    Raises:
        OptionError: If an argument has no effect with ``--start``, or none without it.
    """

    def flag(path: str) -> str:
        return flag_as_written(SupervisedArguments, arguments, path)

    if options.tuning.start is None:
        tuning_fields = fields_in_arguments(SupervisedArguments, arguments, "tuning")
        if tuning_fields:
            raise OptionError(
                f"{flag(f'tuning.{min(tuning_fields)}')} goes with --start, which names a model"
            )
        return None

    fields = fields_in_arguments(SupervisedArguments, arguments, "config")
    data_fields = {name for name in fields if name.startswith("data.") and name != "data.window"}
    without_effect = fields - {*_ALSO_WITH_START, _FLIP} - data_fields
    if without_effect:
        raise OptionError(f"{flag(f'config.{min(without_effect)}')} has no effect with --start")

    changes = {name: getattr(options.config, name) for name in _ALSO_WITH_START if name in fields}
    if _FLIP in fields:
        changes["augmentation"] = options.config.augmentation
    config = TuningConfig(data=options.config.data, tuning=options.tuning)
    return replace(config, **changes)


def _train(request: ProbeArguments, config: ProbeConfig) -> int:
    """Train a probe or a whole network, and print the results; return the exit code."""
    if request.dry_run:
        _say_plan(_dry_run_lines(config))
        return 0
    from rilievo.training.probe.probe_run import train_probe, write_page

    record = train_probe(config, request.output, request.run)
    assert record is not None, "nothing stops it before its end"
    if is_first_process():
        verdict = f"The loss of the last epoch is {record.loss:.4g}."
        counts = (
            f"{record.steps:,} steps on {record.images:,} images, {record.held_out:,} held out, "
            f"{record.cpu_seconds:.0f} CPU seconds on {record.device}"
        )
        page_note = write_page(request.output, verdict, counts, record.doubts)
        _say_results(request.output, record, page_note)
    return 1 if record.doubts else 0


def _train_further(request: SupervisedArguments, config: TuningConfig) -> int:
    """Train a model further, and print the results; return the exit code."""
    if request.dry_run:
        _say_plan(plan_tuning(config))
        return 0
    record = fine_tune(config, request.output, request.run)
    assert record is not None, "nothing stops it before its end"
    if is_first_process():
        _say_tuning_results(request.output, record)
    return 1 if record.doubts else 0


def _say_tuning_results(output: Path, record: TuningRecord) -> None:
    from rilievo.training.probe.probe_run import write_page

    lines = [record.kept_out.words]
    if record.second is not None:
        lines.append(record.second.words)
    if record.elsewhere is not None:
        lines.append(f"other places: depth of shipped pictures changed by {record.elsewhere:.1%}")
    early = ", ended early" if record.stopped_early else ""
    counts = (
        f"{record.steps} steps on {record.images} images, {record.cpu_seconds:.0f} CPU "
        f"seconds{early}; weights of step {record.best_step}"
    )
    page_note = write_page(output, lines[0], counts, record.doubts, lines[1:])

    warnings = [f"warning: {doubt}" for doubt in record.doubts]
    with printing():
        say(f"{output}: {counts}")
        say("\n".join([*lines, *warnings, page_note]))
        say(f"next: rilievo predict PHOTO --model {output}")


def _say_plan(lines: Sequence[str]) -> None:
    with printing():
        say("\n".join([*lines, "nothing was trained"]))


def _dry_run_lines(config: ProbeConfig) -> tuple[str, ...]:
    """Describe what would be trained, after opening the first image."""
    from rilievo.training.probe.probe_frames import describe_first_target, open_frames

    frames, blueprint = open_frames(config), config.blueprint
    with needing("training", "train"):
        from rilievo.training.networks.backbones.own_backbone import count_parameters
        from rilievo.training.networks.probe_network import (
            backbone_from_blueprint,
            probe_from_blueprint,
        )

    # No weights are fetched for a plan.
    random_backbone = replace(blueprint.backbone, weights=RANDOM)
    backbone = backbone_from_blueprint(replace(blueprint, backbone=random_backbone))
    probe = probe_from_blueprint(blueprint, backbone, seed=config.seed)

    role = "learn too" if config.backbone_rate > 0 else "stay as they are"
    height, width = blueprint.size
    steps = config.epochs * math.ceil(len(frames.training) / config.batch_size)
    return (
        f"network: {blueprint.backbone.name} for {blueprint.task}",
        f"weights: {count_parameters(probe):,} of the probe '{blueprint.probe.kind}' learn, and "
        f"{count_parameters(backbone):,} of the backbone {role}",
        f"images: {len(frames.training)} to learn from, {len(frames.held_out)} held out, seen at "
        f"{height} x {width} pixels",
        describe_first_target(frames.training, blueprint.task),
        f"steps: {steps} of {config.batch_size} images",
    )


def _say_results(output: Path, record: "TrainingRecord", page_note: str) -> None:
    with printing():
        say(
            f"{output}: {record.steps} steps on {record.images} images, "
            f"{record.cpu_seconds:.0f} CPU seconds; the loss of the last epoch is {record.loss:.4g}"
        )
        if record.passed_over:
            say(
                f"{record.passed_over} images have no valid pixel and taught nothing: "
                f"{', '.join(record.passed_over_ids[:5])}"
            )
        for doubt in record.doubts:
            say(f"warning: {doubt}")
        say(page_note)
        if record.doubts:
            say("next: more epochs, another learning rate or more images; exit code 1")
