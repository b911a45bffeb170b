"""Embedded files, as they are written today, in other programs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import quantize_dynamic

from lab.making.outline_network import LayoutPick, OutlineNet
from lab.making.write_default_models import PACKAGE, rewrite_base, rewrite_small
from rilievo import export_model
from support.network_numbers import assert_networks_agree
from support.openvino_kernels import skip_without_avx

IMAGE = np.random.default_rng(0).integers(0, 255, (1, 128, 160, 3)).astype(np.uint8)


@pytest.fixture(scope="module", params=["base", "small", "exported base", "exported small"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = request.param.removeprefix("exported ")
    source = PACKAGE / f"{name}.onnx"
    folder = tmp_path_factory.mktemp("files")
    path, weights = folder / source.name, folder / "outlines.npz"
    if name == "small":
        rewrite_small(source, path)
    elif request.param != name:
        rewrite_base(source, out=path)
    else:
        parts = {"outline": OutlineNet(), "pick": LayoutPick()}
        np.savez(
            weights,
            **{
                f"{prefix}.{name}": value.numpy()
                for prefix, network in parts.items()
                for name, value in network.state_dict().items()
            },
        )
        rewrite_base(source, outlines=weights, out=path)
    return path if request.param == name else export_model(path, folder / "exported.onnx").path


def test_the_checker_takes_the_file(file: Path) -> None:
    model = onnx.load(str(file))
    onnx.checker.check_model(model, full_check=True)
    assert [each.domain for each in model.opset_import] == [""]
    kinds = {node.op_type for node in model.graph.node}
    assert ("DequantizeLinear" in kinds) == (file.name != "exported.onnx")


def test_the_quantiser_takes_the_file(file: Path, tmp_path: Path) -> None:
    """Kernels of convolutions are in 8 bits already."""
    target = tmp_path / "quantised.onnx"
    quantize_dynamic(file, target, op_types_to_quantize=["MatMul", "Gemm"])
    onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])


def test_openvino_answers_the_same(file: Path) -> None:
    openvino = pytest.importorskip("openvino")
    skip_without_avx()
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = compiled.infer_new_request({"image": IMAGE})
    for index, expected in enumerate(session.run(None, {"image": IMAGE})):
        assert_networks_agree(answer[index], expected, median=3e-4, tolerance=0.01, limit=0.5)
