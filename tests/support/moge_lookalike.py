"""A network of MoGe-2's signature whose answer is worked out by hand from the photograph."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

FOCAL = 0.9
"""Focal length over half the diagonal, which the fit has to find."""
SHIFT = 0.4
"""Shift that is missing in the z of the points."""
SCALE = 2.5


def true_depth(red: np.ndarray) -> np.ndarray:
    """Depth in metres of pixels by their red channel in 0..255."""
    return (1 + red / 255) * SCALE


def write_moge(path: Path, *, names: Mapping[str, str] | None = None, normals: bool = True) -> Path:
    """Write the graph: z = 1 + red, valid where green is above a half, normals to the camera.

    Args:
        path: Path to write to.
        names: Other names of outputs.
        normals: Whether it has normals.
    """
    names = {"points": "points", "normal": "normal", "mask": "mask", "scale": "scale"} | dict(
        names or {}
    )

    def constant(name: str, value: object, kind: int = TensorProto.FLOAT) -> onnx.TensorProto:
        array = np.asarray(value)
        return helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())

    node = helper.make_node
    nodes = [
        node("Shape", ["image"], ["shape"]),
        node("Gather", ["shape", "two"], ["h"]),
        node("Gather", ["shape", "three"], ["w"]),
        node("Cast", ["h"], ["hf"], to=TensorProto.FLOAT),
        node("Cast", ["w"], ["wf"], to=TensorProto.FLOAT),
        node("Mul", ["hf", "hf"], ["hh"]),
        node("Mul", ["wf", "wf"], ["ww"]),
        node("Add", ["hh", "ww"], ["squares"]),
        node("Sqrt", ["squares"], ["diagonal"]),
        node("Mul", ["diagonal", "half"], ["unit"]),
    ]
    for axis, length, shape in (("u", "wf", "row"), ("v", "hf", "column")):
        nodes += [
            node("Range", ["zero", length, "one"], [f"{axis}0"]),
            node("Sub", [length, "one"], [f"{axis}1"]),
            node("Mul", [f"{axis}1", "half"], [f"{axis}2"]),
            node("Sub", [f"{axis}0", f"{axis}2"], [f"{axis}3"]),
            node("Div", [f"{axis}3", "unit"], [f"{axis}4"]),
            node("Reshape", [f"{axis}4", shape], [axis]),
        ]
    nodes += [
        # By a product of matrices, which is what int8 quantises.
        node("Transpose", ["image"], ["channels"], perm=[0, 2, 3, 1]),
        node("MatMul", ["channels", "is_red"], ["red1"]),
        node("Squeeze", ["red1", "last"], ["red"]),
        node("Gather", ["image", "second"], [names["mask"]], axis=1),
        node("Add", ["red", "one"], ["z"]),
        node("Div", ["z", "focal"], ["ray"]),
        node("Mul", ["ray", "u"], ["x"]),
        node("Mul", ["ray", "v"], ["y"]),
        node("Sub", ["z", "shift"], ["near"]),
        node("Unsqueeze", ["x", "last"], ["x4"]),
        node("Unsqueeze", ["y", "last"], ["y4"]),
        node("Unsqueeze", ["near", "last"], ["z4"]),
        node("Concat", ["x4", "y4", "z4"], [names["points"]], axis=3),
        node("Cast", ["num_tokens"], ["tokens"], to=TensorProto.FLOAT),
        node("Mul", ["tokens", "zero"], ["nothing"]),
        node("Add", ["metres", "nothing"], [names["scale"]]),
        node("Mul", [names["points"], "zero"], ["blank"]),
        node("Add", ["blank", "facing"], [names["normal"]]),
    ]
    initializers = [
        constant("is_red", [[1.0], [0.0], [0.0]]),
        constant("second", 1, TensorProto.INT64),
        constant("two", 2, TensorProto.INT64),
        constant("three", 3, TensorProto.INT64),
        constant("last", [3], TensorProto.INT64),
        constant("row", [1, 1, -1], TensorProto.INT64),
        constant("column", [1, -1, 1], TensorProto.INT64),
        constant("zero", 0.0),
        constant("one", 1.0),
        constant("half", 0.5),
        constant("focal", FOCAL),
        constant("shift", SHIFT),
        constant("metres", [SCALE]),
        constant("facing", [0.0, 0.0, -1.0]),
    ]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "height", "width"]),
        helper.make_tensor_value_info("num_tokens", TensorProto.INT64, []),
    ]
    shapes = {
        "points": ["n", "height", "width", 3],
        "normal": ["n", "height", "width", 3],
        "mask": ["n", "height", "width"],
        "scale": ["n"],
    }
    outputs = [
        helper.make_tensor_value_info(names[name], TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
        if normals or name != "normal"
    ]
    graph = helper.make_graph(nodes, "moge", inputs, outputs, initializers)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    onnx.checker.check_model(network)
    onnx.save(network, path)
    return path
