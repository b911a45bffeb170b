"""ONNX files, written by torch's tracing exporter."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, first_line, needing, suggest
from rilievo.io.files.atomic import random_part_path
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import PreparedModel
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.agreement import SHAPES, Agreement, check_agreement
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.onnx_model import OnnxFacts, OnnxModel
from rilievo.models.onnx_files.quantisation import quantise
from rilievo.models.resampling.preparation import Preparation, Rule, Sizing
from rilievo.training.conversion.onnx_changes import (
    set_metadata,
    store_constants_in_file,
    write_fp16_weights,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class TracedModel(PreparedModel):
    """Model in torch that can be exported."""

    network: Any
    device: Any


FP32, FP16, INT8 = "fp32", "fp16", "int8"
FILE_PRECISIONS = (FP32, FP16, INT8)

OPSET = 17

# Most bytes of weights in one ONNX file, which counts in 31 bits.
LARGEST = 2**31 - 2**24

# Tracing takes int() of a size as a constant; these modules call it on sizes.
_WITH_INT = ("transformers.models.depth_anything.modeling_depth_anything",)

# Axes of batch, height and width of each input and output; the default is 0, 1, 2.
_AXES = {"normals": (0, 2, 3), "fov": (0,)}
MOST_COMPARED = 8


def write_traced(
    network: "nn.Module",
    example: "Tensor",
    path: Path,
    *,
    outputs: Sequence[str],
    free_size: bool,
    free_batch: bool,
) -> None:
    """Write a network, traced by ``example``, to a part file."""
    import torch

    with needing("exporting to ONNX", "export"):
        import onnx  # noqa: F401
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST:
        raise ModelError(
            f"the weights take {size / 2**30:.1f} GB, and an ONNX file holds 2 at most"
        )
    try:
        with warnings.catch_warnings(), _trace_sizes_as_tensors(), torch.inference_mode(mode=False):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={
                    name: _free_axis_names(name, free_size=free_size, free_batch=free_batch)
                    for name in (INPUT, *outputs)
                },
                opset_version=OPSET,
                dynamo=False,
            )
        store_constants_in_file(path)
    except OSError:
        # A full disk is not the network's fault.
        raise
    # Unsupported operators raise many types of exceptions.
    except Exception as error:
        raise ModelError(f"the network cannot be traced: {first_line(error)}") from error


def append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Append metadata to a file without reading it, as protocol buffers concatenate."""
    import onnx

    entries = onnx.ModelProto()
    for key, value in metadata.items():
        entries.metadata_props.add(key=key, value=value)
    with path.open("ab") as file:
        file.write(entries.SerializeToString())


def _free_axis_names(name: str, *, free_size: bool, free_batch: bool) -> Mapping[int, str]:
    batch, *size = _AXES.get(name, (0, 1, 2))
    free = {batch: "batch"} if free_batch else {}
    return free | dict(zip(size, ("height", "width"), strict=False)) if free_size else free


@contextmanager
def _trace_sizes_as_tensors() -> Iterator[None]:
    modules: list[Any] = [sys.modules[name] for name in _WITH_INT if name in sys.modules]
    for module in modules:
        module.int = _traceable_int
    try:
        yield
    finally:
        for module in modules:
            del module.int


def _traceable_int(value: Any) -> Any:
    import torch

    return value.to(torch.int64) if isinstance(value, torch.Tensor) else int(value)


def write_onnx(
    model: TracedModel,
    part: Path,
    *,
    precision: str = FP32,
    photos: Sequence[Path] = (),
    size: Size | None = None,
) -> Agreement:
    """Write a model of fp32 as ONNX; returns how far the two differ.

    ``photos`` calibrate int8 and are compared.
    """
    check_file_precision(precision)
    if model.network.depends_on_batch:
        raise ModelError(
            f"model '{model.card.name}' cannot be exported: the photographs of a batch "
            "affect each other in its network"
        )
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    facts = replace(_onnx_facts(model, preparation), precision=precision)
    traced = part if precision == FP32 else random_part_path(part)
    try:
        agreement = _trace_and_compare(model, facts, traced)
        if precision == FP32:
            return agreement
        convert_precision(traced, part, precision, preparation, photos)
        set_metadata(part, _file_metadata(model, facts))
        return measure_agreement(model, part, precision, photos)
    finally:
        if traced != part:
            traced.unlink(missing_ok=True)


