"""Nodes of an ONNX file that run only where their answers are asked for.

What normals and confidence alone need goes into an ``If`` with an optional input, true where it is
not given: a caller who gives false gets them empty, and the rest sooner.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SURFACES = "surfaces"
"""Optional input, which ``rilievo.models.onnx_files.engines`` knows."""
OF_SURFACES = ("normals", "confidence")
_INNER = f"{SURFACES}."


def gate(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put what only ``OF_SURFACES`` depend on behind an optional input; other answers stay.

    Raises:
        ValueError: If the model has no such output, or is gated already.
    """
    graph = model.graph
    outputs = {each.name: each for each in graph.output}
    gated = [name for name in OF_SURFACES if name in outputs]
    if not gated or any(node.op_type == "If" for node in graph.node):
        raise ValueError("no model with normals or confidence that are always computed")
    always = _needed(graph.node, outputs.keys() - set(gated))
    kept = [node for node, is_always in zip(graph.node, always, strict=True) if is_always]
    names = {name: f"{_INNER}{name}" for name in gated}
    # Checkers that infer shapes know no whole numbers of the graph around a branch.
    read = {name for node in kept for name in node.input}
    shared = [
        each
        for each in graph.initializer
        if each.name in read and each.data_type == TensorProto.INT64
    ]
    names |= {each.name: f"{_INNER}{each.name}" for each in shared}
    inner = [
        _renamed(node, names)
        for node, is_always in zip(graph.node, always, strict=True)
        if not is_always
    ]
    own = [each for each in graph.initializer if each.name not in read]
    inside = {name for node in inner for name in node.input}
    own += [_copy(each, names[each.name]) for each in shared if names[each.name] in inside]
    answers = [_value(outputs[name], names[name]) for name in gated]
    empty = [_value(outputs[name], f"{_INNER}no_{name}") for name in gated]
    branches = {
        "then_branch": helper.make_graph(inner, SURFACES, [], answers, own),
        "else_branch": helper.make_graph(
            [
                helper.make_node(
                    "Constant", [], [each.name], name=each.name, value=_nothing(outputs[name])
                )
                for name, each in zip(gated, empty, strict=True)
            ],
            f"no {SURFACES}",
            [],
            empty,
        ),
    }
    kept.append(helper.make_node("If", [SURFACES], gated, name=SURFACES, **branches))
    switch = helper.make_tensor_value_info(SURFACES, TensorProto.BOOL, [])
    weights = [each for each in graph.initializer if each.name in read]
    weights.append(numpy_helper.from_array(np.array(True), SURFACES))
    return _model(model, kept, [*graph.input, switch], weights)


def ungate(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the gate of a model away, so that it always answers everything; others come back."""
    graph = model.graph
    gates = [node for node in graph.node if node.op_type == "If" and node.name == SURFACES]
    if not gates:
        return model
    [then] = [each.g for each in gates[0].attribute if each.name == "then_branch"]
    copies = [each.name for each in then.initializer if each.name.startswith(_INNER)]
    names = {f"{_INNER}{name}": name for name in gates[0].output}
    names |= {name: name.removeprefix(_INNER) for name in copies}
    nodes = [node for node in graph.node if node is not gates[0] and node.name != SURFACES]
    nodes += [_renamed(node, names) for node in then.node]
    inputs = [each for each in graph.input if each.name != SURFACES]
    weights = [each for each in graph.initializer if each.name != SURFACES]
    weights += [each for each in then.initializer if each.name not in copies]
    return _model(model, nodes, inputs, weights)


def _needed(nodes: Iterable[onnx.NodeProto], outputs: Iterable[str]) -> list[bool]:
    """Whether each node is one that the outputs depend on."""
    wanted, needed = set(outputs), list[bool]()
    for node in reversed(list(nodes)):
        needed.append(not wanted.isdisjoint(node.output))
        if needed[-1]:
            wanted.update(node.input)
    return needed[::-1]


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    if node.name in names:
        copy.name = names[node.name]
    for each in (copy.input, copy.output):
        each[:] = [names.get(name, name) for name in each]
    return copy


def _copy(weight: onnx.TensorProto, name: str) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(weight)
    copy.name = name
    return copy


def _value(output: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """Output of a branch: of any size, as the other branch answers nothing."""
    rank = len(output.type.tensor_type.shape.dim)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)


def _nothing(output: onnx.ValueInfoProto) -> onnx.TensorProto:
    """Answer without pixels, of as many channels."""
    sizes = [each.dim_value or 0 for each in output.type.tensor_type.shape.dim]
    return numpy_helper.from_array(np.zeros([1, *sizes[1:]], np.float32))


def _model(
    model: onnx.ModelProto,
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    weights: Iterable[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes), model.graph.name, list(inputs), list(model.graph.output), list(weights)
    )
    copy = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    copy.metadata_props.extend(model.metadata_props)
    onnx.checker.check_model(copy)
    return copy
