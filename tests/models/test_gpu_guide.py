"""The programs of the guide to GPUs, run on the processor, and the numbers in it."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data

import rilievo
from rilievo.models.default.embedded import EMBEDDED
from rilievo.models.resampling.preparation import network_size

GUIDE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
HALF_PRECISION, FIXED_SIZE = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
PHOTO = skimage.data.coffee()


@pytest.mark.parametrize("name", [pytest.param("base", marks=pytest.mark.slow), "small"])
def test_in_16_bits_the_depth_differs_as_the_guide_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(HALF_PRECISION.replace("base", name), {})
    [row] = re.findall(rf"^\| `rilievo/{name}` \| \S+ to (\S+) \| (\S+) \|$", GUIDE, re.MULTILINE)
    expected = rilievo.predict(PHOTO, model=f"{name}-copy.onnx", device="cpu").depth.values
    found = rilievo.predict(PHOTO, model=f"{name}-fp16.onnx", device="cpu")
    difference = np.abs(found.depth.values - expected) / np.ptp(expected)
    assert 1e-5 < np.median(difference) <= float(row[0])
    assert difference.max() <= float(row[1])
    # Its convolutions add biases of 16 bits, so they have no other type either.
    network = onnx.load(f"{name}-fp16.onnx")
    types = {tensor.name: tensor.data_type for tensor in network.graph.initializer}
    nodes = [node for node in network.graph.node if node.op_type == "Conv"]
    biases = [node.input[2] for node in nodes if len(node.input) > 2]
    assert {types[bias] for bias in biases} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("name", "size"),
    [pytest.param("base", (384, 512), marks=pytest.mark.slow), ("small", (224, 288))],
)
def test_the_file_for_tensorrt_is_fixed_and_gives_the_same_depth(
    name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = FIXED_SIZE.replace("base", name).replace("(384, 512)", str(size))
    exec(program, {})
    path = f"{name}-fixed.onnx"
    network = onnx.load(path)
    assert not {"If", "DequantizeLinear"} & {node.op_type for node in network.graph.node}
    assert {node.domain for node in network.graph.node} == {""}
    assert onnx.TensorProto.INT8 not in {each.data_type for each in network.graph.initializer}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [image] = session.get_inputs()
    assert image.shape == [1, *size, 3]
    photo = np.ascontiguousarray(PHOTO[: size[0], : size[1]])
    [depth] = session.run(["depth"], {"image": photo[None]})
    model = rilievo.load_model(f"rilievo/{name}", device="cpu")
    [expected] = model.infer([rilievo.Photo(pixels=photo)])
    assert expected.depth is not None
    np.testing.assert_allclose(np.asarray(depth)[0], expected.depth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "pattern"), [("base", r"only (\d+) sizes"), ("small", r"and (\d+) with")]
)
def test_photographs_have_as_few_sizes_as_the_guide_says(name: str, pattern: str) -> None:
    [stated] = re.findall(pattern, GUIDE)
    pixel_count = EMBEDDED[f"rilievo/{name}"].area
    assert pixel_count is not None
    sizes = {
        network_size((int(3600 * aspect), 3600), pixel_count=pixel_count, multiple=32)
        for aspect in np.geomspace(1 / 3, 3, 20_001)
    }
    assert len(sizes) == int(stated)
