"""Write ONNX files in rilievo's format, and change finished ones.

A file is written from another one, for example with another precision, and compared with the model
that it comes from. Changes concern its weights, constants, input size and metadata.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import scratch_path
from rilievo.io.photographs.photo import read_photo
from rilievo.io.training_files import ONNX_KEY
from rilievo.models.base import PreparedModel
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.agreement import Agreement, check_agreement
from rilievo.models.onnx_files.conversion import FP32, INT8
from rilievo.models.onnx_files.engines import INT8_WEIGHTS, original_summation_order
from rilievo.models.onnx_files.onnx_model import INPUT, OnnxDescription, OnnxModel
from rilievo.models.onnx_files.quantisation import import_onnx, quantise
from rilievo.models.resampling.preparation import Preparation, Rule, Sizing

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


FP16 = "fp16"
FILE_PRECISIONS = (FP32, FP16, INT8)
"""Precisions of the weights in an ONNX file."""
_MAX_COMPARED_PHOTOS = 8
"""Most photographs on which a file is compared with its model."""
_MAX_FP16 = 65504.0
"""Largest finite number in half precision."""


def check_file_precision(precision: str) -> None:
    """Raise ``OptionError`` for a precision that an ONNX file cannot have."""
    if precision not in FILE_PRECISIONS:
        suggestion = suggest(precision, FILE_PRECISIONS)
        raise OptionError(f"an ONNX file cannot have precision '{precision}'; {suggestion}")


def with_fixed_size(preparation: Preparation, size: Size) -> Preparation:
    """Replace the rule for the size of the input by one size (height, width) [px]."""
    height, width = size
    multiple = preparation.sizing.multiple
    if min(size) < 1 or height % multiple or width % multiple:
        raise OptionError(
            option="size",
            problem=f"must be HEIGHT,WIDTH in multiples of {multiple}, got {height},{width}",
        )
    sizing = Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)
    return replace(preparation, sizing=sizing)


def append_model_metadata(target: Path, model: PreparedModel, description: OnnxDescription) -> None:
    """Append the metadata of a model to a file, with the hash of its weights."""
    append_metadata(target, _model_metadata(model, description))


def append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Append metadata to a file without reading it, since protocol buffers can be concatenated."""
    import onnx

    entries = onnx.ModelProto()
    for key, value in metadata.items():
        entries.metadata_props.add(key=key, value=value)
    with path.open("ab") as file:
        file.write(entries.SerializeToString())


def _model_metadata(model: PreparedModel, description: OnnxDescription) -> Mapping[str, str]:
    return {**description.metadata(), "rilievo.weights_sha256": model.weights_sha256}


def write_in_precision(
    source: Path,
    target: Path,
    model: PreparedModel,
    description: OnnxDescription,
    photos: Sequence[Path],
) -> Agreement:
    """Write an fp32 file again, in the precision that ``description`` states.

    ``photos`` calibrate int8, and the new file is compared on them with ``model``, from which the
    fp32 file was made.

    Returns:
        How far the predictions of the model and of the new file differ.
    """
    _convert_precision(source, target, description, photos)
    set_metadata(target, _model_metadata(model, description))
    return measure_agreement(model, target, description.precision, photos)


def _convert_precision(
    source: Path, target: Path, description: OnnxDescription, photos: Sequence[Path]
) -> None:
    """Convert an fp32 file to fp16, or to int8, which ``photos`` calibrate."""
    if description.precision == FP16:
        write_fp16_weights(source, target)
    else:  # INT8
        quantise(source, target, description.preparation, photos)


def measure_agreement(
    model: PreparedModel,
    path: Path,
    precision: str,
    photos: Sequence[Path] = (),
    threads: int | None = None,
) -> Agreement:
    """Measure how far the predictions of a file and of its model differ."""
    try:
        load_options = LoadOptions(device="cpu", engine="onnxruntime", threads=threads)
        converted = OnnxModel(path, load_options)
        compared = [read_photo(photo, own_depth=False) for photo in photos[:_MAX_COMPARED_PHOTOS]]
        return check_agreement(model, converted, precision, [photo.pixels for photo in compared])
    except ModelError as error:
        # The name of the temporary file would mean nothing to users.
        problem = error.text(path="" if str(error.path) == str(path) else None)
        beginning = f"model '{model.card.name}' cannot be exported:"
        raise ModelError(beginning, problem=problem) from error


