"""Graph of one network whose outlines a displacement field sharpens.

``rilievo/small`` has no layout: the log depth of its one network is displaced, by what ``OutlineNet``
reads of its features and of that log depth alone. Normals are taken from the same pixels. Confidence
stays, and a network of this form has no sky.
"""

from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper

from lab.making.graph_writer import GraphWriter
from lab.making.outline_graph import OUTLINE, Field, Weights, sharpen, taken
from rilievo.errors import InputError

LAST_MERGE = "network.merges.3.reduce.weight"
"""Weights of the layer that reads the features at a quarter of the size."""
_PREFIXES = ("fused.", OUTLINE)
"""Prefixes of the names of the head's nodes and weights."""
_LOGS, _UNMOVED = "fused.log_depth", "fused.unmoved_normals"


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
    if "sky" in makers or makers["depth"].op_type != "Exp":
        raise InputError("no network of ours without sky: expected depth as a power")
    depth = makers["depth"]
    copy.graph.node.remove(depth)
    makers["normals"].output[0] = _UNMOVED
    graph = GraphWriter()
    channel = graph.constant([1], np.int64)
    logs = graph.add("Unsqueeze", depth.input[0], channel, output=_LOGS)
    field = Field(features.half, features.quarter, (logs,), None)
    sharpened = sharpen(graph, weights, field)
    graph.add("Exp", graph.add("Squeeze", sharpened.logs, channel), output="depth")
    taken(graph, _UNMOVED, sharpened.sources, channels=3, output="normals")
    copy.graph.node.extend(graph.nodes)
    copy.graph.initializer.extend(graph.constants)
    onnx.checker.check_model(copy)
    return copy


def without_outlines(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the outline head of ``with_outlines`` away; a network without one stays."""
    copy = _copy(model)
    graph = copy.graph
    logs = next((node.input[0] for node in graph.node if _LOGS in node.output), None)
    if logs is None:
        return copy
    own = [
        node
        for node in graph.node
        if not node.name.startswith(_PREFIXES) and node.output[0] not in ("depth", "normals")
    ]
    own.append(helper.make_node("Exp", [logs], ["depth"], "/Exp"))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in own]
    for node in nodes:
        node.output[:] = ["normals" if name == _UNMOVED else name for name in node.output]
    del graph.node[:]
    graph.node.extend(nodes)
    weights = [each for each in graph.initializer if not each.name.startswith(_PREFIXES)]
    copies = [onnx.TensorProto.FromString(each.SerializeToString()) for each in weights]
    del graph.initializer[:]
    graph.initializer.extend(copies)
    return copy


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())
