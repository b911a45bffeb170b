"""Head and upsampling of our networks in a form that ONNX Runtime runs faster, at equal bits.

The head answers four places at once: its kernel of 3x3 at half the picture's size becomes one of
4x4 with a stride of 2 and four times the channels, as ONNX Runtime pads channels to 16. Weighted
means of 3x3 places are sums of nine planes in the order in which convolutions add them, without
the copies that lay 36 planes out for two convolutions.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

PLACES, PARTS = 9, 4
"""Places around each one, and parts that it becomes."""
_WEIGHTS = (PARTS * PLACES, 1, 3, 3)
_SUMS = (PARTS, PARTS * PLACES, 1, 1)
_FOLDED, _PART, _TAP, _PLANES = "/folded", "/part", "/tap", "/planes"
_CHAIN = ("Exp", "Mul", "Tanh", "Div", "Cast", "Conv")
_LAST = 2**31 - 1


class _Graph(NamedTuple):
    makers: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, np.ndarray]

    def users(self, name: str) -> list[onnx.NodeProto]:
        nodes = {node.name or node.output[0]: node for node in self.makers.values()}
        return [node for node in nodes.values() if name in node.input]

    def above(self, node: onnx.NodeProto, *kinds: str) -> onnx.NodeProto | None:
        """Last node of a chain of first inputs; None if the kinds are others."""
        for kind in kinds:
            maker = self.makers.get(node.input[0])
            if maker is None or maker.op_type != kind:
                return None
            node = maker
        return node


def quicken_upsampling(model: onnx.ModelProto) -> None:
    """Rewrite heads and upsampling of a graph in place; a graph without them stays."""
    graph = _graph(model)
    unfolds = [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv" and _shape(graph, node) == _WEIGHTS
    ]
    for name in unfolds:
        for quicken in (_quicken_head, _quicken_sums):
            graph = _graph(model)
            quicken(model, graph, graph.makers[name])


def slow_upsampling(model: onnx.ModelProto) -> None:
    """Undo ``quicken_upsampling`` in place."""
    heads, sums = [], []
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1].endswith(_FOLDED):
            heads.append(node.output[0])
        elif node.op_type == "Sum" and node.input[0].endswith(f"{_TAP}0"):
            sums.append(node.output[0])
    for slow, names in ((_slow_head, heads), (_slow_sums, sums)):
        for name in names:
            graph = _graph(model)
            slow(model, graph, graph.makers[name])


def _quicken_head(model: onnx.ModelProto, graph: _Graph, unfold: onnx.NodeProto) -> None:
    head = graph.above(unfold, "Pad", "Slice", "Cast", "Conv")
    if head is None or head.input[1] not in graph.constants:
        return
    kernel, bias = (graph.constants[name] for name in head.input[1:])
    [cast] = graph.users(head.output[0])
    slices = graph.users(cast.output[0])
    bounds = [[int(graph.constants[name][0]) for name in node.input[1:]] for node in slices]
    if kernel.shape[0] != PARTS or sorted(each[0] for each in bounds) != [0, 1]:
        return
    folded = np.zeros((PARTS, 2, 2, kernel.shape[1], 4, 4), np.float32)
    for down, across in np.ndindex(2, 2):
        folded[:, down, across, :, down : down + 3, across : across + 3] = kernel
    name = head.output[0]
    planes = [f"{name}{_PLANES}{number}" for number in (0, 1)]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(
                folded.reshape(-1, *folded.shape[3:]), f"{head.input[1]}{_FOLDED}"
            ),
            numpy_helper.from_array(bias.repeat(4), f"{head.input[2]}{_FOLDED}"),
            numpy_helper.from_array(np.array([4, 12]), f"{name}{_PLANES}"),
        ]
    )
    again = helper.make_node(
        "Conv",
        [head.input[0], *(f"{each}{_FOLDED}" for each in head.input[1:])],
        [name],
        head.name,
        kernel_shape=[4, 4],
        pads=[1] * 4,
        strides=[2, 2],
    )
    split = helper.make_node("Split", [name, f"{name}{_PLANES}"], planes, cast.name, axis=1)
    new = {head.output[0]: [again], cast.output[0]: [split]}
    for node, (first, *_) in zip(slices, bounds, strict=True):
        new[node.output[0]] = [_to_space(planes[first], node)]
    _replace(model, new)


def _to_space(plane: str, node: onnx.NodeProto) -> onnx.NodeProto:
    return helper.make_node(
        "DepthToSpace", [plane], list(node.output), node.name, blocksize=2, mode="CRD"
    )


def _slow_head(model: onnx.ModelProto, graph: _Graph, head: onnx.NodeProto) -> None:
    name = head.output[0]
    weight, bias = (each.removesuffix(_FOLDED) for each in head.input[1:])
    folded = graph.constants[head.input[1]]
    kernel = folded.reshape(PARTS, 4, *folded.shape[1:])[:, 0, :, :3, :3]
    bounds = {f"{name}/{number}": np.array([number]) for number in (0, 1, PARTS)}
    values = {weight: kernel, bias: graph.constants[head.input[2]][::4], **bounds}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in values.items())
    again = helper.make_node(
        "Conv",
        [head.input[0], weight, bias],
        [name],
        head.name,
        kernel_shape=[3, 3],
        pads=[1] * 4,
        strides=[1, 1],
    )
    [split] = graph.users(name)
    cast = helper.make_node("Cast", [name], [f"{name}/float"], split.name, to=1)
    new = {head.output[0]: [again], split.output[0]: [cast]}
    for first, last, plane in ((0, 1, split.output[0]), (1, PARTS, split.output[1])):
        ends = [f"{name}/{number}" for number in (first, last, 1)]
        for node in graph.users(plane):
            new[node.output[0]] = [
                helper.make_node("Slice", [f"{name}/float", *ends], list(node.output), node.name)
            ]
    _replace(model, new)


def _quicken_sums(model: onnx.ModelProto, graph: _Graph, unfold: onnx.NodeProto) -> None:
    products = graph.users(unfold.output[0])
    if len(products) != 1 or products[0].op_type != "Mul":
        return
    [product] = products
    exp = graph.makers[next(name for name in product.input if name != unfold.output[0])]
    weigh = graph.above(exp, *_CHAIN[1:])
    weighed, total = (_sum_of(graph, node) for node in (product, exp))
    if weigh is None or weighed is None or total is None:
        return
    order = np.arange(PARTS * PLACES).reshape(PARTS, PLACES).T.ravel()
    _permute(model, graph, weigh, order)
    padded = unfold.input[0]
    _bounds(model, padded)
    taps = [f"{unfold.output[0]}{_TAP}{number}" for number in range(PLACES)]
    slices = [
        helper.make_node(
            "Slice",
            [padded, f"{padded}/first{number}", f"{padded}/last{number}", f"{padded}/axes"],
            [tap],
            tap,
        )
        for number, tap in enumerate(taps)
    ]
    parts = [f"{exp.output[0]}{_PART}{number}" for number in range(PLACES)]
    split = helper.make_node("Split", [exp.output[0]], parts, f"{exp.output[0]}{_PART}s", axis=1)
    lots = [f"{product.output[0]}{_TAP}{number}" for number in range(PLACES)]
    muls = [
        helper.make_node("Mul", [part, tap], [lot], lot)
        for part, tap, lot in zip(parts, taps, lots, strict=True)
    ]
    _replace(
        model,
        {
            unfold.output[0]: slices,
            exp.output[0]: [exp, split],
            product.output[0]: muls,
            weighed.output[0]: [helper.make_node("Sum", lots, list(weighed.output), weighed.name)],
            total.output[0]: [helper.make_node("Sum", parts, list(total.output), total.name)],
        },
    )


def _slow_sums(model: onnx.ModelProto, graph: _Graph, weighed: onnx.NodeProto) -> None:
    muls = [graph.makers[name] for name in weighed.input]
    slices = [graph.makers[node.input[1]] for node in muls]
    split = graph.makers[muls[0].input[0]]
    total = next(node for node in graph.users(split.output[0]) if node.op_type == "Sum")
    weigh = graph.above(split, *_CHAIN)
    assert weigh is not None, "weights of a mean are made as they were"
    _permute(model, graph, weigh, np.arange(PARTS * PLACES).reshape(PLACES, PARTS).T.ravel())
    unfolded, product = (
        name.removesuffix(f"{_TAP}0") for name in (slices[0].output[0], weighed.input[0])
    )
    taps = np.tile(np.eye(PLACES, dtype=np.float32), (PARTS, 1)).reshape(_WEIGHTS)
    ones = np.kron(np.eye(PARTS), np.ones(PLACES)).astype(np.float32).reshape(_SUMS)
    kernels = {f"{unfolded}/kernel": taps, f"{product}/kernel": ones}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in kernels.items())
    unfold = _conv(slices[0].input[0], f"{unfolded}/kernel", unfolded, unfolded, 3)
    mul = helper.make_node("Mul", [split.input[0], unfolded], [product], product)
    new = {node.output[0]: list[onnx.NodeProto]() for node in (*muls, *slices, split)}
    new[slices[0].output[0]], new[muls[0].output[0]] = [unfold], [mul]
    for node, source in ((weighed, product), (total, split.input[0])):
        new[node.output[0]] = [_conv(source, f"{product}/kernel", node.output[0], node.name, 1)]
    _replace(model, new)


def _conv(source: str, kernel: str, output: str, name: str, side: int) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, kernel], [output], name, kernel_shape=[side] * 2)


def _sum_of(graph: _Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Convolution that adds up the places of a map."""
    users = [each for each in graph.users(node.output[0]) if each.op_type == "Conv"]
    return users[0] if len(users) == 1 and _shape(graph, users[0]) == _SUMS else None


