"""Small ONNX networks that keep, or break, the contract of ``models.onnx_files.onnx_model``."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

METADATA = {
    "rilievo.format": "1",
    "rilievo.name": "test/brightness",
    "rilievo.kind": "up_to_scale",
    "rilievo.licence": "MIT",
    "rilievo.area": "49152",
    "rilievo.multiple": "32",
}
MakeNetwork = Callable[..., Path]


@pytest.fixture
def make_network(tmp_path: Path) -> MakeNetwork:
    """Write a network whose depth is brightness + ``offset`` and whose normals are (r, g, b)."""

    def make(
        *,
        offset: float = 1.0,
        output: str = "depth",
        name: str = "net.onnx",
        **metadata: str | None,
    ) -> Path:
        nodes = [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
            helper.make_node("Add", ["mean", "offset"], [output]),
            helper.make_node("Transpose", ["float"], ["normals"], perm=[0, 3, 1, 2]),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", "h", "w", 3])
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["b", "h", "w"]),
            helper.make_tensor_value_info("normals", TensorProto.FLOAT, ["b", 3, "h", "w"]),
        ]
        constants = [helper.make_tensor("offset", TensorProto.FLOAT, [], [offset])]
        graph = helper.make_graph(nodes, "brightness", [image], outputs, constants)
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        network.ir_version = 8
        facts = METADATA | {f"rilievo.{key}": value for key, value in metadata.items()}
        for key, value in facts.items():
            if value is not None:
                network.metadata_props.add(key=key, value=value)
        path = tmp_path / name
        onnx.save(network, path)
        return path

    return make
