"""Wrapping of ONNX files of other programs, so that they take photographs as rilievo's files do.

The wrapped graph normalises the pixels, calls the network, and returns its output as "depth".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.errors import ModelError, first_line, needing
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.file_writing import append_model_metadata, measure_agreement
from rilievo.models.onnx_files.foreign_model import ForeignModel, NetworkSpec
from rilievo.models.onnx_files.onnx_model import OnnxDescription
from rilievo.models.resampling.preparation import Rule

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


_PREFIX = "network/"
"""Beginning of the network's names in the copy, so that they do not clash with ours."""


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """Nodes before or after the network, and the constants that they use."""

    nodes: "list[NodeProto]"
    constants: "list[TensorProto]"


def write_wrapped_copy(source: Path, target: Path, spec: NetworkSpec) -> Agreement:
    """Write a copy of another program's file that takes photographs.

    ``spec`` is the user's description of the network.

    Returns:
        How far the predictions of copy and original differ.
    """
    with needing("wrapping an ONNX file", "export"):
        import onnx
    foreign = ForeignModel(source, spec)
    channel_axis = _channel_axis(source, foreign)
    model = onnx.compose.add_prefix(onnx.load(str(source)), _PREFIX)
    _wrap_graph_in_place(model, foreign, channel_axis)
    try:
        target.write_bytes(model.SerializeToString())
    # protobuf raises an unspecific ValueError for messages above 2 GB.
    except ValueError as error:
        raise ModelError(f"{source}: {first_line(error)}") from error
    assert foreign.card.kind is not None, "the user has stated the kind of depth"
    description = OnnxDescription(
        name=foreign.card.name,
        kind=foreign.card.kind,
        licence=foreign.card.licence,
        preparation=foreign.preparation,
        needs_focal=False,
        is_third_party=True,
    )
    append_model_metadata(target, foreign, description)
    return measure_agreement(foreign, target, "fp32")


def _channel_axis(path: Path, foreign: ForeignModel) -> int | None:
    """Axis of the only channel of the network's output; None if it has no channels."""
    shape = foreign.output_shape()
    if len(shape) == 3 and shape[0] == 1:
        return None
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return 1 if shape[1] == 1 else 3
    raise ModelError(
        f"{path}: output '{foreign.output}' has the shape {shape}; expected depth as (batch, "
        "height, width), with or without one channel"
    )


def _wrap_graph_in_place(
    model: "ModelProto", foreign: ForeignModel, channel_axis: int | None
) -> None:
    """Put nodes before and after the network, and replace its inputs, outputs and metadata."""
    from onnx import TensorProto, helper

    graph = model.graph
    network_input = _PREFIX + foreign.input
    input_wrapping = _wrap_input(foreign, network_input)
    output_wrapping = _wrap_output(_PREFIX + foreign.output, channel_axis)
    nodes = [*input_wrapping.nodes, *graph.node, *output_wrapping.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*input_wrapping.constants, *output_wrapping.constants])

    sizing = foreign.preparation.sizing
    has_fixed_size = sizing.rule is Rule.FIXED
    size = [sizing.height, sizing.width] if has_fixed_size else ["height", "width"]
    batch = 1 if foreign.input_shape[0] == 1 else "batch"
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [batch, *size, 3])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, None, None])
    # Files of old versions of ONNX list their weights among the inputs.
    weights = [entry for entry in graph.input if entry.name != network_input]
    del graph.input[:]
    graph.input.extend([image, *weights])
    del graph.output[:]
    graph.output.append(depth)
    del model.metadata_props[:]


def _wrap_input(foreign: ForeignModel, network_input: str) -> _Wrapping:
    """Nodes that normalise pixels, (values / scale - mean) / std, and reorder the axes."""
    from onnx import TensorProto, helper, numpy_helper

    spec = foreign.spec
    normalisation = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    constants = [
        numpy_helper.from_array(np.asarray(values, np.float32), name)
        for name, values in normalisation.items()
    ]
    axes = [0, 3, 1, 2] if foreign.is_channels_first else [0, 1, 2, 3]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(foreign.dtype))
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["ordered"], perm=axes),
        helper.make_node("Cast", ["ordered"], [network_input], to=dtype),
    ]
    return _Wrapping(nodes, constants)


def _wrap_output(network_output: str, channel_axis: int | None) -> _Wrapping:
    """Nodes that convert the network's output to a float32 map without channels."""
    from onnx import TensorProto, helper, numpy_helper

    if channel_axis is None:
        cast = helper.make_node("Cast", [network_output], ["depth"], to=TensorProto.FLOAT)
        return _Wrapping([cast], [])
    cast = helper.make_node("Cast", [network_output], ["answer"], to=TensorProto.FLOAT)
    # Gather is the same in all versions of ONNX's operators, unlike Squeeze.
    first_channel = numpy_helper.from_array(np.array(0, np.int64), "channel")
    gather = helper.make_node("Gather", ["answer", "channel"], ["depth"], axis=channel_axis)
    return _Wrapping([cast, gather], [first_channel])
