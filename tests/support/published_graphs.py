"""ONNX files with the signatures of published models, whose answers are worked out by hand.

Every graph answers pixel by pixel with a weighted sum of the three channels that it gets, so what
a photograph of even blocks comes to is known in closed form.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind

WEIGHTS = np.array([0.5, 0.3, 0.1], np.float32)
"""Weights of red, green and blue in every weighted sum."""
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
MEAN_255, STD_255 = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])

node = helper.make_node


def blocks(shape: tuple[int, int], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of 4 x 4 even blocks, and their colours."""
    colours = np.random.default_rng(seed).integers(20, 230, (4, 4, 3), dtype=np.uint8)
    rows = np.arange(shape[0]) * 4 // shape[0]
    columns = np.arange(shape[1]) * 4 // shape[1]
    return colours[rows[:, None], columns], colours


def at_centres(field: np.ndarray) -> np.ndarray:
    """Values of a field (..., h, w) at the centres of the blocks."""
    rows, columns = ((np.arange(4) * 2 + 1) * side // 8 for side in field.shape[-2:])
    return field[..., rows[:, None], columns]


def weighted(colours: np.ndarray) -> np.ndarray:
    """Weighted sum that the graphs compute, of colours (..., 3) as they receive them."""
    return colours @ WEIGHTS.astype(np.float64)


def constant(name: str, value: object, kind: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, kind), name)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
    *,
    kind: int = TensorProto.FLOAT,
    weights: str | None = None,
) -> Path:
    """Write a graph; ``weights`` names a second file beside it that gets its numbers."""

    def values(shapes: dict[str, Sequence[int | str]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, kind, each) for name, each in shapes.items()]

    graph = helper.make_graph(
        list(nodes), "lookalike", values(inputs), values(outputs), list(constants)
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    path.parent.mkdir(parents=True, exist_ok=True)
    if weights is None:
        onnx.checker.check_model(network)
        onnx.save(network, path)
    else:
        onnx.save(
            network,
            path,
            save_as_external_data=True,
            location=weights,
            size_threshold=sys.getsizeof(bytes(9)),
        )
    return path


def write_inverse_depth(
    path: Path,
    *,
    names: tuple[str, str] = ("pixel_values", "predicted_depth"),
    side: int | None = None,
    precision: str = "fp32",
) -> Path:
    """Depth Anything V2's signature; with ``side`` that of MiDaS: a fixed square, a batch of one.

    Args:
        path: Path to write to.
        names: Names of the input and the output.
        side: Side of the fixed square.
        precision: fp32, fp16 (weights, input and output) or int8 (weights).
    """
    half = precision == "fp16"
    real = np.float16 if half else np.float32
    constants = [constant("axes", [1], np.int64)]
    nodes: list[onnx.NodeProto] = []
    if precision == "int8":
        step = float(WEIGHTS.max()) / 100
        eight = np.round(WEIGHTS / step).reshape(1, 3, 1, 1)
        constants += [constant("w8", eight, np.int8), constant("step", step)]
        nodes += [node("DequantizeLinear", ["w8", "step"], ["w"])]
    else:
        constants += [constant("w", WEIGHTS.reshape(1, 3, 1, 1), real)]
    nodes += [
        node("Mul", [names[0], "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], [names[1]], keepdims=0),
    ]
    size: list[int | str] = ["height", "width"] if side is None else [side, side]
    batch = "batch" if side is None else 1
    return write(
        path,
        nodes,
        constants,
        {names[0]: [batch, 3, *size]},
        {names[1]: [batch, *size]},
        kind=TensorProto.FLOAT16 if half else TensorProto.FLOAT,
    )


def write_depth_anything_3(path: Path, *, K: np.ndarray, extras: bool = True) -> Path:
    """Depth Anything 3's signature: a views axis, depth 3 + sum, confidence 2, intrinsics K."""
    constants = [
        constant("w", WEIGHTS.reshape(1, 1, 3, 1, 1)),
        constant("axes", [2], np.int64),
        constant("three", 3.0),
        constant("zero", 0.0),
        constant("two", 2.0),
        constant("K", K.reshape(1, 1, 3, 3)),
    ]
    nodes = [
        node("Mul", ["pixel_values", "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["sum"], keepdims=0),
        node("Add", ["sum", "three"], ["predicted_depth"]),
        node("Mul", ["sum", "zero"], ["blank"]),
        node("Add", ["blank", "two"], ["confidence"]),
        node("Identity", ["K"], ["intrinsics"]),
    ]
    fields: list[int | str] = ["batch", "views", "height", "width"]
    outputs: dict[str, Sequence[int | str]] = {"predicted_depth": fields}
    if extras:
        outputs |= {"confidence": fields, "intrinsics": [1, 1, 3, 3]}
    return write(
        path,
        nodes if extras else nodes[:3],
        constants if extras else constants[:3],
        {"pixel_values": ["batch", "views", 3, "height", "width"]},
        outputs,
        weights=f"{path.name}_data",
    )


def write_with_sky(path: Path, *, size: tuple[int, int], channel: bool) -> Path:
    """The exports of Depth Anything 3's monocular networks: depth 5 + sum, sky where sum > 1.

    Args:
        path: Path to write to.
        size: Size (height, width) of the input.
        channel: Whether the outputs have an axis of channels.
    """
    constants = [
        constant("w", WEIGHTS.reshape(1, 3, 1, 1)),
        constant("axes", [1], np.int64),
        constant("five", 5.0),
        constant("one", 1.0),
    ]
    nodes = [
        node("Mul", ["image", "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["sum"], keepdims=int(channel)),
        node("Add", ["sum", "five"], ["depth"]),
        node("Greater", ["sum", "one"], ["bright"]),
        node("Cast", ["bright"], ["sky"], to=TensorProto.FLOAT),
    ]
    field = ["batch", *([1] if channel else []), *size]
    return write(
        path, nodes, constants, {"image": ["batch", 3, *size]}, {"depth": field, "sky": field}
    )


def write_zipdepth(path: Path) -> Path:
    """ZipDepth's export: any multiple of 32, colours of 0..1, an axis of channels."""
    constants = [
        constant("w", WEIGHTS.reshape(1, 3, 1, 1)),
        constant("axes", [1], np.int64),
    ]
    nodes = [
        node("Mul", ["pixel_values", "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["predicted_depth"], keepdims=1),
    ]
    size = ["height", "width"]
    return write(
        path,
        nodes,
        constants,
        {"pixel_values": ["batch_size", 3, *size]},
        {"predicted_depth": ["batch_size", 1, *size]},
    )


def write_ramp(path: Path, *, step: float = 1.0) -> Path:
    """ZipDepth's signature: inverse depth grows downwards by a step a row, and with brightness.

    It falls downwards where the step is negative, against all order of an indoor photograph.
    """
    constants = [
        constant("w", np.full((1, 3, 1, 1), 8.0)),
        constant("axes", [1], np.int64),
        constant("zero", 0.0),
        constant("step", step),
        constant("rows", 2, np.int64),
    ]
    nodes = [
        node("Mul", ["pixel_values", "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["bright"], keepdims=1),
        node("Mul", ["bright", "zero"], ["blank"]),
        node("Add", ["blank", "step"], ["steps"]),
        node("CumSum", ["steps", "rows"], ["ramp"]),
        node("Add", ["ramp", "bright"], ["predicted_depth"]),
    ]
    size: list[int | str] = ["height", "width"]
    return write(
        path,
        nodes,
        constants,
        {"pixel_values": ["batch_size", 3, *size]},
        {"predicted_depth": ["batch_size", 1, *size]},
    )


def write_metric3d(path: Path, *, normalises: bool) -> Path:
    """Metric3D's signature: depth 20 + sum up to 200, a normal of four channels."""
    constants = [
        constant("w", WEIGHTS.reshape(1, 3, 1, 1)),
        constant("axes", [1], np.int64),
        constant("near", 20.0),
        constant("thousand", 1000.0),
        constant("low", 0.0),
        constant("high", 200.0),
        constant("zero", 0.0),
        constant("facing", np.array([0.0, -0.6, -0.8, 7.0]).reshape(1, 4, 1, 1)),
        constant("bright", 2.0),
    ]
    picture = "pixel_values"
    nodes = []
    if normalises:
        constants += [constant("mean", MEAN_255.reshape(1, 3, 1, 1))]
        constants += [constant("std", STD_255.reshape(1, 3, 1, 1))]
        nodes += [
            node("Sub", [picture, "mean"], ["centred"]),
            node("Div", ["centred", "std"], ["x"]),
        ]
        picture = "x"
    nodes += [
        node("Mul", [picture, "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["sum"], keepdims=1),
        node("Greater", ["sum", "bright"], ["sky"]),
        node("Add", ["sum", "near"], ["scene"]),
        node("Where", ["sky", "thousand", "scene"], ["any"]),
        node("Clip", ["any", "low", "high"], ["predicted_depth"]),
        node("Mul", ["sum", "zero"], ["blank"]),
        node("Add", ["blank", "facing"], ["predicted_normal"]),
    ]
    return write(
        path,
        nodes,
        constants,
        {"pixel_values": ["batch", 3, "height", "width"]},
        {
            "predicted_depth": ["batch", 1, "height", "width"],
            "predicted_normal": ["batch", 4, "height", "width"],
        },
    )


def write_depth_pro(path: Path, *, focal: float) -> Path:
    """Depth Pro's signature: depth 5 + sum, and the focal length of the 1536 wide input."""
    constants = [
        constant("w", WEIGHTS.reshape(1, 3, 1, 1)),
        constant("axes", [1], np.int64),
        constant("five", 5.0),
        constant("focal", [focal]),
    ]
    nodes = [
        node("Mul", ["pixel_values", "w"], ["product"]),
        node("ReduceSum", ["product", "axes"], ["sum"], keepdims=0),
        node("Add", ["sum", "five"], ["predicted_depth"]),
        node("Identity", ["focal"], ["focallength_px"]),
    ]
    return write(
        path,
        nodes,
        constants,
        {"pixel_values": [1, 3, 1536, 1536]},
        {"predicted_depth": [1, 1536, 1536], "focallength_px": [1]},
    )


def write_ultralytics(path: Path, **metadata: str) -> Path:
    """A graph of depth with the metadata that Ultralytics writes."""
    write_inverse_depth(path, names=("images", "output0"), side=64)
    network = onnx.load(path)
    facts = {"author": "Ultralytics", "task": "depth", "imgsz": "[64, 64]", "license": "AGPL-3.0"}
    for key, value in {**facts, **metadata}.items():
        network.metadata_props.add(key=key, value=value)
    onnx.save(network, path)
    return path


def check_metres_of_ultralytics(path: Path) -> None:
    """A graph of Ultralytics, as it is or wrapped, gives metres under their licence."""
    pixels, colours = blocks((240, 320))
    [answer] = load_model(path, device="cpu").predict_raw([pixels])
    assert answer.depth.kind is DepthKind.METRIC
    assert answer.made_by.licence == "AGPL-3.0"
    values = at_centres(answer.depth.values)
    np.testing.assert_allclose(values, weighted(colours / 255), atol=1e-5)
