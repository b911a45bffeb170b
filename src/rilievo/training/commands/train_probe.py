"""``rilievo train probe``, ``rilievo train supervised``."""

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.cli.parsing import given_fields, parse
from rilievo.cli.streams import printing
from rilievo.frozen import frozen
from rilievo.options.schema import option
from rilievo.training.engine.progress import is_first_process
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_presets import (
    SUPERVISED,
    UncheckedProbeConfig,
    probe_config,
    supervised_config,
)

if TYPE_CHECKING:
    from rilievo.training.probe.probe_record import TrainingRecord


@frozen(slots=False)
class ProbeArguments:
    """Options of ``rilievo train probe``: the configuration's, and those of the run."""

    GROUP: ClassVar[str] = "Output"

    output: Annotated[Path, option(first=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    config: Annotated[UncheckedProbeConfig, option(name="")]
    run: Annotated[RunOptions, option(name="")] = field(default_factory=RunOptions)


@frozen(slots=False)
class SupervisedArguments(ProbeArguments):
    """The same options, with the defaults of a whole network."""

    config: Annotated[UncheckedProbeConfig, option(name="", without=("preset", "warm_up"))] = (
        SUPERVISED
    )


def read(name: str, arguments: Sequence[str]) -> tuple[ProbeArguments, ProbeConfig]:
    """Parse the arguments of a command, and complete the configuration that they give."""
    alone = name == "probe"
    into = ProbeArguments if alone else SupervisedArguments
    command = f"rilievo train {name}"
    given = parse(
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
            f"{command} --root data/ --network depth-cnn --depth-loss berhu -o run",
            f"{command} --root data/ --network timm/resnet18 --weights pretrained -o run",
        ),
    )
    fields = given_fields(into, arguments, "config")
    complete = probe_config if alone else supervised_config
    return given, complete(given.config, fields)


def _train(name: str, arguments: Sequence[str]) -> int:
    given, config = read(name, arguments)
    from rilievo.training.probe.probe_run import page_line, train_probe

    record = train_probe(config, given.output, given.run)
    assert record is not None, "nothing stops it before its end"

    if is_first_process():
        _say_end(given.output, record, page_line(given.output, record))
    return 1 if record.doubts else 0


main = partial(_train, "probe")
"""Train a probe into a run folder; returns 1 when it learned nothing."""
main_supervised = partial(_train, "supervised")
"""Train a whole network into a run folder; returns 1 when it learned nothing."""


def _say_end(output: Path, record: "TrainingRecord", page: str) -> None:
    with printing():
        print(
            f"{output}: {record.steps} steps on {record.images} images, "
            f"{record.cpu_seconds:.0f} CPU seconds; the loss of the last epoch is {record.loss:.4g}"
        )
        if record.passed_over:
            print(
                f"{record.passed_over} images have no valid pixel and taught nothing: "
                f"{', '.join(record.passed_over_ids[:5])}"
            )
        for doubt in record.doubts:
            print(f"warning: {doubt}")
        print(page)
        if record.doubts:
            print("next: more epochs, another learning rate or more images; exit code 1")
