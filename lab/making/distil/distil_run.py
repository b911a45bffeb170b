"""Training of a small network on another model's answers, from options to the run's page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lab.making.distil.distil_config import TrainConfig, distil_config
from lab.making.distil.distil_options import DistilOptions
from lab.making.distil.distil_task import check_folder, first_batches, train
from lab.making.distil.frames.distil_frames import LessonFrames, RunFrames
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.measured_norms import measure_statistics
from lab.making.distil.small_export import Provenance
from lab.making.distil.teachers import Teacher, described, read_teachers
from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.io.files.names import printable
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.progress import is_first_process, print_to_stderr
from rilievo.training.engine.run_folder import CHECKPOINT, STEP_LOG, read_log_rows
from rilievo.training.engine.run_page import write_training_page
from rilievo.training.losses.supervised import load_own_loss
from rilievo.training.networks.mobilenetv2 import load_gluon_mobilenet
from rilievo.training.networks.resnet50v2 import ResNet50V2, load_gluon_resnet
from rilievo.training.networks.small import SMALL, SmallNet, Widths
from rilievo.training.networks.small_weights import fill_from_onnx

NAME = "distilled"
"""Name of the network, unless another is given to the one who loads it."""


def train_distil(options: DistilOptions) -> None:
    """Train a small network on shards of a teacher's answers, into a run folder."""
    prepare_process()
    config = configured(distil_config(**length_of(options)), options)
    check_options(options)
    if options.start is not None and not is_exported(options.start):
        raise OptionError(
            "start is an ONNX file of the same network, such as the small.onnx of a run, got "
            f"{printable(options.start)}"
        )
    if options.resume and not (options.output / CHECKPOINT).exists():
        say_begins_anew(options)
    frames = LessonFrames(ShardPool(options.shards, outdoors=config.outdoors))
    network = seeded_network(config, SMALL)
    load_start(network, config, frames, options, name=NAME)
    provenance = provenance_of(read_teachers(options.shards))
    run_training(network, config, frames, options, provenance=provenance, name=NAME)


def provenance_of(teachers: Sequence[Teacher]) -> Provenance:
    """Provenance of a network: its maker's, and its teachers' with their licences."""
    if not teachers:
        return Provenance(
            name=NAME, trained_on="the frames that were given to 'python -m lab.making distil'"
        )
    named = described(teachers)
    if any(each.commercial is False for each in teachers):
        say_once(f"note: NON-COMMERCIAL LICENCE of a teacher: {named}; the card will say so")
    return Provenance(
        name=NAME,
        trained_on=f"photographs of its maker, labelled by {named}",
        licence=f"its maker's; labelled by {named}",
        teacher=named,
    )


def prepare_process() -> None:
    """Let oneDNN keep more kernels than the 1,024 of its default.

    Batches of many shapes need more, and would be compiled anew in every step. It reads this at its
    first kernel.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")


def length_of(options: DistilOptions) -> Mapping[str, Any]:
    """Length of the run as it is given, in minutes or steps; empty where neither is."""
    length = {"minutes": options.minutes, "steps": options.steps}
    return length if any(each is not None for each in length.values()) else {}


def configured(config: TrainConfig, options: DistilOptions) -> TrainConfig:
    """Return a configuration with the options that replace its own."""
    return replace(
        config,
        threads=options.threads or config.threads,
        precision=options.precision or affordable(config.precision, torch_device(options.device)),
        depth_loss=options.depth_loss,
    )


def affordable(precision: str, device: torch.device) -> str:
    """Return the precision, or fp32 in place of bf16 where a processor does not have it.

    torch computes bf16 there too, but 14 to 20 times slower than fp32 (AVX2).
    """
    if precision != "bf16" or device.type != "cpu":
        return precision
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return "bf16" if has_bf16 is not None and has_bf16() else "fp32"


def check_options(options: DistilOptions) -> None:
    """Check device, folder and start, before the frames, which take long to read."""
    torch_device(options.device)
    if options.depth_loss is not None:
        load_own_loss(options.depth_loss)
    check_folder(options.output, resume=options.resume)
    if (start := options.start) is None:
        return
    path = start if is_exported(start) else start / CHECKPOINT
    if not path.is_file():
        kind = "ONNX file" if is_exported(start) else "checkpoint of a run"
        raise InputError(f"{printable(path)}: no {kind} to start from: there is no such file")


def is_exported(start: Path) -> bool:
    """Whether weights to start from are those of an ONNX file."""
    return start.suffix == ".onnx"


def say_once(text: str) -> None:
    """Print a line, in the first process alone."""
    if is_first_process():
        print_to_stderr(text)


def say_begins_anew(options: DistilOptions) -> None:
    """Tell that there is nothing to resume."""
    say_once(f"note: {printable(options.output)} has no checkpoint to go on from: begins anew")


def seeded_network(config: TrainConfig, widths: Widths) -> SmallNet:
    """Make a network with the random weights of the configuration's seed."""
    torch.manual_seed(config.seed)
    return SmallNet(widths)


def load_start(
    network: SmallNet,
    config: TrainConfig,
    frames: RunFrames,
    options: DistilOptions,
    *,
    name: str,
) -> None:
    """Fill a network from an ONNX file of it, or its encoder from weights of ImageNet."""
    if options.start is not None:
        fill_from_onnx(network, options.start)
        measure_statistics(network, (each.image for each in first_batches(config, frames)))
    elif options.encoder is None:
        if not (options.output / CHECKPOINT).exists():
            say_once(f"note: {name} starts from random weights: --encoder was not given")
    elif isinstance(network.encoder, ResNet50V2):
        load_gluon_resnet(network.encoder, options.encoder)
    else:
        load_gluon_mobilenet(network.encoder, options.encoder)


def run_training(
    network: SmallNet,
    config: TrainConfig,
    frames: RunFrames,
    options: DistilOptions,
    *,
    provenance: Provenance,
    name: str,
) -> None:
    """Train a network into the folder of the run, and write its page."""
    train(
        config,
        network,
        frames,
        options.output,
        provenance=provenance,
        resume=options.resume,
        device=options.device,
        tensorboard=options.tensorboard,
    )
    if is_first_process() and (rows := read_log_rows(options.output, STEP_LOG)):
        print_to_stderr(_page_line(options.output, name, rows[-1]))


def _page_line(run: Path, name: str, last: Mapping[str, str]) -> str:
    """Write the page of a finished run, and tell where; the run is whole without its page."""
    try:
        page = write_training_page(
            run,
            kind=f"Training of {name}",
            verdict=f"The last loss is {float(last['loss']):.4g}.",
            counts=f"{int(last['step']):,} steps on {int(last['images']):,} images",
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
