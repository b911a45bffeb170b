"""``rilievo train probe``, ``rilievo train supervised``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.cli.parsing import fields_in_arguments, flag_as_written, parse
from rilievo.cli.streams import printing, say
from rilievo.errors import OptionError, explain_missing_extra
from rilievo.errors.messages import count_text
from rilievo.schema.fields import option
from rilievo.training.engine.progress import is_first_process
from rilievo.training.networks.blueprint import (
    BACKBONE_FAMILIES,
    RANDOM,
    ProbeTarget,
    is_whole_network,
)
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
    from rilievo.training.probe.probe_record import ProbeRecord

_FIELDS_WITH_START = ("epochs", "batch_size", "learning_rate", "seed", "precision")
"""Fields of a probe's configuration that also have an effect with ``--start``."""
_FLIP = "augmentation.flip"
"""Path of the only option of augmentation that has an effect with ``--start``."""


@dataclass(frozen=True, kw_only=True)
class ProbeArguments:
    """Options of ``rilievo train probe``."""

    HELP_TITLE: ClassVar[str] = "Output"

    output: Annotated[Path, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(in_short_help=True)] = False
    """Open the model and the images, read the ground truth of the first image, and print what would
    be trained, without training.
    """
    config: Annotated[UncheckedProbeConfig, option(inline=True)]
    run: Annotated[RunOptions, option(inline=True)] = field(default_factory=RunOptions)


def _other_defaults() -> dict[str, str]:
    """Additions to the help of the options that have another default in some cases."""
    tuning_config = TuningConfig(data=DataChoice(), tuning=TuningOptions(start=""))
    whole_networks = " and ".join(filter(is_whole_network, BACKBONE_FAMILIES))
    additions = {
        "config.blueprint.probe.kind": f", or linear for {whole_networks}",
        "config.data.held_out": ", or about a fifth of the images with --start",
    }
    for name in (*_FIELDS_WITH_START, _FLIP):
        default = attrgetter(name)(tuning_config)
        if default != attrgetter(name)(SUPERVISED):
            additions[f"config.{name}"] = f", or {default:g} with --start"
    return additions


@dataclass(frozen=True, kw_only=True)
class SupervisedArguments(ProbeArguments):
    """Options of ``rilievo train supervised``."""

    OTHER_DEFAULTS: ClassVar[Mapping[str, str]] = _other_defaults()

    config: Annotated[UncheckedProbeConfig, option(inline=True, without=("warm_up",))] = SUPERVISED
    tuning: Annotated[TuningOptions, option(inline=True)] = field(default_factory=TuningOptions)


def main(arguments: Sequence[str]) -> int:
    """Train a probe; return 1 if it learned nothing, else 0."""
    request, config = parse_and_complete("probe", arguments)
    return _train(request, config)


def main_supervised(arguments: Sequence[str]) -> int:
    """Train a whole network, or fine-tune a model; return 1 if it learned nothing, else 0."""
    request, config = parse_and_complete("supervised", arguments)
    assert isinstance(request, SupervisedArguments), (
        "main_supervised parses into SupervisedArguments"
    )
    tuning_config = _make_tuning_config(request, arguments)
    if tuning_config is None:
        return _train(request, config)
    return _fine_tune(request, tuning_config)


def parse_and_complete(name: str, arguments: Sequence[str]) -> tuple[ProbeArguments, ProbeConfig]:
    """Parse the arguments of ``rilievo train NAME``, and fill in the configuration of its preset.

    ``name`` is "probe" or "supervised".
    """
    command = f"rilievo train {name}"
    if name == "probe":
        arguments_class = ProbeArguments
        complete_config = complete_probe_config
        description = "Train a probe on a frozen backbone, for depth, normals or both."
        examples = (
            f"{command} --backbone timm/vit_small_patch14_dinov2 --root data/ -o run",
            f"{command} --backbone timm/resnet50 --dataset nyuv2 --root nyu/ --task both -o run",
        )
    else:
        arguments_class = SupervisedArguments
        complete_config = complete_supervised_config
        description = "Train a whole network, on photographs with depth, normals or both."
        examples = (
            f"{command} --root data/ --network depth-cnn --preset plain -o run",
            f"{command} --root data/ --network timm/resnet18 --weights pretrained -o run",
            f"{command} --root data/ --start rilievo/small -o run",
        )
    request = parse(
        arguments_class, arguments, prog=command, description=description, examples=examples
    )
    given_fields = fields_in_arguments(arguments_class, arguments, "config")
    return request, complete_config(request.config, given_fields)


