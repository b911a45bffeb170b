"""Constants of ONNX files are stored beside the weights, so that a file opens sooner."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from rilievo.models.default.embedded import BASE, SMALL, embedded_file
from rilievo.models.onnx_files.file_writing import store_constants


def constant(name: str, values: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))


def branching_model() -> onnx.ModelProto:
    """2x + 1 where the sum of x is positive, and a constant elsewhere."""
    one, two = np.array([1.0], np.float32), np.array([2.0], np.float32)
    answer = helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [None])
    doubled = helper.make_graph(
        [
            constant("one", one),
            helper.make_node("Mul", ["x", "two"], ["double"]),
            helper.make_node("Add", ["double", "one"], ["answer"]),
        ],
        "doubled",
        [],
        [answer],
    )
    fixed = helper.make_graph([constant("answer", 7 * one)], "fixed", [], [answer])
    nodes = [
        constant("two", two),
        constant("zero", np.array(0, np.float32)),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is_positive"]),
        helper.make_node("If", ["is_positive"], ["y"], then_branch=doubled, else_branch=fixed),
    ]
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None]) for n in "xy")
    graph = helper.make_graph(nodes, "branching", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def answer_of(model: onnx.ModelProto, x: list[float]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.array(x, np.float32)})[0]


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs_of(attribute.g)


def constants_of(model: onnx.ModelProto) -> list[str]:
    return [
        node.output[0]
        for graph in graphs_of(model.graph)
        for node in graph.node
        if node.op_type == "Constant"
    ]


def test_constants_are_stored_and_the_answers_stay() -> None:
    model = branching_model()
    before = [answer_of(model, x) for x in ([1.5, 2.0], [-3.0])]
    store_constants(model)
    onnx.checker.check_model(model, full_check=True)
    # What a branch answers with stays a node: some engines want one to make each output.
    assert constants_of(model) == ["answer"]
    after = [answer_of(model, x) for x in ([1.5, 2.0], [-3.0])]
    for old, new, right in zip(before, after, ([4.0, 5.0], [7.0]), strict=True):
        np.testing.assert_array_equal(new, old)
        np.testing.assert_array_equal(new, np.array(right, np.float32))


@pytest.mark.parametrize("name", [BASE, SMALL])
def test_the_models_of_the_package_compute_no_constants(name: str) -> None:
    model = onnx.load(embedded_file(name))
    outputs = {value.name for graph in graphs_of(model.graph) for value in graph.output}
    assert set(constants_of(model)) <= outputs


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_an_exported_file_computes_no_constants(tmp_path: Path) -> None:
    import torch

    from rilievo.training.conversion.onnx_file import write_traced

    class Shifted(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.float().mean(dim=-1)[:, :-1] * 0.5 + 3

    path = tmp_path / "shifted.onnx"
    pixels = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    write_traced(Shifted(), pixels, path, outputs=("depth",), free_size=True, free_batch=False)
    assert constants_of(onnx.load(path)) == []
    session = onnxruntime.InferenceSession(path)
    [depth] = session.run(None, {"image": np.full((1, 4, 6, 3), 8, np.uint8)})
    np.testing.assert_array_equal(depth, np.full((1, 3, 6), 7, np.float32))
