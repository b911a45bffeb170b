"""Changes to a finished ONNX file: its weights, constants, input size and metadata."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.quantisation import import_onnx

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


_MAX_FP16 = 65504.0
"""Largest finite number in half precision."""


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
    onnx = import_onnx()
    for graph in graph_and_branches(model.graph):
        tensor_by_name = {tensor.name: tensor for tensor in graph.initializer}
        nodes: list[NodeProto] = []
        for node in graph.node:
            has_stored_inputs = tensor_by_name.keys() >= set(node.input)
            if node.op_type != "DequantizeLinear" or not has_stored_inputs:
                nodes.append(node)
                continue

            integers, scale = (tensor_by_name[name] for name in node.input)
            # One scale for each output channel, which Mul broadcasts over the other axes.
            scales = onnx.numpy_helper.to_array(scale)
            broadcast_shape = (-1, *[1] * (len(integers.dims) - 1))
            scale.CopyFrom(
                onnx.numpy_helper.from_array(scales.reshape(broadcast_shape), scale.name)
            )
            [output] = node.output
            floats = f"{output}/float"
            nodes += [
                onnx.helper.make_node("Cast", [integers.name], [floats], to=onnx.TensorProto.FLOAT),
                onnx.helper.make_node("Mul", [floats, scale.name], [output]),
            ]
        _set_nodes(graph, nodes)


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


def fix_size_in_file(path: Path, size: Size, model_name: str) -> None:
    """Fix the size (height, width) [px] of the input and of the outputs in a file, in place."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    graph = model.graph
    [image] = [value for value in graph.input if value.name == INPUT]
    axes = image.type.tensor_type.shape.dim[1:3]
    if any(axis.dim_value not in (0, side) for axis, side in zip(axes, size, strict=True)):
        fixed_size = "x".join(str(axis.dim_value or "any") for axis in axes)
        raise OptionError(
            path=model_name,
            problem=Text(
                f"its network has the fixed size {fixed_size} (height x width): leave out ",
                OptionName("size"),
                ", or export the original model",
            ),
        )

    side_by_axis_name = {axis.dim_param: side for axis, side in zip(axes, size, strict=True)}
    for axis, side in zip(axes, size, strict=True):
        axis.dim_value = side
    # The output of a branch may be empty, so its size stays free.
    branches = [node for node in graph.node if node.op_type == "If"]
    branch_outputs = {name for node in branches for name in node.output}
    for output in graph.output:
        if output.name in branch_outputs:
            continue
        for axis in output.type.tensor_type.shape.dim:
            if axis.dim_param and axis.dim_param in side_by_axis_name:
                axis.dim_value = side_by_axis_name[axis.dim_param]
    _write_model(model, path)


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