def _bounds(model: onnx.ModelProto, padded: str) -> None:
    """Bounds of the nine windows of a padded map."""
    values = {f"{padded}/axes": [2, 3]}
    for number, place in enumerate(np.ndindex(3, 3)):
        values[f"{padded}/first{number}"] = list(place)
        values[f"{padded}/last{number}"] = [each - 2 if each < 2 else _LAST for each in place]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(v, np.int64), k) for k, v in values.items()
    )


def _permute(
    model: onnx.ModelProto, graph: _Graph, weigh: onnx.NodeProto, order: np.ndarray
) -> None:
    """Put the output channels of a convolution, stored in 8 bits or not, into another order."""
    names = {*weigh.input[1:], *(f"{weigh.input[1]}/{part}" for part in ("int8", "step"))}
    for weight in model.graph.initializer:
        if weight.name in names:
            values = numpy_helper.to_array(weight)[order]
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def _graph(model: onnx.ModelProto) -> _Graph:
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    makers = {name: node for node in model.graph.node for name in node.output}
    return _Graph(makers, constants)


def _shape(graph: _Graph, conv: onnx.NodeProto) -> tuple[int, ...] | None:
    kernel = graph.constants.get(conv.input[1])
    return None if kernel is None else kernel.shape


def _replace(model: onnx.ModelProto, new: Mapping[str, Iterable[onnx.NodeProto]]) -> None:
    """Put nodes in the place of those of a first output, and drop weights that nothing reads."""

    def nodes() -> Iterator[onnx.NodeProto]:
        for node in model.graph.node:
            yield from new.get(node.output[0], [node])

    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes()]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    read = {name for node in copies for name in node.input}
    left = [each for each in model.graph.initializer if each.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(left)
