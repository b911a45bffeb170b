"""ONNX files with 16-bit weights, which are converted when they run, or with a fixed size."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.errors import ModelError, OptionError
from rilievo.models.conversion.onnx_package import import_onnx
from rilievo.models.onnx_files.engines import INPUT
from rilievo.shapes import Size

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

FP32, FP16, INT8 = "fp32", "fp16", "int8"
FILE_PRECISIONS = (FP32, FP16, INT8)
LARGEST_FP16 = 65504.0


def halve(source: Path, target: Path) -> None:
    """Store a network's weights in 16 bits; they are converted to 32 bits when it runs.

    Arithmetic in 16 bits would overflow in some networks, and is no faster on CPUs; use
    ``precision="bf16"`` at run time for faster arithmetic.
    """
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
    _save(model, target)


def is_dequantised(path: Path) -> bool:
    """Whether a file may store weights in 8 bits that sessions have to be told to multiply out."""
    return b"DequantizeLinear" in path.read_bytes()


def multiply_weights(source: Path, target: Path) -> None:
    """Store a network whose 8-bit weights every engine multiplies out once, at equal bits.

    ``DequantizeLinear`` of weights becomes a conversion and a product: ONNX Runtime computes it at
    every run unless its session has the entry ``session.disable_quant_qdq``.
    """
    onnx = import_onnx()
    model = onnx.load(str(source))
    multiply_out(model)
    _save(model, target)


def multiply_out(model: "ModelProto") -> None:
    """Do the same to a model in place."""
    onnx = import_onnx()
    for graph in graphs_of(model.graph):
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


def graphs_of(graph: "GraphProto") -> "Iterator[GraphProto]":
    """Graph, and those of its branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs_of(attribute.g)


def fix_size(path: Path, size: Size, name: str) -> None:
    """Fix the height and width of a network's input, and of the outputs that have the same.

    Outputs of a branch keep free sizes: ``normals`` and ``confidence`` have no pixels where they
    are left out.

    Args:
        path: The network's file, which is changed.
        size: Height and width [px].
        name: Name of the network in messages.

    Raises:
        OptionError: If the network has another fixed size.
    """
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
                problem=(
                    f"its network has the fixed size {own}: leave {{size}} out, "
                    "or export the model that it was made of"
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
    _save(model, path)


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of an ONNX file."""
    onnx = import_onnx()
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    _save(model, path)


def _save(model: "ModelProto", path: Path) -> None:
    path.write_bytes(model.SerializeToString())
