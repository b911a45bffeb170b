"""Nodes of ``OutlineNet`` and ``LayoutPick`` in the graph of a layout and a detail network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lab.making.fusing import (
    CHOICES,
    DEAD,
    FARTHEST,
    GUARD,
    LARGEST_LOGIT,
    LAYOUT_LEVEL,
    LEVEL,
    PICKS,
    STEEP,
)
from lab.making.graph_writer import GraphWriter
from rilievo.errors import InputError

Weights = Mapping[str, np.ndarray]
"""Weights of the networks that sharpen outlines, by their names in the networks' states behind
``OUTLINE`` and ``PICK``; those of ``LayoutPick`` may be left out."""
OUTLINE, PICK = "outline.", "pick."
_HALF = "/half"
_PART = "/part"
_LAST_MERGE = "network.merges.3.reduce.weight"
"""Weights of the layer that reads the features at a quarter of the size."""

_EDGE = [0, 0, 1, 1, 0, 0, 1, 1]


class Field(NamedTuple):
    """Maps of a picture that displacements depend on: names in the graph.

    Attributes:
        half: Features of the detail network at half the size, in parts of equal width.
        quarter: Features at a quarter of the size.
        logs: Log depth (b, 1, h, w); the first one is displaced.
        sky: Chance of sky (b, 1, h, w); None of a network without.
    """

    half: tuple[str, ...]
    quarter: str
    logs: tuple[str, ...]
    sky: str | None


class FeatureNames(NamedTuple):
    """Names of a network's features at half of the size, in two parts, and at a quarter of it."""

    half: tuple[str, ...]
    quarter: str


def features_of(network: onnx.ModelProto) -> FeatureNames:
    """Find the features that an outline head reads.

    Raises:
        InputError: If it is no network with such features.
    """
    nodes = network.graph.node
    joined = next((node for node in nodes if node.name == "/network/Concat"), None)
    reduced = next((node for node in nodes if _LAST_MERGE in node.input), None)
    if joined is None or reduced is None:
        raise InputError("no network of ours: the features of outlines are not found")
    return FeatureNames(tuple(joined.input), reduced.input[0])


class Sharpened(NamedTuple):
    """Names of log depth, sharpened, and of the numbers of the pixels that it was taken from."""

    logs: str
    sources: str


def sharpen(graph: GraphWriter, weights: Weights, field: Field) -> Sharpened:
    """Write the nodes of ``OutlineNet`` and of what its displacements do."""
    logs, sky = field.logs[0], field.sky
    size = _size(graph, logs)
    displacement = graph.resized(_displacement(graph, weights, field), size)
    sources = _sources(graph, displacement, size)
    values = taken(graph, logs, sources)
    if sky is not None:
        rise = graph.add("Sub", taken(graph, sky, sources), sky)
        above = graph.add("Greater", rise, graph.constant(GUARD))
        values = graph.add("Where", above, graph.add("Min", values, logs), values)
    return Sharpened(_median(graph, values), sources)


def taken(
    graph: GraphWriter,
    values: str,
    sources: str,
    *,
    channels: int = 1,
    output: str | None = None,
) -> str:
    """Values (b, channels, h, w) of the pixels that ``sources`` (b, 1, h * w) numbers."""
    flat = graph.add("Reshape", values, graph.constant([0, 0, -1], np.int64))
    if channels > 1:
        sources = graph.add("Concat", *[sources] * channels, axis=1)
    picked = graph.add("GatherElements", flat, sources, axis=2)
    return graph.add("Reshape", picked, graph.add("Shape", values), output=output)


