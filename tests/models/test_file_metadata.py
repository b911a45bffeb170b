"""Metadata of ONNX files, and networks that OpenVINO has compiled before."""

import os
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import rilievo
from rilievo.errors import ModelError
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.file_metadata import file_metadata, graph_names
from rilievo.models.onnx_files.onnx_model import has_rilievo_metadata

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def _network(times: float) -> onnx.ModelProto:
    """A network that multiplies its input by one weight."""
    weight = numpy_helper.from_array(np.full((1, 1), times, np.float32), "weight")
    node = helper.make_node("Mul", ["image", "weight"], ["depth"])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8])
        for name in ("image", "depth")
    ]
    graph = helper.make_graph([node], "network", ends[:1], ends[1:], [weight])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@given(metadata=st.dictionaries(TEXTS, TEXTS, max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_metadata_are_those_that_onnx_wrote(tmp_path: Path, metadata: dict[str, str]) -> None:
    network, path = _network(1), tmp_path / "network.onnx"
    helper.set_model_props(network, metadata)
    onnx.save(network, path)
    assert file_metadata(path) == metadata


def test_metadata_before_the_graph_and_large_weights_are_read(tmp_path: Path) -> None:
    network, path = _network(1), tmp_path / "network.onnx"
    helper.set_model_props(network, {"key": "value"})
    first = onnx.ModelProto(metadata_props=network.metadata_props).SerializeToString()
    network.ClearField("metadata_props")
    large = numpy_helper.from_array(np.zeros(1 << 20, np.float32), "large")
    network.graph.initializer.append(large)
    path.write_bytes(first + network.SerializeToString())
    assert file_metadata(path) == {"key": "value"}


@pytest.mark.parametrize(
    "content", [b"\x77", b"\x72\x05ab", b"\x72\xff\xff\xff\xff\x7f", b"\xff" * 12, b"\x3f"]
)
def test_files_that_are_no_onnx_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a valid ONNX file: (it|an) ") as caught:
        file_metadata(path)
    assert "\n" not in str(caught.value)


def test_a_network_of_the_same_name_size_and_time_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    path, image = tmp_path / "network.onnx", np.ones((1, 8), np.float32)
    for times in (2.0, 3.0):
        onnx.save(_network(times), tmp_path / "new.onnx")
        os.utime(tmp_path / "new.onnx", (1_000_000, 1_000_000))
        (tmp_path / "new.onnx").replace(path)
        session = open_session(path, LoadOptions(engine="openvino"))
        np.testing.assert_array_equal(session.feed({"image": image})["depth"], times * image)
        assert session.metadata == {}


def test_a_compiled_network_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "network.onnx"
    onnx.save(_network(2), path)
    for _ in range(2):
        open_session(path, LoadOptions(engine="openvino"))
    [_] = (tmp_path / "cache").rglob("*.blob")


@pytest.mark.parametrize("metadata", [{}, {"rilievo.format": "rilievo-onnx/99"}, {"task": "depth"}])
def test_a_network_without_our_metadata_is_refused_before_it_is_built(
    tmp_path: Path, metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kilobytes of constants that are multiplied take minutes and gigabytes to build."""

    def built(*_: object, **__: object) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr(onnxruntime, "InferenceSession", built)
    network, path = _network(1), tmp_path / "network.onnx"
    helper.set_model_props(network, metadata)
    onnx.save(network, path)
    for engine in ("onnxruntime", "openvino"):
        with pytest.raises(ModelError, match="no metadata from rilievo"):
            rilievo.load_model(path, engine=engine)
    assert has_rilievo_metadata(path) is ("rilievo.format" in metadata)


@pytest.mark.parametrize("field", [b"\x08\x00", b"\x72\x00", b"\x3a\x00", b"\x0d\x00\x00\x00\x00"])
@pytest.mark.parametrize("inside", [False, True])
def test_millions_of_fields_are_not_passed_over(tmp_path: Path, field: bytes, inside: bool) -> None:
    path, fields = tmp_path / "network.onnx", field * 1_000_000
    length, number = len(fields), bytearray()
    while length:
        number.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
    path.write_bytes(b"\x72" + number + fields if inside else fields)
    with pytest.raises(ModelError, match="more than 100,000 fields"):
        file_metadata(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x08\x3a" + b"\xff" * 8 + b"\x7fabc",
        b"\x08\x08\x72" + b"\xff" * 8 + b"\x7fabc",
        b"\x08\x08\x72\x0c\x1a" + b"\xff" * 8 + b"\x7fab",
        b"\x08\x08\x3a\x0b\x5a" + b"\xff" * 8 + b"\x7f",
        b"\x08\x08\x3a\x02\x5a\x05abcdef",
    ],
    ids=["graph", "entry", "in an entry", "in the graph", "beyond the graph"],
)
def test_lengths_beyond_the_file_are_one_line(content: bytes, tmp_path: Path) -> None:
    """Two of them raised ValueError and OverflowError, as they are no offsets."""
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="it is truncated"):
        assert not (file_metadata(path), graph_names(path))


@pytest.mark.parametrize(("kind", "missing"), [("metric", "image"), ("none", "normals")])
def test_a_network_without_its_inputs_and_outputs_is_refused_before_it_is_built(
    kind: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe of constants with our metadata took 15 s and more before its inputs were missed."""

    def built(*_: object, **__: object) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr(onnxruntime, "InferenceSession", built)
    network, path = _network(1), tmp_path / "network.onnx"
    if missing == "image":
        del network.graph.input[:]
    helper.set_model_props(network, {"rilievo.format": "2", "rilievo.kind": kind})
    onnx.save(network, path)
    assert graph_names(path).outputs == ("depth",)
    with pytest.raises(ModelError, match=f"has no '{missing}' among its inputs"):
        rilievo.load_model(path)


def test_constants_of_gigabytes_are_not_computed_when_a_file_is_opened(tmp_path: Path) -> None:
    """ConstantOfShape makes any number of values of a few bytes."""
    size = helper.make_tensor("size", TensorProto.INT64, [1], [2**28])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("Exp", ["zeros"], ["ones"]),
        helper.make_node("ReduceMax", ["ones"], ["one"], keepdims=1),
        helper.make_node("Mul", ["image", "one"], ["depth"]),
    ]
    network = _network(1)
    del network.graph.node[:], network.graph.initializer[:]
    network.graph.node.extend(nodes)
    network.graph.initializer.append(size)
    path = tmp_path / "network.onnx"
    onnx.save(network, path)
    before = time.process_time()
    open_session(path, LoadOptions())
    major, minor = map(int, onnxruntime.__version__.split(".")[:2])
    is_bounded = (major, minor) >= (1, 27)  # SECURITY.md advises against older versions
    assert time.process_time() - before < (1 if is_bounded else 60)
