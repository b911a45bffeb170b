"""Write a model in torch as an ONNX file, by tracing it, and compare the two."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, explain_missing_extra, first_line
from rilievo.io.files.atomic import scratch_path
from rilievo.models.base import PreparedModel
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.conversion import FP32
from rilievo.models.onnx_files.file_writing import (
    append_model_metadata,
    check_file_precision,
    measure_agreement,
    store_constants_in_file,
    with_fixed_size,
    write_in_precision,
)
from rilievo.models.onnx_files.onnx_model import INPUT, OnnxDescription
from rilievo.models.resampling.preparation import Preparation, Rule

if TYPE_CHECKING:
    from torch import Tensor, nn


_OPSET = 17
"""Version of ONNX's operators that files are written in."""
_MAX_WEIGHT_BYTES = 2**31 - 2**24
"""Most bytes of weights in a file, whose length counts in 31 bits, with room for the graph."""
_EXAMPLE_SIZE = (480, 640)
"""Height and width of the photograph with which a network is traced [px]."""
_AXES = {"normals": (0, 2, 3), "fov": (0,)}
"""Axes of batch, height and width, for inputs and outputs in which they are not 0, 1 and 2."""
_MODULES_WITH_INT = ("transformers.models.depth_anything.modeling_depth_anything",)
"""Modules that call int() on sizes, which tracing would therefore store as constants."""


class TracedModel(PreparedModel):
    """Model in torch that can be exported; ``network`` is a ``TorchNetwork``."""

    network: Any
    device: Any


def write_onnx(
    model: TracedModel,
    target: Path,
    *,
    precision: str = FP32,
    photos: Sequence[Path] = (),
    size: Size | None = None,
) -> Agreement:
    """Write a model in fp32 as an ONNX file.

    ``photos`` calibrate int8, and model and file are compared on them. ``size`` is a fixed (height,
    width) of the input [px]; by default, the file keeps the model's rule.

    Returns:
        How far the predictions of model and file differ.

    Raises:
        ModelError: If the model cannot be exported, or predictions differ too much.
        OptionError: If there is no such precision, or the size does not suit the network.
    """
    check_file_precision(precision)
    if model.network.depends_on_batch:
        raise ModelError(
            f"model '{model.card.name}' cannot be exported, because the photographs of a batch "
            "affect each other in its network"
        )
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    description = replace(_make_description(model, preparation), precision=precision)
    if precision == FP32:
        return _trace_and_compare(model, description, target)

    with scratch_path(target) as fp32_path:
        _trace_and_compare(model, description, fp32_path)
        return write_in_precision(fp32_path, target, model, description, photos)


def _make_description(model: TracedModel, preparation: Preparation) -> OnnxDescription:
    path = Path(model.card.name)
    return OnnxDescription(
        # Without the folder of a run, since the file is passed on to others.
        name=path.resolve().name if path.is_dir() else model.card.name,
        kind=model.card.kind,
        licence=model.card.licence,
        preparation=preparation,
        needs_focal=model.needs_focal,
        resizing=model.card.resizing,
    )


def _trace_and_compare(model: TracedModel, description: OnnxDescription, path: Path) -> Agreement:
    """Write an fp32 file and compare it with its model.

    The file takes batches of any size, unless its predictions for them are wrong.
    """
    description = replace(description, precision=FP32)
    if not model.network.loops_over_batch:
        with suppress(ModelError):
            return _trace_and_compare_batch(model, description, path, free_batch=True)
    return _trace_and_compare_batch(model, description, path, free_batch=False)


def _trace_and_compare_batch(
    model: TracedModel, description: OnnxDescription, path: Path, *, free_batch: bool
) -> Agreement:
    """Trace a network into an fp32 file, and compare the file with the model."""
    # With a fixed size, tracing stores what is computed from the size as constants.
    free_size = description.preparation.sizing.rule is not Rule.FIXED
    write_traced(
        model.network,
        _black_input(description.preparation).to(model.device),
        path,
        outputs=model.network.outputs,
        free_size=free_size,
        free_batch=free_batch,
    )
    append_model_metadata(path, model, description)
    return measure_agreement(model, path, FP32)


def _black_input(preparation: Preparation) -> "Tensor":
    """Batch of one black photograph, prepared for the network."""
    import torch

    black = preparation.pixels(np.zeros((*_EXAMPLE_SIZE, 3), np.uint8))
    return torch.from_numpy(np.array(black))[None]


def write_traced(
    network: "nn.Module",
    example: "Tensor",
    path: Path,
    *,
    outputs: Sequence[str],
    free_size: bool,
    free_batch: bool,
) -> None:
    """Write a network to an ONNX file, traced with a batch of images as example.

    ``outputs`` are the names of the tensors in the tuple that the network returns. With
    ``free_size``, the file takes images of any size, not only that of the example, and with
    ``free_batch`` any number of images.
    """
    import torch

    with explain_missing_extra("exporting to ONNX", "export"):
        import onnx  # noqa: F401
    _check_weights_fit_file(network)
    try:
        with (
            warnings.catch_warnings(),
            _tracing_sizes_as_tensors(),
            torch.inference_mode(mode=False),
        ):
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
                opset_version=_OPSET,
                dynamo=False,
            )
        store_constants_in_file(path)
    except OSError:
        # A full disk is not the network's fault.
        raise
    # What an unsupported operator raises depends on the operator.
    except Exception as error:
        raise ModelError(f"the network cannot be traced: {first_line(error)}") from error


def _check_weights_fit_file(network: "nn.Module") -> None:
    """Raise ``ModelError`` for a network with more weights than an ONNX file holds."""
    tensors = network.state_dict().values()
    weight_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if weight_bytes > _MAX_WEIGHT_BYTES:
        raise ModelError(
            f"the weights take {weight_bytes / 2**30:.1f} GB, but an ONNX file holds at most 2 GB"
        )


def _free_axis_names(name: str, *, free_size: bool, free_batch: bool) -> Mapping[int, str]:
    """Names of the axes of an input or output that may have any length, by axis."""
    batch_axis, *size_axes = _AXES.get(name, (0, 1, 2))
    axis_names: dict[int, str] = {}
    if free_batch:
        axis_names[batch_axis] = "batch"
    if free_size and size_axes:
        height_axis, width_axis = size_axes
        axis_names[height_axis] = "height"
        axis_names[width_axis] = "width"
    return axis_names


@contextmanager
def _tracing_sizes_as_tensors() -> Iterator[None]:
    """Replace int() in ``_MODULES_WITH_INT`` while a network is traced, so that sizes stay free."""
    modules: list[Any] = [sys.modules[name] for name in _MODULES_WITH_INT if name in sys.modules]
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
