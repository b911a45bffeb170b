"""Outputs behind an optional input."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from lab.making.gating import gate, ungate
from lab.tests.making.test_fused_graph import HEIGHT, WIDTH, network, picture, run
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.onnx_model import INPUT


def test_a_gate_changes_no_answer_and_can_be_closed(tmp_path: Path) -> None:
    model, image = network(2.0, 0.4, chances=True), picture(5)
    gated = gate(model)
    onnx.checker.check_model(gated, full_check=True)
    for name, values in run(model, image).items():
        np.testing.assert_array_equal(run(gated, image)[name], values)
    path = tmp_path / "gated.onnx"
    onnx.save(gated, str(path))
    session = open_session(path, LoadOptions(device="cpu", threads=1))
    assert session.input_names == ("image",)
    whole = session.run(image[None], INPUT)
    less = session.depth_alone().run(image[None], INPUT)
    assert whole.keys() - less.keys() == {"normals", "confidence"}
    for name, values in less.items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_closed_gate_answers_maps_without_pixels() -> None:
    session = onnxruntime.InferenceSession(
        gate(network(2.0, 0.4, chances=True)).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    feed = {"image": np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), "surfaces": np.array(False)}
    normals, confidence = session.run(["normals", "confidence"], feed)
    assert (normals.shape, confidence.shape) == ((1, 3, 0, 0), (1, 0, 0))


def test_a_model_comes_out_of_its_gate_as_it_was() -> None:
    model = network(2.0, 0.4, chances=True)
    back = ungate(gate(model))
    assert {n.output[0]: n for n in back.graph.node} == {n.output[0]: n for n in model.graph.node}
    assert list(back.graph.input) == list(model.graph.input)
    assert ungate(model) is model
    with pytest.raises(ValueError, match="always computed"):
        gate(gate(model))


def test_depth_alone_leaves_networks_without_a_gate_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    onnx.save(network(2.0, 0.4, chances=True), str(path))
    session = open_session(path, LoadOptions(device="cpu", threads=1))
    assert session.depth_alone().run(picture(6)[None], INPUT)["normals"].size
