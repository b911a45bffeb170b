"""Nodes of a graph in a form that ONNX Runtime runs faster, with the same answers."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

SURE = "sure/"
"""Prefix of the nodes that recalibrate confidence."""


def quicken(model: onnx.ModelProto) -> None:
    """Replace slow nodes of a graph in place.

    Lengths over channels are roots of sums of planes, at equal bits: ``ReduceL2`` takes 2.5 times
    as long. Weighted sums of channels are taken before these are enlarged linearly, so that one
    plane is enlarged in place of all; means of planes are the same before, by whole factors.
    What is computed twice is computed once, and what is divided by a plane is not by its copies.
    """
    _share(model)
    graph, nodes = model.graph, list[onnx.NodeProto]()
    makers = {name: node for node in graph.node for name in node.output}
    channels = {
        each.name: each.type.tensor_type.shape.dim[1].dim_value
        for each in shape_inference.infer_shapes(model).graph.value_info
        if len(each.type.tensor_type.shape.dim) == 4
    }
    sums = {
        node.output[0]: resize
        for node in graph.node
        if node.op_type == "ReduceSum" and (resize := _summed(node, makers)) is not None
    }
    small = {resize.output[0]: resize.input[0] for resize in sums.values()}
    for node in graph.node:
        name = node.output[0]
        if name in small:
            continue
        node.input[:] = [small.get(each, each) for each in node.input]
        if name in sums:
            axis = numpy_helper.from_array(np.array([1]), f"{name}/axis")
            graph.initializer.append(axis)
            nodes += _enlarged(node, sums[name], axis.name)
        elif node.op_type == "ReduceL2" and channels.get(node.input[0]) in (2, 3):
            nodes += _length(node, channels[node.input[0]])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _share(model: onnx.ModelProto) -> None:
    """Let nodes read what other nodes compute: logarithms of depth, and the photograph's planes.

    The recalibration takes logarithms that the fused part has, and the fused part has planes that
    the detail network has. Networks keep their own nodes, so that they can be taken out again.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    names = dict[str, str]()
    logs = {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type == "Log" and not node.name.startswith(SURE)
    }
    planes = {
        key: node.output[0] for node in graph.node if (key := _planes_of(node, makers)) is not None
    }
    for node in graph.node:
        name = node.output[0]
        if node.op_type == "Log" and node.name.startswith(SURE):
            names[name] = logs.get(node.input[0], name)
        elif node.op_type == "Transpose":
            names[name] = planes.get(_floats_of(node, makers) or "", name)
        elif node.op_type == "Expand":
            users = [user for user in graph.node if name in user.input]
            divides = all(user.op_type == "Div" and user.input[1] == name for user in users)
            shapes = makers.get(node.input[1])
            sizes = {user.input[0] for user in users}
            if divides and shapes is not None and shapes.op_type == "Shape":
                names[name] = node.input[0] if sizes == {shapes.input[0]} else name
    for node in graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
    sort_nodes(model)


def _planes_of(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """Image whose planes a node computes, transposed before they are floats."""
    before = makers.get(node.input[0]) if node.op_type == "Cast" and node.input else None
    if before is None or before.op_type != "Transpose" or not _is_planar(before):
        return None
    return _source(before.input[0], makers)


def _floats_of(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """Image whose planes a node computes, transposed after they are floats."""
    before = makers.get(node.input[0])
    if before is None or before.op_type != "Cast" or not _is_planar(node):
        return None
    is_float = before.attribute[0].i == onnx.TensorProto.FLOAT
    return _source(before.input[0], makers) if is_float else None


def _is_planar(transpose: onnx.NodeProto) -> bool:
    return list(transpose.attribute[0].ints) == [0, 3, 1, 2]


def _source(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    return name


def sort_nodes(model: onnx.ModelProto) -> None:
    """Put nodes after those that they read, in their order otherwise, and drop unread ones."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    wanted, stack = set[str](), [each.name for each in graph.output]
    while stack:
        node = makers.get(stack.pop())
        if node is not None and node.output[0] not in wanted:
            wanted.add(node.output[0])
            stack += node.input
    nodes, known = list[onnx.NodeProto](), set[str]()
    stack = [node.output[0] for node in reversed(graph.node) if node.output[0] in wanted]
    while stack:
        node = makers[stack[-1]]
        missing = [makers[name].output[0] for name in node.input if name in makers]
        missing = [name for name in missing if name not in known]
        if node.output[0] in known:
            stack.pop()
        elif missing:
            stack += reversed(missing)
        else:
            known.add(node.output[0])
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(nodes)


def _summed(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The node that enlarges the maps whose weighted sum a node is; None of other nodes."""
    product = makers.get(node.input[0])
    if product is None or product.op_type != "Mul" or product.input[1] in makers:
        return None
    maps = makers.get(product.input[0])
    return maps if maps is not None and maps.op_type == "Resize" else None


def _enlarged(total: onnx.NodeProto, resize: onnx.NodeProto, axis: str) -> Iterator[onnx.NodeProto]:
    name = total.output[0]
    total.output[0] = f"{name}/small"
    yield total
    yield helper.make_node("Unsqueeze", [total.output[0], axis], [f"{name}/plane"], f"{name}/plane")
    large = onnx.NodeProto()
    large.CopyFrom(resize)
    large.input[0], large.output[0] = f"{name}/plane", f"{name}/large"
    yield large
    yield helper.make_node("Squeeze", [large.output[0], axis], [name], f"{name}/squeezed")


def _length(node: onnx.NodeProto, channels: int) -> Iterator[onnx.NodeProto]:
    name, vectors = node.output[0], node.input[0]
    planes = [f"{name}/plane{number}" for number in range(channels)]
    yield helper.make_node("Mul", [vectors, vectors], [f"{name}/squares"], f"{name}/squares")
    yield helper.make_node("Split", [f"{name}/squares"], planes, f"{name}/planes", axis=1)
    yield helper.make_node("Sum", planes, [f"{name}/sum"], f"{name}/sum")
    yield helper.make_node("Sqrt", [f"{name}/sum"], [name], name)