def _make_tuning_config(
    request: SupervisedArguments, arguments: Sequence[str]
) -> TuningConfig | None:
    """Make the configuration of fine-tuning a model; None without ``--start``.

    Raises:
        OptionError: If an argument has no effect with ``--start``, or none without it.
    """

    def flag(path: str) -> str:
        """Option as the user wrote it, for error messages."""
        return flag_as_written(SupervisedArguments, arguments, path)

    if request.tuning.start is None:
        tuning_fields = fields_in_arguments(SupervisedArguments, arguments, "tuning")
        if tuning_fields:
            raise OptionError(
                f"{flag(f'tuning.{min(tuning_fields)}')} needs --start, which selects the model to "
                "fine-tune"
            )
        return None

    fields = fields_in_arguments(SupervisedArguments, arguments, "config")
    data_fields = {name for name in fields if name.startswith("data.") and name != "data.window"}
    fields_without_effect = fields - {*_FIELDS_WITH_START, _FLIP} - data_fields
    if fields_without_effect:
        first_flag = flag(f"config.{min(fields_without_effect)}")
        raise OptionError(f"{first_flag} has no effect with --start: leave it out")

    changes = {name: getattr(request.config, name) for name in _FIELDS_WITH_START if name in fields}
    if _FLIP in fields:
        changes["augmentation"] = request.config.augmentation
    return replace(TuningConfig(data=request.config.data, tuning=request.tuning), **changes)


def _train(request: ProbeArguments, config: ProbeConfig) -> int:
    """Train a probe or a whole network, and print the results; return the exit code."""
    if request.dry_run:
        is_supervised = isinstance(request, SupervisedArguments)
        _print_plan(_describe_run(config, is_supervised=is_supervised))
        return 0
    from rilievo.training.probe.probe_run import train_probe, write_page

    record = train_probe(config, request.output, request.run)
    assert record is not None, "training without stop_at ends with a record"
    if is_first_process():
        verdict = f"The loss of the last epoch is {record.loss:.4g}."
        counts = (
            f"{count_text(record.steps, 'step')} on {count_text(record.images, 'image')}, "
            f"{record.held_out:,} held out, {record.cpu_seconds:.0f} s of CPU time on "
            f"{record.device}"
        )
        page_note = write_page(request.output, verdict, counts, record.quality_warnings)
        _print_results(request.output, record, page_note)
    return 1 if record.quality_warnings else 0


def _fine_tune(request: SupervisedArguments, config: TuningConfig) -> int:
    """Fine-tune a model, and print the results; return the exit code."""
    if request.dry_run:
        _print_plan(plan_tuning(config))
        return 0
    record = fine_tune(config, request.output, request.run)
    assert record is not None, "training without stop_at ends with a record"
    if is_first_process():
        _print_tuning_results(request.output, record)
    return 1 if record.quality_warnings else 0


def _print_tuning_results(run: Path, record: TuningRecord) -> None:
    """Write the page of a finished run, and print its scores, warnings and the next command."""
    from rilievo.training.probe.probe_run import write_page

    scores = [record.kept_out.words]
    if record.second is not None:
        scores.append(record.second.words)
    if record.elsewhere is not None:
        scores.append(
            "other scenes: the predicted depth of the bundled pictures has changed by "
            f"{record.elsewhere:.1%}"
        )
    ended_early = ", stopped early" if record.stopped_early else ""
    counts = (
        f"{count_text(record.steps, 'step')} on {count_text(record.images, 'image')}, "
        f"{record.cpu_seconds:.0f} s of CPU time{ended_early}; the weights are those of step "
        f"{record.best_step}"
    )
    verdict = f"{record.kept_out.words}."
    page_note = write_page(run, verdict, counts, record.quality_warnings, scores[1:])

    warnings = [f"warning: {warning}" for warning in record.quality_warnings]
    with printing():
        say(f"{run}: {counts}")
        say("\n".join([*scores, *warnings, page_note]))
        if record.quality_warnings:
            say("next: try a lower learning rate or more images (the exit code is 1)")
        else:
            say(f"next: rilievo predict PHOTO --model {run}")


