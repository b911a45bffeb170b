"""Paddings of an ONNX file, taken over by the convolutions after them.

A convolution of a file may pad one side more than the other, as one of torch may not. ONNX Runtime
leaves a padding before it as it is, which costs a tenth of the time of a network that has it where
maps are large.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


def fold_paddings(path: Path) -> int:
    """Rewrite a file in place; returns the number of paddings that convolutions took over."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    stored = {each.name: each for each in graph.initializer}
    gone = []
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        users = [node for node in graph.node if pad.output[0] in node.input]
        if not users or any(_padding(node) is None for node in users):
            continue
        if any(each.name == "mode" and each.s != b"constant" for each in pad.attribute):
            continue
        if len(pad.input) > 2 and pad.input[2]:
            continue  # with another number than zero
        amounts = _value(onnx, pad.input[1], makers, stored)
        if (
            amounts is None
            or amounts.size != 8
            or (amounts < 0).any()
            or amounts.reshape(2, 4)[:, :2].any()
        ):
            continue
        sides = amounts.reshape(2, 4)[:, 2:].ravel()
        for node in users:
            own = _padding(node)
            assert own is not None
            own.ints[:] = [a + b for a, b in zip(own.ints, map(int, sides), strict=True)]
            node.input[0] = pad.input[0]
        gone.append(pad)
    for pad in gone:
        graph.node.remove(pad)
    _drop_unused(graph)
    onnx.save(model, str(path))
    return len(gone)


def _padding(node: Any) -> Any:
    """The padding of a convolution; None of other nodes."""
    if node.op_type != "Conv":
        return None
    return next((each for each in node.attribute if each.name == "pads"), None)


def _value(
    onnx: ModuleType, name: str, makers: dict[str, Any], stored: dict[str, Any]
) -> np.ndarray | None:
    """Compute a value that depends on constants alone; None for others."""
    from onnx.reference import ReferenceEvaluator

    nodes, names, arrays = [], [name], []
    while names:
        each = names.pop()
        if each in stored:
            arrays.append(stored[each])
        elif each in makers:
            if makers[each] not in nodes:
                nodes.append(makers[each])
                names.extend(filter(None, makers[each].input))
        else:
            return None
    if not nodes:
        return onnx.numpy_helper.to_array(stored[name]).astype(np.int64)
    output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None)
    graph = onnx.helper.make_graph(nodes[::-1], "constant", [], [output], arrays)
    # Makers come after their users above, and some serve several: sort by what is known.
    graph = _sorted(onnx, graph)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    answers = ReferenceEvaluator(model).run(None, {})
    assert isinstance(answers, list), "one array, as one output is asked for"
    return np.asarray(answers[0]).astype(np.int64)


def _sorted(onnx: ModuleType, graph: Any) -> Any:
    known, left, done = {each.name for each in graph.initializer} | {""}, list(graph.node), []
    while left:
        ready = [node for node in left if all(name in known for name in node.input)]
        for node in ready:
            left.remove(node)
            done.append(node)
            known |= set(node.output)
    return onnx.helper.make_graph(done, graph.name, [], list(graph.output), list(graph.initializer))


def _drop_unused(graph: Any) -> None:
    """Remove nodes that nothing reads, as those that computed a padding."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {each.name for each in graph.output}
        unused = [node for node in graph.node if not read & set(node.output)]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)
