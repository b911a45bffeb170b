"""Weights in 8 bits, multiplied out by ``DequantizeLinear`` while a session opens.

ONNX Runtime computes such a node once where the entry ``session.disable_quant_qdq`` of a session is
1, as ``rilievo.models.onnx_files.engines`` and the web page set it, and then opens the network
faster than with products. Without the entry it does so at every run: networks that are exported
have products.
"""

from collections.abc import Iterable

import onnx
from onnx import helper, numpy_helper

from rilievo.models.onnx_files.file_writing import graph_and_branches

INT8, STEP = "/int8", "/step"
"""Suffixes of the names of whole steps and of their sizes."""


def dequantise(model: onnx.ModelProto) -> None:
    """Replace the products of whole steps and their sizes in place, at equal bits."""
    for graph in graph_and_branches(model.graph):
        casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
        weights = {each.name: each for each in graph.initializer}
        nodes, gone = list[onnx.NodeProto](), set[str]()
        for node in graph.node:
            cast = casts.get(node.input[0]) if node.op_type == "Mul" else None
            if cast is None or not cast.input[0].endswith(INT8) or node.input[1] not in weights:
                nodes.append(node)
                continue
            step = weights[node.input[1]]
            step.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(step).ravel(), step.name))
            name = node.output[0]
            inputs = [cast.input[0], step.name]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name, axis=0))
            gone.add(cast.output[0])
        _keep(graph, (node for node in nodes if node.output[0] not in gone))


def _keep(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