def pick_layout(
    graph: GraphWriter, weights: Weights, quarter: str, coarse: str, fine: str, sky: str
) -> str:
    """Write the nodes of ``LayoutPick``; returns the layout at an eighth of the picture's size."""
    coarse, fine, sky = (graph.means(each, 8) for each in (coarse, fine, sky))
    both = graph.add("Concat", coarse, fine, axis=1)
    local = _squashed(graph, graph.add("Sub", both, _pooled(graph, both, 13)), LAYOUT_LEVEL)
    mean = graph.add("ReduceMean", coarse, axes=[2, 3], keepdims=1)
    order = graph.add("Tanh", graph.add("Sub", coarse, mean))
    maps = graph.add("Concat", local, order, sky, axis=1)
    look = _conv(graph, weights, "pick.look", maps, padding=1)
    deep = _conv(
        graph,
        weights,
        "pick.deep",
        graph.means(quarter, 2),
        scale=weights["pick.quarter_features.scale"],
    )
    x = graph.add("Relu", graph.add("Add", look, deep))
    x = _mixes(graph, weights, "pick.mixes", x, (1, 1, 2, 3))
    logits = _squashed(graph, _conv(graph, weights, "pick.last", x), LARGEST_LOGIT)
    chances = graph.add("Exp", graph.add("Mul", logits, graph.constant(LARGEST_LOGIT)))
    reach = CHOICES // 2 * 2
    border = graph.constant([0, 0, reach, reach, 0, 0, reach, reach], np.int64)
    around = graph.add("Pad", coarse, border, mode="edge")
    one = np.eye(CHOICES**2).reshape(-1, 1, CHOICES, CHOICES)
    choices = graph.add(
        "Conv", around, graph.constant(one), kernel_shape=[CHOICES] * 2, dilations=[2, 2]
    )
    # A convolution adds channels up faster than a sum does.
    ones = graph.constant(np.ones((1, CHOICES**2, 1, 1)))
    weighed, total = (
        graph.add("Conv", each, ones, kernel_shape=[1, 1])
        for each in (graph.add("Mul", chances, choices), chances)
    )
    return graph.add("Div", weighed, total)


def outlines_of(model: onnx.ModelProto) -> Weights | None:
    """Take the weights that sharpen outlines out of a graph; None if it has none.

    The scales of the features are multiplied in.
    """
    weights = {
        each.name.removesuffix(_HALF): numpy_helper.to_array(each).astype(np.float32)
        for each in model.graph.initializer
        if each.name.startswith((OUTLINE, PICK))
    }
    if not weights:
        return None
    parts = [name for name in weights if _PART in name]
    kernels = [weights.pop(name) for name in sorted(parts) if name.endswith(".weight")]
    biases = [weights.pop(name) for name in sorted(parts) if name.endswith(".bias")]
    weights["outline.fine.weight"] = np.concatenate(kernels, axis=1)
    weights["outline.fine.bias"] = biases[0]
    for layer, features in (("fine", "half"), ("deep", "quarter")):
        count = weights[f"outline.{layer}.weight"].shape[1]
        weights[f"outline.{features}_features.scale"] = np.ones(count, np.float32)
    if "pick.deep.weight" in weights:
        count = weights["pick.deep.weight"].shape[1]
        weights["pick.quarter_features.scale"] = np.ones(count, np.float32)
    return weights


