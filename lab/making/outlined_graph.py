"""Graph of one network whose outlines a displacement field sharpens.

``rilievo/small`` has no layout: the log depth of its one network is displaced, by what
``OutlineNet`` reads of its features and of that log depth alone. Normals are taken from the same
pixels. Confidence stays, and a network of this form has no sky.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper

from lab.making.graph_writer import GraphWriter
from lab.making.outline_graph import OUTLINE, Field, Weights, sharpen, taken
from lab.making.quick_nodes import sort_nodes
from rilievo.errors import InputError

LAST_MERGE = "network.merges.3.reduce.weight"
"""Weights of the layer that reads the features at a quarter of the size."""
_PREFIXES = ("fused.", OUTLINE)
"""Prefixes of the names of the head's weights."""
_LOGS, _VECTORS, _MOVED = "fused.log_depth", "fused.vectors", "fused.moved_vectors"


class Features(NamedTuple):
    """Names of a network's features at half of the size, in two parts, and at a quarter of it."""

    half: tuple[str, ...]
    quarter: str


def features_of(network: onnx.ModelProto) -> Features:
    """Find the features that an outline head reads.

    Raises:
        InputError: If it is no network with such features.
    """
    nodes = network.graph.node
    joined = next((node for node in nodes if node.name == "/network/Concat"), None)
    reduced = next((node for node in nodes if LAST_MERGE in node.input), None)
    if joined is None or reduced is None:
        raise InputError("no network of ours: the features of outlines are not found")
    return Features(tuple(joined.input), reduced.input[0])


def with_outlines(model: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """Add an outline head to a network that has none.

    Args:
        model: Network with depth and normals, and without sky.
        weights: Weights of ``OutlineNet`` for one map of log depth.

    Raises:
        InputError: If it is no such network.
    """
    features = features_of(model)
    copy = _copy(model)
    makers = {name: node for node in copy.graph.node for name in node.output}
    depth, normals = makers["depth"], makers["normals"]
    if "sky" in makers or (depth.op_type, normals.op_type) != ("Exp", "Div"):
        raise InputError("no network of ours without sky: expected a power and a quotient")
    graph = GraphWriter()
    size = graph.part(graph.add("Shape", "image"), 1, 3)
    channel = graph.constant([1], np.int64)
    logs = graph.add("Unsqueeze", depth.input[0], channel, output=_LOGS)
    sharpened = sharpen(graph, weights, Field(features.half, features.quarter, (logs,), None, size))
    graph.add("Exp", graph.add("Squeeze", sharpened.logs, channel), output="depth")
    # Vectors are made unit ones after they are taken, at equal bits.
    vectors = normals.input[0]
    _read(copy.graph.node, {vectors: _MOVED})
    graph.add("Identity", vectors, output=_VECTORS)
    taken(graph, _VECTORS, sharpened.sources, channels=3, output=_MOVED, size=size)
    copy.graph.node.remove(depth)
    # ONNX Runtime begins with the last answer: confidence reads features while these are cached.
    confidence = onnx.NodeProto.FromString(makers["confidence"].SerializeToString())
    copy.graph.node.remove(makers["confidence"])
    copy.graph.node.extend([*graph.nodes, confidence])
    copy.graph.initializer.extend(graph.constants)
    sort_nodes(copy)
    onnx.checker.check_model(copy)
    return copy


def without_outlines(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the outline head of ``with_outlines`` away; a network without one stays."""
    copy = _copy(model)
    graph = copy.graph
    makers = {name: node for node in graph.node for name in node.output}
    if _LOGS not in makers:
        return copy
    logs, vectors = (makers[name].input[0] for name in (_LOGS, _VECTORS))
    _read(graph.node, {_MOVED: vectors})
    graph.node.remove(makers["depth"])
    graph.node.append(helper.make_node("Exp", [logs], ["depth"], "/Exp"))
    sort_nodes(copy)
    weights = [each for each in graph.initializer if not each.name.startswith(_PREFIXES)]
    copies = [onnx.TensorProto.FromString(each.SerializeToString()) for each in weights]
    del graph.initializer[:]
    graph.initializer.extend(copies)
    return copy


def _read(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    """Let nodes read other values."""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())