def _print_plan(lines: Sequence[str]) -> None:
    with printing():
        say("\n".join([*lines, "nothing was trained"]))


def _describe_run(config: ProbeConfig, *, is_supervised: bool) -> tuple[str, ...]:
    """Describe what would be trained in a few lines, after opening the first image.

    With ``is_supervised``, backbone and probe are called encoder and decoder, as in the command.
    """
    from rilievo.training.probe.probe_frames import describe_first_target, open_frames

    blueprint = config.blueprint
    frames = open_frames(config.data, blueprint)
    with explain_missing_extra("training", "train"):
        from rilievo.training.networks.backbones.own_backbone import count_parameters
        from rilievo.training.networks.probe_network import (
            backbone_from_blueprint,
            probe_from_blueprint,
        )

    # Random weights have the same sizes, and need no download.
    random_backbone = replace(blueprint.backbone, weights=RANDOM)
    backbone = backbone_from_blueprint(replace(blueprint, backbone=random_backbone))
    probe = probe_from_blueprint(blueprint, backbone, seed=config.seed)

    weights = _describe_weights(
        config, count_parameters(backbone), count_parameters(probe), is_supervised=is_supervised
    )
    task = "depth and normals" if blueprint.task is ProbeTarget.BOTH else blueprint.task
    height, width = blueprint.size
    num_steps = config.epochs * math.ceil(len(frames.training) / config.batch_size)
    return (
        f"network: {blueprint.backbone.name} for {task}",
        f"weights: {weights}",
        f"images: {len(frames.training)} for training, {len(frames.held_out)} held out, resized "
        f"to {height} x {width} pixels (height x width)",
        describe_first_target(frames.training, blueprint.task),
        f"steps: {num_steps}, each with up to {count_text(config.batch_size, 'image')}",
    )


def _describe_weights(
    config: ProbeConfig, num_in_backbone: int, num_in_probe: int, *, is_supervised: bool
) -> str:
    """Say how many weights are trained, in both parts of the network or in one of them."""
    backbone_part = "encoder" if is_supervised else "backbone"
    probe_part = f"{'decoder' if is_supervised else 'probe'} '{config.blueprint.probe.kind}'"
    if config.backbone_rate > 0:
        return (
            f"all {num_in_backbone + num_in_probe:,} are trained, {num_in_backbone:,} in the "
            f"{backbone_part} and {num_in_probe:,} in the {probe_part}"
        )
    return (
        f"{num_in_probe:,} in the {probe_part} are trained, and {num_in_backbone:,} in the "
        f"{backbone_part} stay frozen"
    )


def _print_results(run: Path, record: "ProbeRecord", page_note: str) -> None:
    """Print the counts of a run, its skipped images, and its doubts."""
    with printing():
        say(
            f"{run}: {count_text(record.steps, 'step')} on {count_text(record.images, 'image')}, "
            f"{record.cpu_seconds:.0f} s of CPU time; the loss of the last epoch is "
            f"{record.loss:.4g}"
        )
        if record.held_out:
            for line in record.constant_comparison.describe():
                say(line)
        if record.skipped:
            say(_skipped_text(record.skipped, record.skipped_ids[:5]))
        for warning in record.quality_warnings:
            say(f"warning: {warning}")
        say(page_note)
        if record.quality_warnings:
            say(
                "next: try more epochs, a different learning rate or more images (the exit code "
                "is 1)"
            )
        else:
            say(f"next: rilievo predict PHOTO --model {run}")


def _skipped_text(num_skipped: int, first_ids: Sequence[str]) -> str:
    """Say which images were skipped, or some of them if there are many."""
    ids = ", ".join(first_ids)
    if num_skipped == 1:
        return f"1 image has no valid pixel and was skipped: {ids}"
    if num_skipped == len(first_ids):
        return f"{num_skipped} images have no valid pixel and were skipped: {ids}"
    return f"{num_skipped:,} images have no valid pixel and were skipped, for example {ids}"