def write_converted_copy(
    model: OnnxModel,
    target: Path,
    *,
    precision: str | None = None,
    photos: Sequence[Path] = (),
    size: Size | None = None,
) -> Agreement:
    """Write a copy of a model's ONNX file with another precision, a fixed size, or both.

    Args:
        model: Model, in fp32 if the copy shall have another precision.
        target: File to write.
        precision: Precision of the copy; None keeps the weights as they are.
        photos: Photographs that calibrate int8, and on which the two are compared.
        size: Fixed height and width of the input [px]; None keeps the rule of the model.

    Returns:
        How far the predictions of the model and of its copy differ.

    Raises:
        ModelError: If the network cannot be converted, or predictions differ too much.
        OptionError: If the model has another precision already, or the size does not suit it.
    """
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    description = replace(model.description, preparation=preparation)
    if precision is not None and model.description.precision != FP32:
        raise _rounded_weights_error(model, precision)
    if precision is not None and precision != FP32:
        description = replace(description, precision=precision)
        with scratch_path(target) as sized_path:
            _copy_with_size(model, sized_path, size)
            _convert_precision(sized_path, target, description, photos)
        _set_copied_metadata(target, model, description)
        return measure_agreement(model, target, precision, photos)

    # The weights stay as they are, and the arithmetic is in fp32.
    if size is None:
        _copy_without_dequantize(model, target)
        return measure_agreement(model, target, FP32, photos)
    _copy_with_size(model, target, size)
    _set_copied_metadata(target, model, description)
    return _measure_agreement_in_order(model, target, photos)


def _set_copied_metadata(target: Path, model: OnnxModel, description: OnnxDescription) -> None:
    """Replace the metadata of a copy: that of the model, and what ``description`` changes.

    ``ONNX_KEY`` has the hash of the original file, so the copy does not get it.
    """
    metadata = {name: value for name, value in model.metadata.items() if name != ONNX_KEY}
    set_metadata(target, {**metadata, **_model_metadata(model, description)})


def _measure_agreement_in_order(
    model: OnnxModel, target: Path, photos: Sequence[Path]
) -> Agreement:
    """Measure how far a copy differs that computes the same as its model, in the same order.

    Both run in one thread, and add numbers in the order of the file. Several threads add in an
    order that depends on the load of the machine, and where the network rounds and then picks a
    place, it could pick another one.
    """
    load_options = LoadOptions(device="cpu", engine="onnxruntime", threads=1)
    with original_summation_order():
        source_model = OnnxModel(model.path, load_options)
        return measure_agreement(source_model, target, FP32, photos, threads=1)


def _rounded_weights_error(model: OnnxModel, precision: str) -> OptionError:
    """Error for a file whose weights cannot get a precision, because they are rounded already."""
    weights = model.description.precision
    if weights == INT8_WEIGHTS:  # such as rilievo's own models
        problem = "has weights of 8 bits, which no other precision makes more exact"
        advice = ": the file then keeps these weights, and computes in fp32"
    else:
        problem = f"has weights that are rounded to {weights} already"
        advice = f", or export the model from which this file was made in {precision}"
    hint = Text("leave out ", OptionName("precision"), advice)
    return OptionError(model.card.name, problem=problem, hint=hint)


def _copy_with_size(model: OnnxModel, path: Path, size: Size | None) -> None:
    """Copy the file of a model, with a fixed size unless that is None."""
    if size is None:
        path.write_bytes(model.path.read_bytes())
        return
    _copy_without_dequantize(model, path)
    fix_size_in_file(path, size, file_name=model.path.name, source_name=model.card.name)


def _copy_without_dequantize(model: OnnxModel, target: Path) -> None:
    """Copy the file of a model, without the operator that converts 8-bit weights."""
    if model.description.precision == INT8_WEIGHTS and may_have_8bit_weights(model.path):
        write_without_dequantize(model.path, target)
    else:
        target.write_bytes(model.path.read_bytes())


def write_fp16_weights(source: Path, target: Path) -> None:
    """Copy a file, with its weights stored as fp16.

    The network converts them to fp32 when it runs, because its arithmetic would overflow in fp16.
    """
    onnx = import_onnx()
    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        # Biases and norms have one axis. They are small, and the most sensitive to rounding.
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name = weight.name
        values = onnx.numpy_helper.to_array(weight)
        largest = np.abs(values).max()
        if largest > _MAX_FP16:
            raise ModelError(
                f"{source}: weight {name} reaches {largest:.3g}, which is beyond the range of fp16 "
                f"({_MAX_FP16:.0f}); use fp32"
            )
        half_weight = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}/fp16")
        weight.CopyFrom(half_weight)
        cast = onnx.helper.make_node("Cast", [half_weight.name], [name], to=onnx.TensorProto.FLOAT)
        casts.append(cast)
    _set_nodes(graph, [*casts, *graph.node])
    _write_model(model, target)


def may_have_8bit_weights(path: Path) -> bool:
    """Whether a file mentions the operator that converts 8-bit weights."""
    return b"DequantizeLinear" in path.read_bytes()


def write_without_dequantize(source: Path, target: Path) -> None:
    """Copy a file, changed as by ``replace_dequantize_nodes``."""
    onnx = import_onnx()
    model = onnx.load(str(source))
    replace_dequantize_nodes(model)
    _write_model(model, target)


