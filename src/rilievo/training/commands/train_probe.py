"""``rilievo train probe``, ``rilievo train supervised``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
from rilievo.training.tuning.tuning_run import fine_tune, plan_tuning

if TYPE_CHECKING:
    from rilievo.training.probe.probe_record import TrainingRecord

_SAME = ("epochs", "batch_size", "learning_rate", "seed", "precision")
_FLIP = "augmentation.flip"
_TUNED = TuningConfig(data=DataChoice(), tuning=TuningOptions(start=""))


@dataclass(frozen=True, kw_only=True)
class ProbeArguments:
    """Options of ``rilievo train probe``."""

    GROUP: ClassVar[str] = "Output"

    output: Annotated[Path, option(first=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(first=True)] = False
    """Open the model and the images, read the first target, print what would be trained, and train
    nothing.
    """
    config: Annotated[UncheckedProbeConfig, option(name="")]
    run: Annotated[RunOptions, option(name="")] = field(default_factory=RunOptions)


@dataclass(frozen=True, kw_only=True)
class SupervisedArguments(ProbeArguments):
    """Options of ``rilievo train supervised``."""

    OTHER_DEFAULTS: ClassVar[Mapping[str, str]] = {
        f"config.{name}": f", {attrgetter(name)(_TUNED):g} with --start"
        for name in (*_SAME, _FLIP)
        if attrgetter(name)(_TUNED) != attrgetter(name)(SUPERVISED)
    }

    config: Annotated[UncheckedProbeConfig, option(name="", without=("warm_up",))] = SUPERVISED
    tuning: Annotated[TuningOptions, option(name="")] = field(default_factory=TuningOptions)


def parse_and_complete(name: str, arguments: Sequence[str]) -> tuple[ProbeArguments, ProbeConfig]:
    """Parse arguments; complete the configuration by its preset."""
    alone = name == "probe"
    into = ProbeArguments if alone else SupervisedArguments
    command = f"rilievo train {name}"
    request = parse(
        into,
        arguments,
        prog=command,
        description="Train a probe on a frozen backbone, for depth, normals or both."
        if alone
        else "Train a whole network, on photographs with depth, normals or both.",
        examples=(
            f"{command} --backbone timm/vit_small_patch14_dinov2 --root data/ -o run",
            f"{command} --backbone mobilenetv2 --dataset nyuv2 --root nyu/ --task both -o run",
        )
        if alone
        else (
            f"{command} --root data/ --network depth-cnn --preset plain -o run",
            f"{command} --root data/ --network timm/resnet18 --weights pretrained -o run",
            f"{command} --root data/ --start rilievo/small -o run",
        ),
    )
    fields = fields_in_arguments(into, arguments, "config")
    complete = complete_probe_config if alone else complete_supervised_config
    return request, complete(request.config, fields)


def _train_to_exit_code(name: str, arguments: Sequence[str]) -> int:
    request, config = parse_and_complete(name, arguments)
    if request.dry_run:
        return _say_plan(_dry_run_lines(config))
    from rilievo.training.probe.probe_run import train_probe, write_page

    record = train_probe(config, request.output, request.run)
    assert record is not None, "nothing stops it before its end"

    if is_first_process():
        verdict = f"The loss of the last epoch is {record.loss:.4g}."
        counts = (
            f"{record.steps:,} steps on {record.images:,} images, {record.held_out:,} held out, "
            f"{record.cpu_seconds:.0f} CPU seconds on {record.device}"
        )
        page = write_page(request.output, verdict, counts, record.doubts)
        _say_results(request.output, record, page)
    return 1 if record.doubts else 0


main = partial(_train_to_exit_code, "probe")
"""Train a probe; returns 1 when it learned nothing."""


def main_supervised(arguments: Sequence[str]) -> int:
    """Train a whole network; returns 1 when it learned nothing."""
    request, own = parse_and_complete("supervised", arguments)
    assert isinstance(request, SupervisedArguments), "the record of this command"
    config = tuning_config(request, arguments)
    if request.dry_run:
        return _say_plan(_dry_run_lines(own) if config is None else plan_tuning(config))
    if config is None:
        return _train_to_exit_code("supervised", arguments)
    from rilievo.training.probe.probe_run import write_page

    record = fine_tune(config, request.output, request.run)
    assert record is not None, "nothing stops it before its end"
    if is_first_process():
        early = ", ended early" if record.stopped_early else ""
        lines = [record.kept_out.words]
        if record.second is not None:
            lines.append(record.second.words)
        if record.elsewhere is not None:
            lines.append(
                f"other places: depth of shipped pictures changed by {record.elsewhere:.1%}"
            )
        counts = (
            f"{record.steps} steps on {record.images} images, {record.cpu_seconds:.0f} CPU "
            f"seconds{early}; weights of step {record.best_step}"
        )
        page = write_page(request.output, lines[0], counts, record.doubts, lines[1:])
        with printing():
            say(f"{request.output}: {counts}")
            say("\n".join([*lines, *(f"warning: {doubt}" for doubt in record.doubts), page]))
            say(f"next: rilievo predict PHOTO --model {request.output}")
    return 1 if record.doubts else 0


def tuning_config(options: SupervisedArguments, arguments: Sequence[str]) -> TuningConfig | None:
    """Configuration of a run that begins with a model, if any."""
    spelled = partial(flag_as_written, SupervisedArguments, arguments)
    if options.tuning.start is None:
        if fields := fields_in_arguments(SupervisedArguments, arguments, "tuning"):
            flag = spelled(f"tuning.{min(fields)}")
            raise OptionError(f"{flag} goes with --start, which names a model")
        return None
    fields = fields_in_arguments(SupervisedArguments, arguments, "config")
    common = {*_SAME, _FLIP}
    common |= {field_name for field_name in fields if field_name.startswith("data.")} - {
        "data.window"
    }
    others = fields - common
    if others:
        raise OptionError(f"{spelled(f'config.{min(others)}')} has no effect with --start")
    own, config = options.config, TuningConfig(data=options.config.data, tuning=options.tuning)
    changes = {name: getattr(own, name) for name in _SAME if name in fields}
    if _FLIP in fields:
        changes["augmentation"] = own.augmentation
    return replace(config, **changes)


def _say_plan(lines: Sequence[str]) -> int:
    with printing():
        say("\n".join([*lines, "nothing was trained"]))
    return 0


def _dry_run_lines(config: ProbeConfig) -> tuple[str, ...]:
    from rilievo.training.probe.probe_frames import describe_first_target, open_frames

    frames, blueprint = open_frames(config), config.blueprint
    with needing("training", "train"):
        from rilievo.training.networks.probe_network import (
            backbone_from_blueprint,
            probe_from_blueprint,
        )
    # No weights are fetched for a plan.
    backbone = backbone_from_blueprint(
        replace(blueprint, backbone=replace(blueprint.backbone, weights=RANDOM))
    )
    probe = probe_from_blueprint(blueprint, backbone, seed=config.seed)
    kept, learned = (
        sum(weights.numel() for weights in network.parameters()) for network in (backbone, probe)
    )
    role = "learn too" if config.backbone_rate > 0 else "stay as they are"
    height, width = blueprint.size
    steps = config.epochs * math.ceil(len(frames.training) / config.batch_size)
    return (
        f"network: {blueprint.backbone.name} for {blueprint.task}",
        f"weights: {learned:,} of the probe '{blueprint.probe.kind}' learn, and {kept:,} of the "
        f"backbone {role}",
        f"images: {len(frames.training)} to learn from, {len(frames.held_out)} held out, seen at "
        f"{height} x {width} pixels",
        describe_first_target(frames.training, blueprint.task),
        f"steps: {steps} of {config.batch_size} images",
    )


def _say_results(output: Path, record: "TrainingRecord", page: str) -> None:
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
        say(page)
        if record.doubts:
            say("next: more epochs, another learning rate or more images; exit code 1")