def halve_outlines(model: onnx.ModelProto) -> None:
    """Store the kernels that sharpen outlines in 16 bits; arithmetic is in 32 all the same."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.name.startswith((OUTLINE, PICK)) and len(weight.dims) == 4:
            name, values = weight.name, numpy_helper.to_array(weight)
            half = numpy_helper.from_array(values.astype(np.float16), f"{name}{_HALF}")
            weight.CopyFrom(half)
            casts.append(
                helper.make_node("Cast", [half.name], [name], name=name, to=TensorProto.FLOAT)
            )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _displacement(graph: GraphWriter, weights: Weights, field: Field) -> str:
    """Displacement (b, 2, h / 2, w / 2) in pixels of the picture."""
    small = [graph.means(each, 2) for each in field.logs]
    logs = graph.add("Concat", *small, axis=1) if len(small) > 1 else small[0]
    wide = graph.resized(_pooled(graph, graph.means(logs, 8), 3), _size(graph, logs))
    maps = _squashed(graph, graph.add("Sub", logs, wide), LEVEL)
    look = dict(weights)
    if field.sky is None:
        look["outline.look.weight"] = weights["outline.look.weight"][:, : len(field.logs)]
    else:
        maps = graph.add("Concat", maps, graph.means(field.sky, 2), axis=1)
    x = graph.add("Relu", _half_features(graph, weights, field.half))
    x = _conv(graph, weights, "outline.fold", x, stride=2)
    x = graph.add("Add", x, _conv(graph, look, "outline.look", maps, stride=2, padding=1))
    scale = weights["outline.quarter_features.scale"]
    x = graph.add("Add", x, _conv(graph, weights, "outline.deep", field.quarter, scale=scale))
    x = _mixes(graph, weights, "outline.mixes", graph.add("Relu", x), (1, 2, 4, 1))
    answer = _squashed(graph, _conv(graph, weights, "outline.last", x), LARGEST_LOGIT)
    answer = graph.add("Mul", answer, graph.constant(FARTHEST))
    way, free = (
        graph.add("Slice", answer, *(graph.constant([n], np.int64) for n in (*ends, 1)))
        for ends in ((0, 4), (4, 12))
    )
    slope = _direction(graph, small[0])
    across, down = (
        graph.add("Slice", slope, *(graph.constant([n], np.int64) for n in (k, k + 1, 1)))
        for k in (0, 1)
    )
    along = graph.add("Concat", graph.add("Mul", way, across), graph.add("Mul", way, down), axis=1)
    whole = graph.add("DepthToSpace", graph.add("Add", along, free), blocksize=2, mode="CRD")
    beyond = graph.add("Sub", graph.add("Abs", whole), graph.constant(DEAD))
    share = graph.add("Clip", beyond, graph.constant(0.0), graph.constant(1.0))
    return graph.add("Mul", whole, share)


def _direction(graph: GraphWriter, half: str) -> str:
    """Slope of smoothed log depth at a quarter of the size."""
    smooth = _pooled(graph, graph.means(half, 2), 3)
    padded = graph.add("Pad", smooth, graph.constant(_EDGE, np.int64), mode="edge")
    kernel = np.zeros((2, 1, 3, 3))
    kernel[0, 0, 1], kernel[1, 0, :, 1] = (-0.5, 0, 0.5), (-0.5, 0, 0.5)
    slope = graph.add("Conv", padded, graph.constant(kernel), kernel_shape=[3, 3])
    length = graph.add("ReduceL2", slope, axes=[1], keepdims=1)
    return graph.add("Div", slope, graph.add("Add", length, graph.constant(STEEP)))


def _sources(graph: GraphWriter, displacement: str, size: str) -> str:
    """Numbers (b, 1, h * w) of the pixels that values are taken from after all picks."""
    places = []
    for channel, axis, lifted in ((1, 0, [0, 1, 3]), (0, 1, [0, 1, 2])):
        count = graph.add(
            "Squeeze", graph.part(size, axis, axis + 1), graph.constant([0], np.int64)
        )
        numbers = graph.add(
            "Range", graph.constant(0, np.int64), count, graph.constant(1, np.int64)
        )
        own = graph.add("Cast", numbers, to=TensorProto.FLOAT)
        own = graph.add("Add", own, graph.constant(0.5))
        own = graph.add("Unsqueeze", own, graph.constant(lifted, np.int64))
        last = graph.add("Cast", count, to=TensorProto.FLOAT)
        last = graph.add("Sub", last, graph.constant(1.0))
        bounds = (graph.constant([n], np.int64) for n in (channel, channel + 1, 1))
        place = graph.add("Add", graph.add("Slice", displacement, *bounds), own)
        place = graph.add("Floor", place)
        places.append(graph.add("Clip", place, graph.constant(0.0), last))
    width = graph.add("Cast", graph.part(size, 1, 2), to=TensorProto.FLOAT)
    # Numbers of pixels are exact in 32 bits up to 16 million.
    number = graph.add("Add", graph.add("Mul", places[0], width), places[1])
    number = graph.add("Cast", number, to=TensorProto.INT32)
    once = graph.add("Reshape", number, graph.constant([0, 0, -1], np.int64))
    # Four picks are two picks taken twice, exactly.
    picks, index = 1, once
    while 2 * picks <= PICKS:
        picks, index = 2 * picks, graph.add("GatherElements", index, index, axis=2)
    for _ in range(PICKS - picks):
        index = graph.add("GatherElements", once, index, axis=2)
    return index


def _median(graph: GraphWriter, x: str) -> str:
    """Medians of 3x3 pixels: triples are sorted down, then their parts across."""
    x = graph.add("Pad", x, graph.constant(_EDGE, np.int64), mode="edge")
    rows = _thirds(graph, x, 2)
    # The first two are compared once for all three.
    lower, upper = graph.add("Min", *rows[:2]), graph.add("Max", *rows[:2])
    low, high = graph.add("Min", lower, rows[2]), graph.add("Max", upper, rows[2])
    middle = graph.add("Max", lower, graph.add("Min", upper, rows[2]))
    return _middle(
        graph,
        _highest(graph, low),
        _middle(graph, *_thirds(graph, middle, 3)),
        graph.add("Neg", _highest(graph, graph.add("Neg", high))),
    )


def _thirds(graph: GraphWriter, x: str, axis: int) -> list[str]:
    """Pixel before, pixel itself and pixel after along an axis of a padded map."""
    ends = ((0, -2), (1, -1), (2, 2**31 - 1))
    return [
        graph.add("Slice", x, *(graph.constant([n], np.int64) for n in (*each, axis)))
        for each in ends
    ]


def _highest(graph: GraphWriter, x: str) -> str:
    """Highest of three pixels in a row: pooling takes a quarter of the time of slices."""
    return graph.add("MaxPool", x, kernel_shape=[1, 3])


def _middle(graph: GraphWriter, one: str, other: str, third: str) -> str:
    low, high = graph.add("Min", one, other), graph.add("Max", one, other)
    return graph.add("Max", low, graph.add("Min", high, third))


def _mixes(
    graph: GraphWriter, weights: Weights, prefix: str, x: str, dilations: tuple[int, ...]
) -> str:
    for number, dilation in enumerate(dilations):
        name = f"{prefix}.{number}"
        y = _conv(
            graph,
            weights,
            f"{name}.0",
            x,
            padding=weights[f"{name}.0.weight"].shape[-1] // 2 * dilation,
            dilation=dilation,
            depthwise=True,
        )
        y = graph.add("Relu", y)
        y = graph.add("Relu", _conv(graph, weights, f"{name}.2", y))
        x = graph.add("Add", x, y)
    return x


def _half_features(graph: GraphWriter, weights: Weights, parts: Sequence[str]) -> str:
    """Write the first layer, part by part.

    Of a concatenation, ONNX Runtime's convolution of 1x1 takes three times as long.
    """
    name = "outline.fine"
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    kernel = kernel * weights["outline.half_features.scale"].reshape(1, -1, 1, 1)
    terms = []
    for number, share in enumerate(np.split(kernel, len(parts), axis=1)):
        label = f"{name}{_PART}{number}"
        layer = {f"{label}.weight": share, f"{label}.bias": bias if number == 0 else 0 * bias}
        terms.append(_conv(graph, layer, label, parts[number]))
    return terms[0] if len(terms) == 1 else graph.add("Sum", *terms)


def _conv(
    graph: GraphWriter,
    weights: Weights,
    name: str,
    x: str,
    *,
    scale: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    depthwise: bool = False,
) -> str:
    """Write a convolution, the scale of its input multiplied in."""
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if scale is not None:
        kernel = kernel * scale.reshape(1, -1, 1, 1)
    return graph.add(
        "Conv",
        x,
        graph.constant(kernel, name=f"{name}.weight"),
        graph.constant(bias, name=f"{name}.bias"),
        kernel_shape=[kernel.shape[-1]] * 2,
        pads=[padding] * 4,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        group=len(kernel) if depthwise else 1,
    )


def _pooled(graph: GraphWriter, x: str, side: int) -> str:
    """Means of the windows around each value, of those inside the map."""
    return graph.add(
        "AveragePool",
        x,
        kernel_shape=[side] * 2,
        strides=[1, 1],
        pads=[side // 2] * 4,
        count_include_pad=0,
    )


def _squashed(graph: GraphWriter, x: str, level: float) -> str:
    return graph.add("Tanh", graph.add("Mul", x, graph.constant(1 / level)))


def _size(graph: GraphWriter, x: str) -> str:
    """Height and width of a map."""
    return graph.part(graph.add("Shape", x), 2, 4)
