"""The examples of the guide to exporting are run, in order."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage.data
from onnx import TensorProto, helper
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.models.onnx_files.agreement import LIMITS, draw_scene
from support.tiny_checkpoints import Checkpoints, checkpoint

__all__ = ["checkpoint"]

EMBEDDED = Path(rilievo.__file__).parent / "models" / "default"
GUIDE = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_of_the_guide_works(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint("depth_anything"), "model")
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.fromarray(draw_scene((96, 128))).save(name)
    mean = helper.make_node("ReduceMean", ["input"], ["output"], axes=[1], keepdims=0)
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        [mean],
        "theirs",
        [helper.make_tensor_value_info("input", floats, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("output", floats, None)],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    onnx.save(network, "theirs.onnx")
    commands = [
        line.split(" #")[0]
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if not language
    ]
    assert len(commands) == 7
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "rilievo"
        overwriting = ["--overwrite"] if arguments[0] == "predict" else []
        assert main([*arguments, *overwriting]) == 0, command


def test_the_guides_limits_are_those_that_hold() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.e-]+) \| ([\d.e-]+) \|$", GUIDE, re.MULTILINE)
    said = {name: (float(most), float(median)) for name, most, median in rows}
    assert said.keys() == LIMITS.keys()
    for name, limit in LIMITS.items():
        np.testing.assert_allclose(said[name], (limit.most, limit.median))


@pytest.mark.parametrize("name", ["base", "small"])
@pytest.mark.parametrize("shape", [(400, 600), (480, 640), (600, 400), (300, 900)])
def test_the_file_without_rilievo_gives_the_depth_of_predict(
    name: str, shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, as phones write portraits
    pixels = Image.fromarray(skimage.data.coffee()).resize((shape[1], shape[0]))
    pixels.save("photo.jpg", exif=exif)
    shutil.copy(EMBEDDED / f"{name}.onnx", "small.onnx")
    depth = _depth_by_the_guides_program()
    model = rilievo.load_model(f"rilievo/{name}")
    expected = rilievo.predict("photo.jpg", model=model, trim="off").depth
    assert depth.shape == expected.shape == shape[::-1]
    off = np.abs(depth / expected.values - 1)[expected.valid]
    assert np.quantile(off, 0.99) < 1e-3, "the size at which the network sees it is that of predict"


def test_the_file_of_a_fixed_size_without_rilievo_gives_the_depth_of_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.coffee()).save("photo.jpg")
    assert main(["export", "rilievo/small", "--size", "192,256", "-o", "small.onnx"]) == 0
    depth = _depth_by_the_guides_program()
    expected = rilievo.predict("photo.jpg", model="small.onnx", trim="off").depth
    assert depth.shape == expected.shape
    off = np.abs(depth / expected.values - 1)[expected.valid]
    assert np.quantile(off, 0.99) < 1e-3


def _depth_by_the_guides_program() -> np.ndarray:
    """Depth that the guide's program predicts for photo.jpg with small.onnx."""
    block = next(b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "onnx" in b)
    found: dict[str, Any] = {}
    exec(block, found)
    return found["depth"]


def test_without_surfaces_the_file_gives_the_same_depth_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(EMBEDDED / "base.onnx", "base.onnx")
    [block] = [b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "surfaces" in b]
    found: dict[str, Any] = {}
    exec(block, found)
    assert "Initializer surfaces" not in capfd.readouterr().err
    network, image = found["network"], found["image"]
    depth, normals = network.run(["depth", "normals"], {"image": image})
    np.testing.assert_array_equal(found["depth"], depth)
    assert normals.size
    inputs = {"image": image, "surfaces": np.array(False)}
    for answer in network.run(["normals", "confidence"], inputs):
        assert answer.size == 0
