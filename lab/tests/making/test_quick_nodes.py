"""Slow nodes of a graph, replaced by quick ones."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lab.making.quick_nodes import quicken


def graph() -> onnx.ModelProto:
    """Lengths of three channels; a weighted sum of enlarged channels, and the mean of one."""
    weights = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "weights": np.array([0.5, -2, 3], np.float32).reshape(1, 3, 1, 1),
        "axis": np.array([1]),
        "one": np.array([1]),
    }
    rows = ["b", 3, 6, 8]
    nodes = [
        helper.make_node("ReduceL2", ["x"], ["lengths"], "lengths", axes=[1], keepdims=1),
        helper.make_node("Div", ["x", "lengths"], ["units"]),
        helper.make_node("Mul", ["units", "units"], ["maps"]),
        helper.make_node("Resize", ["maps", "", "scales"], ["large"], mode="linear"),
        helper.make_node("Mul", ["large", "weights"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "axis"], ["sum"], keepdims=0),
        helper.make_node("Gather", ["large", "one"], ["channel"], axis=1),
        helper.make_node("ReduceMean", ["channel"], ["mean"], axes=[2, 3]),
    ]
    outputs = {"units": 4, "sum": 3, "mean": 4}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
                for name, rank in outputs.items()
            ],
            [numpy_helper.from_array(values, name) for name, values in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    # Channels are those of shapes that are inferred.
    model.graph.node.insert(0, helper.make_node("Identity", ["x"], ["y"], "y"))
    model.graph.node[1].input[0] = "y"
    return model


def test_quick_nodes_give_the_same_answers() -> None:
    x = np.random.default_rng(4).standard_normal((2, 3, 6, 8)).astype(np.float32)

    def answers(model: onnx.ModelProto) -> list[np.ndarray]:
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return [np.asarray(values) for values in session.run(None, {"x": x})]

    model, quick = graph(), graph()
    quicken(quick)
    kinds = [node.op_type for node in quick.graph.node]
    assert "ReduceL2" not in kinds
    assert kinds.index("ReduceSum") < kinds.index("Resize")
    units, *others = answers(model)
    quick_units, *quick_others = answers(quick)
    np.testing.assert_array_equal(quick_units, units)
    for one, other in zip(quick_others, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    again = onnx.ModelProto()
    again.CopyFrom(quick)
    quicken(again)
    assert again == quick