def append_model_metadata(part: Path, model: PreparedModel, facts: OnnxFacts) -> None:
    """Append metadata and the weights' hash to a file."""
    append_metadata(part, _file_metadata(model, facts))


def convert_precision(
    source: Path,
    target: Path,
    precision: str,
    preparation: Preparation,
    photos: Sequence[Path],
) -> None:
    """Convert an fp32 file; nothing is written for fp32."""
    if precision == FP16:
        write_fp16_weights(source, target)
    elif precision != FP32:
        quantise(source, target, preparation, photos)


def measure_agreement(
    model: PreparedModel,
    part: Path,
    precision: str,
    photos: Sequence[Path] = (),
    threads: int | None = None,
) -> Agreement:
    """Compare a file with its model; refuse too large differences."""
    try:
        load = LoadOptions(device="cpu", engine="onnxruntime", threads=threads)
        converted = OnnxModel(part, load)
        pixels = [read_photo(photo, own_depth=False).pixels for photo in photos[:MOST_COMPARED]]
        return check_agreement(model, converted, precision, pixels)
    except ModelError as error:
        # The part file's name would mean nothing to users.
        problem = error.text(path="" if str(error.path) == str(part) else None)
        beginning = f"model '{model.card.name}' cannot be exported:"
        raise ModelError(beginning, problem=problem) from error


def check_file_precision(precision: str) -> None:
    """Refuse an unknown precision."""
    if precision not in FILE_PRECISIONS:
        suggestion = suggest(precision, FILE_PRECISIONS)
        raise OptionError(f"no precision '{precision}' of an ONNX file; {suggestion}")


def _file_metadata(model: PreparedModel, facts: OnnxFacts) -> Mapping[str, str]:
    return {**facts.metadata(), "rilievo.weights_sha256": model.weights_sha256}


def _trace_and_compare(model: TracedModel, facts: OnnxFacts, path: Path) -> Agreement:
    """Write and compare; where a free batch fails, without one."""
    # A fixed size is traced as such: values computed from it become constants.
    free_size = facts.preparation.sizing.rule is not Rule.FIXED
    facts = replace(facts, precision=FP32)
    free_batch = not model.network.loops_over_batch
    while True:
        try:
            write_traced(
                model.network,
                _black_input(facts.preparation).to(model.device),
                path,
                outputs=model.network.outputs,
                free_size=free_size,
                free_batch=free_batch,
            )
            append_model_metadata(path, model, facts)
            return measure_agreement(model, path, FP32)
        except ModelError:
            if not free_batch:
                raise
            free_batch = False


def _black_input(preparation: Preparation) -> "Tensor":
    import torch

    black = preparation.pixels(np.zeros((*SHAPES[0], 3), np.uint8))
    return torch.from_numpy(np.array(black))[None]


def with_fixed_size(preparation: Preparation, size: Size) -> Preparation:
    """Replace the sizing; refuse sizes that are not multiples."""
    height, width = size
    multiple = preparation.sizing.multiple
    if min(size) < 1 or height % multiple or width % multiple:
        raise OptionError(
            option="size", problem=f"is HEIGHT,WIDTH, multiples of {multiple}, got {height},{width}"
        )
    sizing = Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)
    return replace(preparation, sizing=sizing)


def _onnx_facts(model: TracedModel, preparation: Preparation) -> OnnxFacts:
    path = Path(model.card.name)
    return OnnxFacts(
        # A file goes to others, who have nothing to do with where a run lay.
        name=path.resolve().name if path.is_dir() else model.card.name,
        kind=model.card.kind,
        licence=model.card.licence,
        preparation=preparation,
        needs_focal=model.needs_focal,
        resizing=model.card.resizing,
    )
