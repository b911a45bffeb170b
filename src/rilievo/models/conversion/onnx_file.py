"""Export of a model in torch to an ONNX file: traced, compressed, described and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.errors import ModelError, OptionError, suggest
from rilievo.io.atomic import part_of
from rilievo.io.photo import read_photo
from rilievo.models.conversion.agreement import SHAPES, Agreement, check_agreement
from rilievo.models.conversion.compression import (
    FILE_PRECISIONS,
    FP16,
    FP32,
    halve,
    quantise,
    set_metadata,
)
from rilievo.models.conversion.trace import append_metadata, write_traced
from rilievo.models.engines import LoadOptions
from rilievo.models.onnx import OnnxFacts, OnnxModel
from rilievo.models.preparation import Preparation, Rule, Sizing
from rilievo.models.prepared import PreparedModel

if TYPE_CHECKING:
    from torch import Tensor

    from rilievo.models.torch_model import TorchModel


MOST_COMPARED = 8
"""Most photographs on which outputs are compared."""


def write_onnx(
    model: "TorchModel",
    part: Path,
    *,
    precision: str = FP32,
    photos: Sequence[Path] = (),
    size: tuple[int, int] | None = None,
) -> Agreement:
    """Write a model in torch as a self-contained ONNX file; returns how far the two differ.

    Args:
        model: The model in fp32.
        part: Path to write to; the file is valid only if this function returns.
        precision: fp32; fp16, which halves the file; or int8.
        photos: Image files to calibrate int8 with, and to compare on.
        size: Size (height, width) of the network's input for every photograph, whatever its aspect
            ratio; by default given by the model's own rule.
    """
    check_precision(precision)
    _check_exportable(model)
    preparation = model.preparation if size is None else _fixed(model.preparation, size)
    facts = replace(_facts(model, preparation), precision=precision)
    traced = part if precision == FP32 else part_of(part)
    try:
        agreement = _trace(model, facts, traced)
        if precision == FP32:
            return agreement
        compress(traced, part, precision, preparation, photos)
        set_metadata(part, _metadata(model, facts))
        return compare(model, part, precision, photos)
    finally:
        if traced != part:
            traced.unlink(missing_ok=True)


def describe(part: Path, model: PreparedModel, facts: OnnxFacts) -> None:
    """Add our metadata, with what the file was made from, to a file that has none."""
    append_metadata(part, _metadata(model, facts))


def compress(
    source: Path,
    target: Path,
    precision: str,
    preparation: Preparation,
    photos: Sequence[Path],
) -> None:
    """Convert an fp32 file to another precision; nothing is written for fp32."""
    if precision == FP16:
        halve(source, target)
    elif precision != FP32:
        quantise(source, target, preparation, photos)


def compare(
    model: PreparedModel,
    part: Path,
    precision: str,
    photos: Sequence[Path] = (),
) -> Agreement:
    """Open a file made from a model, and compare their outputs."""
    try:
        converted = OnnxModel(part, LoadOptions(device="cpu", engine="onnxruntime"))
        pixels = [read_photo(each, own_depth=False).pixels for each in photos[:MOST_COMPARED]]
        return check_agreement(model, converted, precision, pixels)
    except ModelError as error:
        # The part file's name would mean nothing to users.
        words = str(error).replace(f"{part}: ", "")
        raise ModelError(f"model '{model.card.name}' cannot be exported: {words}") from error


def check_precision(precision: str) -> None:
    """Refuse a precision that no file has."""
    if precision not in FILE_PRECISIONS:
        known = suggest(precision, FILE_PRECISIONS)
        raise OptionError(f"no precision '{precision}' of an ONNX file; {known}")


def _check_exportable(model: "TorchModel") -> None:
    if model.network.mixes_batches:
        raise ModelError(
            f"model '{model.card.name}' cannot be exported: the photographs of a batch "
            "affect each other in its network"
        )


def _metadata(model: PreparedModel, facts: OnnxFacts) -> Mapping[str, str]:
    return {**facts.metadata(), "rilievo.weights_sha256": model.weights_sha256}


def _trace(model: "TorchModel", facts: OnnxFacts, path: Path) -> Agreement:
    """Write the network in fp32 and compare it; for single photographs if batches do not work."""
    # A fixed size is traced as such: values computed from it become constants.
    free_size = facts.preparation.sizing.rule is not Rule.FIXED
    facts = replace(facts, precision=FP32)
    free_batch = not model.network.counts_photos
    while True:
        try:
            write_traced(
                model.network,
                _example(facts.preparation).to(model.device),
                path,
                outputs=model.network.outputs,
                free_size=free_size,
                free_batch=free_batch,
            )
            describe(path, model, facts)
            return compare(model, path, FP32)
        except ModelError:
            if not free_batch:
                raise
            free_batch = False


def _example(preparation: Preparation) -> "Tensor":
    import torch

    black = preparation.pixels(np.zeros((*SHAPES[0], 3), np.uint8))
    return torch.from_numpy(np.array(black))[None]


def _fixed(preparation: Preparation, size: tuple[int, int]) -> Preparation:
    height, width = size
    multiple = preparation.sizing.multiple
    if min(size) < 1 or height % multiple or width % multiple:
        raise OptionError(f"--size is HEIGHT,WIDTH, multiples of {multiple}, got {height},{width}")
    sizing = Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)
    return replace(preparation, sizing=sizing)


def _facts(model: "TorchModel", preparation: Preparation) -> OnnxFacts:
    return OnnxFacts(
        name=model.card.name,
        kind=model.card.kind,
        licence=model.card.licence,
        preparation=preparation,
        needs_focal=model.needs_focal,
    )
