"""Changes of ONNX files: 16-bit weights, weights without 8 bits, stored constants, a fixed size."""

from collections.abc import Iterator, Mapping
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


LARGEST_FP16 = 65504.0


def write_fp16_weights(source: Path, target: Path) -> None:
    """Copy a file with fp16 weights; arithmetic, which would overflow, stays."""
    onnx = import_onnx()
    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        # Biases and norms are small arrays, and the most sensitive to rounding.
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(weight)
        if np.abs(values).max() > LARGEST_FP16:
            raise ModelError(
                f"{source}: weight {weight.name} goes up to {np.abs(values).max():.3g}, beyond "
                f"what fp16 holds ({LARGEST_FP16:.0f}); keep fp32"
            )
        name = weight.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}/fp16")
        weight.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _write_model(model, target)


def may_have_8bit_weights(path: Path) -> bool:
    """Whether a file has any DequantizeLinear."""
    return b"DequantizeLinear" in path.read_bytes()


def write_without_dequantize(source: Path, target: Path) -> None:
    """Copy a network as ``replace_dequantize_nodes`` changes it."""
    onnx = import_onnx()
    model = onnx.load(str(source))
    replace_dequantize_nodes(model)
    _write_model(model, target)


def replace_dequantize_nodes(model: "ModelProto") -> None:
    """Convert 8-bit weights by Cast and Mul, in place, for equal bits."""
    onnx = import_onnx()
    for graph in graph_and_branches(model.graph):
        weights = {tensor.name: tensor for tensor in graph.initializer}
        nodes = []
        for node in graph.node:
            if node.op_type != "DequantizeLinear" or not weights.keys() >= set(node.input):
                nodes.append(node)
                continue
            steps, size = (weights[name] for name in node.input)
            values = onnx.numpy_helper.to_array(size)
            ones = [1] * (len(steps.dims) - 1)
            size.CopyFrom(onnx.numpy_helper.from_array(values.reshape(-1, *ones), size.name))
            name = node.output[0]
            cast = ([steps.name], [f"{name}/float"])
            nodes += [
                onnx.helper.make_node("Cast", *cast, to=onnx.TensorProto.FLOAT),
                onnx.helper.make_node("Mul", [f"{name}/float", size.name], [name]),
            ]
        del graph.node[:]
        graph.node.extend(nodes)


def store_constants(model: "ModelProto") -> None:
    """Replace Constant nodes by initialisers, in place, for equal bits.

    ONNX Runtime opens such a file sooner, since it does not run a node for each constant. A
    constant that is an output of its graph, such as the empty answer of a branch, stays a node.
    """
    onnx = import_onnx()
    for graph in graph_and_branches(model.graph):
        outputs = {value.name for value in graph.output}
        nodes = []
        for node in graph.node:
            tensor = None if node.output[0] in outputs else _constant_tensor(node)
            if tensor is None:
                nodes.append(node)
            else:
                graph.initializer.append(
                    onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), node.output[0])
                )
        del graph.node[:]
        graph.node.extend(nodes)


def store_constants_in_file(path: Path) -> None:
    """Change a file as ``store_constants`` changes a model."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    store_constants(model)
    _write_model(model, path)


def _constant_tensor(node: "NodeProto") -> "TensorProto | None":
    """Tensor of a Constant node; None of other nodes, and of constants in another form."""
    if node.op_type != "Constant" or node.attribute[0].name != "value":
        return None
    return node.attribute[0].t


def graph_and_branches(graph: "GraphProto") -> "Iterator[GraphProto]":
    """Yield a graph, then nested ones."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graph_and_branches(attribute.g)


def fix_size_in_file(path: Path, size: Size, name: str) -> None:
    """Fix the size [px] of inputs and outputs, except a branch's."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    graph = model.graph
    [image] = [value for value in graph.input if value.name == INPUT]
    axes = image.type.tensor_type.shape.dim[1:3]
    for axis, length in zip(axes, size, strict=True):
        if axis.dim_value not in (0, length):
            own = "x".join(str(side.dim_value or "any") for side in axes)
            raise OptionError(
                path=name,
                problem=Text(
                    f"its network has the fixed size {own}: leave ",
                    OptionName("size"),
                    " out, or export the model that it was made of",
                ),
            )
    lengths = {axis.dim_param: length for axis, length in zip(axes, size, strict=True)}
    for axis, length in zip(axes, size, strict=True):
        axis.dim_value = length
    branches = {name for node in graph.node if node.op_type == "If" for name in node.output}
    for output in graph.output:
        for axis in () if output.name in branches else output.type.tensor_type.shape.dim:
            if axis.dim_param and axis.dim_param in lengths:
                axis.dim_value = lengths[axis.dim_param]
    _write_model(model, path)


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of an ONNX file."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    _write_model(model, path)


def _write_model(model: "ModelProto", path: Path) -> None:
    path.write_bytes(model.SerializeToString())
