"""Embedded files written anew: the same weights, answers and metadata."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from lab.making.stored_weights import dequantise
from lab.making.write_default_models import PACKAGE, rewrite_base, rewrite_small
from rilievo.io.checksums import has_onnx_checksum
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.training.conversion.onnx_file import graph_and_branches, replace_dequantize_nodes

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
    expected = one.run(IMAGE)
    for other in others:
        answers = other.run(IMAGE)
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
