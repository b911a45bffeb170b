"""ONNX files of other programs, wrapped so that they take photographs as our files do.

The wrapped graph normalises the pixels, calls the network, and returns its output as "depth".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.errors import ModelError, first_line, needing
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.foreign_model import ForeignModel, NetworkStatement
from rilievo.models.onnx_files.onnx_model import OnnxFacts
from rilievo.models.resampling.preparation import Rule
from rilievo.training.conversion.onnx_file import append_model_metadata, measure_agreement

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


_PREFIX = "network/"
"""Beginning of the network's names in the copy, so that they do not clash with ours."""


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """Nodes before or after the network, and the constants that they use."""

    nodes: "list[NodeProto]"
    constants: "list[TensorProto]"


def write_wrapped_copy(source: Path, part: Path, statement: NetworkStatement) -> Agreement:
    """Write a copy of another program's file that takes photographs; return how far the two differ.

    ``part`` is the file to write, and ``statement`` what the user states of the network.
    """
    with needing("wrapping an ONNX file", "export"):
        import onnx
    foreign = ForeignModel(source, statement)
    channel_axis = _channel_axis(source, foreign)
    network = onnx.compose.add_prefix(onnx.load(str(source)), _PREFIX)
    _wrap_graph_in_place(network, foreign, channel_axis)
    try:
        part.write_bytes(network.SerializeToString())
    # Messages above 2 GB are refused with an unspecific ValueError.
    except ValueError as error:
        raise ModelError(f"{source}: {first_line(error)}") from error
    assert foreign.card.kind is not None, "its user says it"
    facts = OnnxFacts(
        name=foreign.card.name,
        kind=foreign.card.kind,
        licence=foreign.card.licence,
        preparation=foreign.preparation,
        needs_focal=False,
        adopted=True,
    )
    append_model_metadata(part, foreign, facts)
    return measure_agreement(foreign, part, "fp32")


def _channel_axis(path: Path, foreign: ForeignModel) -> int | None:
    """Axis of the only channel of the network's output; None if it has no channels."""
    shape = foreign.output_shape()
    if len(shape) == 3 and shape[0] == 1:
        return None
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return 1 if shape[1] == 1 else 3
    raise ModelError(
        f"{path}: depth is (batch, height, width), with one channel or none; output "
        f"'{foreign.output}' is {shape}"
    )


def _wrap_graph_in_place(
    network: "ModelProto", foreign: ForeignModel, channel_axis: int | None
) -> None:
    from onnx import TensorProto, helper

    graph = network.graph
    network_input = _PREFIX + foreign.input
    before = _wrapping_of_input(foreign, network_input)
    after = _wrapping_of_output(_PREFIX + foreign.output, channel_axis)
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])

    sizing = foreign.preparation.sizing
    has_fixed_size = sizing.rule is Rule.FIXED
    size = [sizing.height, sizing.width] if has_fixed_size else ["height", "width"]
    batch = 1 if foreign.dims[0] == 1 else "batch"
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [batch, *size, 3])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, None, None])
    # Old files list their weights among the inputs.
    weights = [entry for entry in graph.input if entry.name != network_input]
    del graph.input[:]
    graph.input.extend([image, *weights])
    del graph.output[:]
    graph.output.append(depth)
    del network.metadata_props[:]


def _wrapping_of_input(foreign: ForeignModel, network_input: str) -> _Wrapping:
    """Normalisation of pixels, (values / scale - mean) / std, and the network's order of axes."""
    from onnx import TensorProto, helper, numpy_helper

    statement = foreign.statement
    numbers = {"scale": statement.scale, "mean": statement.mean, "std": statement.std}
    constants = [
        numpy_helper.from_array(np.asarray(values, np.float32), name)
        for name, values in numbers.items()
    ]
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
    ]
    order = [0, 3, 1, 2] if foreign.is_channels_first else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", ["normalised"], ["ordered"], perm=order))
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(foreign.dtype))
    nodes.append(helper.make_node("Cast", ["ordered"], [network_input], to=dtype))
    return _Wrapping(nodes, constants)


def _wrapping_of_output(network_output: str, channel_axis: int | None) -> _Wrapping:
    """Conversion of the network's output to a float32 map without channels."""
    from onnx import TensorProto, helper, numpy_helper

    if channel_axis is None:
        cast = helper.make_node("Cast", [network_output], ["depth"], to=TensorProto.FLOAT)
        return _Wrapping([cast], [])
    cast = helper.make_node("Cast", [network_output], ["answer"], to=TensorProto.FLOAT)
    # Gather is the same in all versions of ONNX's operators, unlike Squeeze.
    first_channel = numpy_helper.from_array(np.array(0, np.int64), "channel")
    gather = helper.make_node("Gather", ["answer", "channel"], ["depth"], axis=channel_axis)
    return _Wrapping([cast, gather], [first_channel])
