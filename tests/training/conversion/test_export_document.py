"""The examples of the guide to exporting are run, in order."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from rilievo.cli import main
from rilievo.models.conversion.agreement import LIMITS, picture
from tiny_checkpoints import Checkpoints, checkpoint

__all__ = ["checkpoint"]

GUIDE = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_of_the_guide_works(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint("depth_anything"), "model")
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.fromarray(picture((96, 128))).save(name)
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
    for name, limits in LIMITS.items():
        np.testing.assert_allclose(said[name], limits)
