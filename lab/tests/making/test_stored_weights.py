"""Weights stored in 8 bits, and embedded files written anew: the same answers and metadata."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lab.making.distil.small_export import export_small
from lab.making.provenances import PROVENANCES
from lab.making.stored_weights import dequantise
from lab.making.write_default_models import (
    PACKAGE,
    rewrite_base,
    rewrite_small,
    rounded,
    store_in_8_bits,
)
from rilievo.io.training_files import has_onnx_checksum
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.file_writing import graph_and_branches, replace_dequantize_nodes
from rilievo.models.onnx_files.onnx_model import INPUT, OnnxModel
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT

IMAGE = np.random.default_rng(0).integers(0, 255, (1, 160, 128, 3)).astype(np.uint8)


def rewritten(name: str, source: Path, out: Path) -> Path:
    if name == "small":
        rewrite_small(source, out)
    else:
        rewrite_base(source, out=out)
    return out


@pytest.mark.parametrize("name", ["base", "small"])
def test_files_written_anew_answer_the_same_bits(name: str, tmp_path: Path) -> None:
    source = PACKAGE / f"{name}.onnx"
    first = rewritten(name, source, tmp_path / "first.onnx")
    second = rewritten(name, first, tmp_path / "second.onnx")
    options = LoadOptions(device="cpu", threads=1)
    one, *others = (open_session(path, options) for path in (source, first, second))
    expected = one.run(IMAGE, INPUT)
    for other in others:
        answers = other.run(IMAGE, INPUT)
        assert answers.keys() == expected.keys()
        for key, values in answers.items():
            np.testing.assert_array_equal(values, expected[key])
        before, after = (dict(each.metadata) for each in (one, other))
        assert {**before, "rilievo.sha256": ""} == {**after, "rilievo.sha256": ""}
    assert has_onnx_checksum(first)
    assert first.stat().st_size < source.stat().st_size + 200_000


def dequantised(model: onnx.ModelProto) -> list[int]:
    """Weights that each graph of a model multiplies out: its own, no surfaces, surfaces."""
    return [
        sum(node.op_type == "DequantizeLinear" for node in graph.node)
        for graph in graph_and_branches(model.graph)
    ]


def test_weights_are_multiplied_out_in_branches_too(tmp_path: Path) -> None:
    path = rewritten("base", PACKAGE / "base.onnx", tmp_path / "base.onnx")
    model = onnx.load(str(path))
    before = dequantised(model)
    assert [count > 0 for count in before] == [True, False, True]
    replace_dequantize_nodes(model)
    assert dequantised(model) == [0, 0, 0]
    dequantise(model)
    assert dequantised(model) == before


def test_steps_of_weights_are_exact_where_they_can_be() -> None:
    steps = np.random.default_rng(2).integers(-127, 128, (5, 3, 2, 2))
    steps[:, 0, 0, 0] = 127
    size = np.array([1e-3, 0.5, 1, 4, 1e4]).reshape(-1, 1, 1, 1)
    found, sizes = rounded((steps * size).astype(np.float32))
    np.testing.assert_array_equal(found, steps)
    np.testing.assert_allclose(sizes, size, rtol=1e-6)


def test_a_weight_far_from_the_others_is_cut_off_where_that_costs_less() -> None:
    weights = np.random.default_rng(3).normal(size=(4, 5000)).astype(np.float32)
    weights[:, 0] = 12
    steps, size = rounded(weights)
    plain = np.abs(weights).max(axis=1, keepdims=True) / 127
    uncut = ((np.round(weights / plain) * plain - weights) ** 2).sum(axis=1)
    assert (((steps * size - weights) ** 2).sum(axis=1) <= uncut).all()
    assert (size < plain).any()


def opened(path: Path) -> OnnxModel:
    return OnnxModel(path, LoadOptions(device="cpu"))


def test_weights_stored_in_8_bits_are_computed_with_in_floats(tmp_path: Path) -> None:
    exact, small = tmp_path / "fp32.onnx", tmp_path / "stored.onnx"
    torch.manual_seed(1)
    export_small(SmallNet(LIGHT).eval(), exact, PROVENANCES["small"])
    small.write_bytes(exact.read_bytes())
    store_in_8_bits(small)
    assert small.stat().st_size < 0.5 * exact.stat().st_size
    assert opened(small).description == replace(opened(exact).description, precision="int8 weights")
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    photograph = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    batch = opened(exact).preparation.pixels(photograph)[None]
    one, other = opened(exact).run(batch), opened(small).run(batch)
    for name, most in (("depth", 0.02), ("normals", 0.05), ("confidence", 0.02)):
        assert 0 < np.abs(one[name] - other[name]).mean() < most
