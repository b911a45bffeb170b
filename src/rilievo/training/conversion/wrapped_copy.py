"""ONNX files of other programs, wrapped into our format."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rilievo.errors import ModelError, first_line, needing
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.foreign_model import ForeignModel, NetworkStatement
from rilievo.models.onnx_files.onnx_model import OnnxFacts
from rilievo.models.resampling.preparation import Rule
from rilievo.training.conversion.onnx_file import append_model_metadata, measure_agreement

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


_PREFIX = "network/"  # avoids clashes between the network's names and ours


def write_wrapped_copy(source: Path, part: Path, statement: NetworkStatement) -> Agreement:
    """Write a copy that takes photographs, and compare it."""
    with needing("wrapping an ONNX file", "export"):
        import onnx
    foreign = ForeignModel(source, statement)
    axis = _axis_of_one_channel(source, foreign)
    network = onnx.compose.add_prefix(onnx.load(str(source)), _PREFIX)
    _wrap_graph_in_place(network, foreign, axis)
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


def _wrap_graph_in_place(network: "ModelProto", foreign: ForeignModel, axis: int | None) -> None:
    from onnx import TensorProto, helper

    graph = network.graph
    theirs, answer = _PREFIX + foreign.input, _PREFIX + foreign.output
    nodes, constants = _input_nodes_and_constants(foreign, theirs)
    behind, more = _output_nodes_and_constants(answer, axis)
    inner = [*nodes, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(inner)
    graph.initializer.extend([*constants, *more])
    # Old files list their weights among the inputs.
    rest = [entry for entry in graph.input if entry.name != theirs]
    height, width = foreign.preparation.sizing.height, foreign.preparation.sizing.width
    fixed = foreign.preparation.sizing.rule is Rule.FIXED
    batch = 1 if foreign.dims[0] == 1 else "batch"
    shape = [batch, height, width, 3] if fixed else [batch, "height", "width", 3]
    del graph.input[:]
    graph.input.extend([helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape), *rest])
    del graph.output[:]
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, None, None])
    graph.output.append(depth)
    del network.metadata_props[:]


def _input_nodes_and_constants(
    foreign: ForeignModel, theirs: str
) -> tuple[list["NodeProto"], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    statement = foreign.statement
    constants = [
        numpy_helper.from_array(np.asarray(values, np.float32), name)
        for name, values in (
            ("scale", statement.scale),
            ("mean", statement.mean),
            ("std", statement.std),
        )
    ]
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
    ]
    order = [0, 3, 1, 2] if foreign.is_channels_first else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", ["normalised"], ["ordered"], perm=order))
    to = helper.np_dtype_to_tensor_dtype(np.dtype(foreign.dtype))
    nodes.append(helper.make_node("Cast", ["ordered"], [theirs], to=to))
    return nodes, constants


def _output_nodes_and_constants(
    answer: str, axis: int | None
) -> tuple[list["NodeProto"], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    if axis is None:
        return [helper.make_node("Cast", [answer], ["depth"], to=TensorProto.FLOAT)], []
    cast = helper.make_node("Cast", [answer], ["answer"], to=TensorProto.FLOAT)
    # The same in all sets of operators, unlike Squeeze.
    first = numpy_helper.from_array(np.array(0, np.int64), "channel")
    return [cast, helper.make_node("Gather", ["answer", "channel"], ["depth"], axis=axis)], [first]


def _axis_of_one_channel(path: Path, foreign: ForeignModel) -> int | None:
    shape = foreign.output_shape()
    if len(shape) == 3 and shape[0] == 1:
        return None
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return 1 if shape[1] == 1 else 3
    raise ModelError(
        f"{path}: depth is (batch, height, width), with one channel or none; output "
        f"'{foreign.output}' is {shape}"
    )