def replace_dequantize_nodes(model: "ModelProto") -> None:
    """Replace, in place, each DequantizeLinear of stored weights by Cast and Mul.

    The results are equal to the bit.
    """
    for graph in graph_and_branches(model.graph):
        tensor_by_name = {tensor.name: tensor for tensor in graph.initializer}
        nodes: list[NodeProto] = []
        for node in graph.node:
            has_stored_inputs = tensor_by_name.keys() >= set(node.input)
            if node.op_type == "DequantizeLinear" and has_stored_inputs:
                integers, scales = (tensor_by_name[name] for name in node.input)
                _make_scales_broadcastable(scales, axis_count=len(integers.dims))
                nodes += _cast_and_multiply(integers.name, scales.name, node.output[0])
            else:
                nodes.append(node)
        _set_nodes(graph, nodes)


def _make_scales_broadcastable(scales: "TensorProto", *, axis_count: int) -> None:
    """Reshape, in place, one scale for each output channel, so that Mul broadcasts the scales.

    The channel is the first axis of the tensor that they scale, which has ``axis_count`` axes.
    """
    onnx = import_onnx()
    values = onnx.numpy_helper.to_array(scales)
    other_axes = [1] * (axis_count - 1)
    reshaped = values.reshape((-1, *other_axes))
    scales.CopyFrom(onnx.numpy_helper.from_array(reshaped, scales.name))


def _cast_and_multiply(integers: str, scales: str, output: str) -> "list[NodeProto]":
    """Nodes that compute float(integers) * scales; all are names of tensors."""
    onnx = import_onnx()
    floats = f"{output}/float"
    return [
        onnx.helper.make_node("Cast", [integers], [floats], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Mul", [floats, scales], [output]),
    ]


def store_constants(model: "ModelProto") -> None:
    """Replace, in place, Constant nodes by stored tensors of the same bits.

    ONNX Runtime opens such a file sooner, since it does not run a node for each constant. A
    constant that is an output of its graph, such as the empty output of a branch, stays a node.
    """
    onnx = import_onnx()
    for graph in graph_and_branches(model.graph):
        outputs = {value.name for value in graph.output}
        nodes: list[NodeProto] = []
        for node in graph.node:
            name = node.output[0]
            tensor = None if name in outputs else _constant_tensor(node)
            if tensor is None:
                nodes.append(node)
                continue
            values = onnx.numpy_helper.to_array(tensor)
            graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        _set_nodes(graph, nodes)


def store_constants_in_file(path: Path) -> None:
    """Change a file in place, as by ``store_constants``."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    store_constants(model)
    _write_model(model, path)


def _constant_tensor(node: "NodeProto") -> "TensorProto | None":
    """Tensor of a Constant node; None for other nodes, and for constants in another form."""
    if node.op_type != "Constant" or node.attribute[0].name != "value":
        return None
    return node.attribute[0].t


def graph_and_branches(graph: "GraphProto") -> "Iterator[GraphProto]":
    """Yield a graph, and the graphs of the branches and loops in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graph_and_branches(attribute.g)


def fix_size_in_file(path: Path, size: Size, *, file_name: str, source_name: str) -> None:
    """Fix the size (height, width) [px] of the input and of the outputs in a file, in place.

    Raises:
        OptionError: If the network has another fixed size already. The message calls the file
            ``file_name``, and says that it was made from the model ``source_name``.
    """
    onnx = import_onnx()
    model = onnx.load(str(path))
    graph = model.graph
    [image] = [value for value in graph.input if value.name == INPUT]
    height_axis, width_axis = image.type.tensor_type.shape.dim[1:3]
    axes_and_sides = list(zip((height_axis, width_axis), size, strict=True))
    # The length (dim_value) of an axis that is free is 0.
    if any(axis.dim_value not in (0, side) for axis, side in axes_and_sides):
        fixed_size = f"{height_axis.dim_value or 'any'}x{width_axis.dim_value or 'any'}"
        raise OptionError(
            path=file_name,
            problem=Text(
                f"its network has the fixed size {fixed_size} (height x width): leave out ",
                OptionName("size"),
                f", or export the model from which this file was made ({source_name})",
            ),
        )

    # A free axis has a name (dim_param). Axes of outputs with the same name have the same length.
    side_by_axis_name = {axis.dim_param: side for axis, side in axes_and_sides}
    for axis, side in axes_and_sides:
        axis.dim_value = side
    _fix_output_sizes(graph, side_by_axis_name)
    _write_model(model, path)


def _fix_output_sizes(graph: "GraphProto", side_by_axis_name: Mapping[str, int]) -> None:
    """Fix, in place, the lengths of the outputs' axes that have these names."""
    # The output of a branch may be empty, so its size stays free.
    branches = [node for node in graph.node if node.op_type == "If"]
    branch_outputs = {name for node in branches for name in node.output}
    for output in graph.output:
        if output.name in branch_outputs:
            continue
        for axis in output.type.tensor_type.shape.dim:
            if axis.dim_param and axis.dim_param in side_by_axis_name:
                axis.dim_value = side_by_axis_name[axis.dim_param]


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of an ONNX file."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    _write_model(model, path)


def _set_nodes(graph: "GraphProto", nodes: "Sequence[NodeProto]") -> None:
    del graph.node[:]
    graph.node.extend(nodes)


def _write_model(model: "ModelProto", path: Path) -> None:
    path.write_bytes(model.SerializeToString())
