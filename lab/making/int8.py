"""8-bit quantisation of the embedded network: ``python -m lab.making.int8 small.onnx``.

Ranges are calibrated on frames that the network was trained on, rendered ones and, if given, NYU's.
Processors with 8-bit multiplication (VNNI, since 2019) sum without loss; older ones may saturate,
and there the network in fp32 is the better choice.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
from jaxtyping import UInt8

from lab.making.distil.frames.shards import read_shard
from lab.making.nyu_frames import COLUMNS, ROWS
from lab.making.program import run_program
from rilievo.cli.parsing import parse
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import printable
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.conversion import Agreement, check_agreement, quantise_static
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.schema.fields import option
from rilievo.training.conversion.onnx_file import FP32, INT8, set_metadata

KEPT = (
    "/encoder/conv0/",
    "/encoder/linearbottleneck.0/",
    "/encoder/linearbottleneck.1/",
    "/encoder/stages.0/",
    "/head/",
    "/spread/",
    "/upsample/",
    "/sky/",
)
"""Parts of the network that stay fp32, beside the last merge. Rounding in the first layers affects
all that follow; the last layers give depth, where a step of 1/256 of the range would be visible.
With the last merge of ``SMALL`` in 8 bits, depth and normals are 4 degrees farther apart. The first
stage of ``BASE`` takes 0.2 degrees off what rounding costs its normals."""
_MERGE = re.compile(r"/merges\.(\d+)/")
_COMPARED = 4


def quantise_small(
    source: Path, target: Path, frames: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Agreement:
    """Write a network that ``export_small`` wrote with 8-bit weights and arithmetic.

    The file's metadata stays, except for the name, which gets the suffix ``-int8``, and the
    precision; the sha256 of the original weights is added. Frames to calibrate on are never ones
    that the network is evaluated on. Returns the difference of its outputs on some of them.

    Raises ``ModelError`` if ``source`` is no such network, or the outputs differ too much.
    """
    if not frames:
        raise OptionError("int8 is calibrated on frames, and none was given")
    options = LoadOptions(device="cpu", engine="onnxruntime")
    model = OnnxModel(source, options)
    if model.facts.precision != FP32:
        raise ModelError(
            f"{printable(source)}: its weights are {model.facts.precision} already; "
            "give the network in fp32"
        )
    with replacing(target) as part:
        batches = (model.preparation.pixels(frame)[None] for frame in frames)
        # No conversion to floats remains between two such convolutions: additions and resizing are
        # done in 8 bits too, and a ReLU becomes the lower end of the range.
        operators = ("Conv", "Relu", "Add", "Resize")
        quantise_static(source, part, batches, operators, signed=False, float_nodes=kept_of(source))
        set_metadata(part, _metadata(model))
        return check_agreement(model, OnnxModel(part, options), INT8, _some(frames, _COMPARED))


def kept_of(source: Path) -> tuple[str, ...]:
    """Parts of a network that stay fp32: ``KEPT`` and its last merge."""
    names = "".join(node.name for node in onnx.load(str(source)).graph.node)
    merges = [int(number) for number in _MERGE.findall(names)]
    return (*KEPT, *(f"/merges.{max(merges)}/" for _ in merges[:1]))


def calibration_frames(
    shards: Path, real: Path | None, *, count: int
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return frames that the network was trained on, evenly spaced, half from each source.

    The first shard is held out for validation and not read, unless it is the only one. ``real`` is
    the folder of NYU Depth V2, whose training frames are taken without their white border.
    """
    if count < 2:
        raise OptionError(f"int8 is calibrated on 2 frames or more, got {count}")
    if real is None:
        return list(_rendered(shards, count))
    return [*_rendered(shards, count - count // 2), *_measured(real, count // 2)]


def _rendered(folder: Path, count: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    paths = sorted(folder.glob("shard-*.npz"))
    if not paths:
        raise InputError(f"{printable(folder)}: no shard-*.npz in it; render some first")
    paths = paths[1:] or paths
    for index in range(count):
        images = read_shard(paths[index * len(paths) // count]).image
        yield np.array(images[index % len(images)])


def _measured(folder: Path, count: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    frames = open_dataset("nyuv2", folder, split="train", variant="filled")
    for index in range(count):
        image = frames.image(frames.ids[index * len(frames.ids) // count])
        yield image[ROWS, COLUMNS]


def _some(
    frames: Sequence[UInt8[np.ndarray, "_ _ 3"]], count: int
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    return [frames[index] for index in range(0, len(frames), max(1, len(frames) // count))]


def _metadata(model: OnnxModel) -> Mapping[str, str]:
    facts = replace(model.facts, name=f"{model.facts.name}-int8", precision=INT8)
    origin = {"rilievo.weights_sha256": model.weights_sha256}
    return {**model.metadata, **facts.metadata(), **origin}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the program."""

    source: Annotated[Path, option(positional=True)]
    """Network in fp32, as a run writes it."""
    shards: Path
    """Folder of rendered shards."""
    output: Annotated[Path, option(aliases=("-o",))]
    """File to write."""
    real: Path | None = None
    """Folder of NYU Depth V2's labelled frames, of which training frames are taken."""
    count: int = 64
    """Frames to calibrate on."""


def main(arguments: Sequence[str]) -> None:
    """Write the embedded network with 8-bit weights and arithmetic."""
    options = parse(
        Arguments,
        arguments,
        prog="python -m lab.making.int8",
        description="Write the embedded network with 8-bit weights and arithmetic.",
    )
    frames = calibration_frames(options.shards, options.real, count=options.count)
    agreement = quantise_small(options.source, options.output, frames)
    output = options.output
    sys.stdout.write(
        f"{printable(output)}: {output.stat().st_size / 1e6:.1f} MB; differs by {agreement}\n"
    )


if __name__ == "__main__":
    run_program(main)
