"""Heads and upsampling of our networks, rewritten at equal bits and back."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lab.making.distil.small_export import export_small
from lab.making.provenances import PROVENANCES
from lab.making.quick_upsampling import quicken_upsampling, slow_upsampling
from lab.making.write_default_models import store_in_8_bits
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT


@pytest.fixture(scope="module", params=["fp32", "int8 weights"])
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> onnx.ModelProto:
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    torch.manual_seed(2)
    export_small(SmallNet(LIGHT).eval(), path, PROVENANCES["small"])
    if request.param != "fp32":
        store_in_8_bits(path)
    return onnx.load(str(path))


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(1).integers(0, 256, (2, 96, 160, 3), np.uint8)
    return [np.asarray(values) for values in session.run(None, {"image": images})]


def kinds(model: onnx.ModelProto) -> list[str]:
    return sorted(node.op_type for node in model.graph.node if node.op_type != "Constant")


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def test_quick_heads_and_sums_answer_the_same_bits(network: onnx.ModelProto) -> None:
    quick = copy_of(network)
    quicken_upsampling(quick)
    onnx.checker.check_model(quick, full_check=True)
    assert kinds(quick).count("Sum") == kinds(network).count("Sum") + 2
    assert kinds(quick).count("Conv") == kinds(network).count("Conv") - 3
    for one, other in zip(answers(quick), answers(network), strict=True):
        np.testing.assert_array_equal(one, other)
    again = copy_of(quick)
    quicken_upsampling(again)
    assert again == quick


def test_a_quick_network_comes_back_as_it_was(network: onnx.ModelProto) -> None:
    back = copy_of(network)
    quicken_upsampling(back)
    slow_upsampling(back)
    assert kinds(back) == kinds(network)
    for one, other in zip(answers(back), answers(network), strict=True):
        np.testing.assert_array_equal(one, other)
    before = {each.name: each for each in network.graph.initializer}
    for weight in back.graph.initializer:
        if weight.name in before:
            assert weight.raw_data == before[weight.name].raw_data, weight.name
