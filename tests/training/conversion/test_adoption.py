"""ONNX files of other programs, wrapped once and then run as our own."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rilievo.cli import main
from rilievo.errors import ModelError, RilievoError
from rilievo.models import load_model
from rilievo.models.onnx_files import foreign_model
from rilievo.models.onnx_files.foreign_model import ForeignModel, open_foreign_model
from rilievo.models.resampling.preparation import Resampling
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from support.published_graphs import check_metres_of_ultralytics, write_ultralytics

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAID: dict[str, Any] = {
    "kind": "metric",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


def write_foreign(
    path: Path,
    shape: list[int | str],
    *,
    operators: int = 17,
    channel: bool = True,
    type: int = TensorProto.FLOAT,
    names: tuple[str, str] = ("image", "depth"),
    extra_output: bool = False,
) -> Path:
    """A network whose depth is 30 + (3 red + 2 green + blue), of normalised pixels."""
    first, last = names
    nhwc = shape[3] == 3
    weights = np.array([3, 2, 1], np.float32).reshape((1, 1, 1, 3) if nhwc else (1, 3, 1, 1))
    axis = 3 if nhwc else 1
    to_float = helper.make_node("Cast", [first], ["f"], to=TensorProto.FLOAT)
    summed = helper.make_node("ReduceMean", ["p"], ["m"], axes=[axis], keepdims=int(channel))
    nodes = [
        to_float,
        helper.make_node("Mul", ["f", "weights"], ["p"]),
        summed,
        helper.make_node("Mul", ["m", "three"], ["s"]),
        helper.make_node("Add", ["s", "thirty"], ["raw"]),
        helper.make_node("Cast", ["raw"], [last], to=type),
    ]
    outputs = [helper.make_tensor_value_info(last, type, None)]
    if extra_output:
        outputs.append(helper.make_tensor_value_info("raw", TensorProto.FLOAT, None))
    constants = [
        onnx.numpy_helper.from_array(weights, "weights"),
        onnx.numpy_helper.from_array(np.array(3.0, np.float32), "three"),
        onnx.numpy_helper.from_array(np.array(30.0, np.float32), "thirty"),
    ]
    image = helper.make_tensor_value_info(first, type, shape)
    graph = helper.make_graph(nodes, "foreign", [image], outputs, constants)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", operators)])
    network.ir_version = 8
    onnx.save(network, path)
    return path


def expected(colour: tuple[int, int, int]) -> float:
    """Expected value by hand: each colour to 0..1, normalised, weighted 3, 2, 1."""
    parts = [(c / 255 - m) / s for c, m, s in zip(colour, MEAN, STD, strict=True)]
    return 30 + 3 * parts[0] + 2 * parts[1] + parts[2]


FREE: list[int | str] = ["b", 3, "h", "w"]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ([1, 3, 56, 70], {}),
        ([1, 56, 70, 3], {}),
        (FREE, {"size": (56, 56), "multiple": 14}),
        (FREE, {"size": (56, 70)}),
        (["b", "h", "w", 3], {"size": (56, 70)}),
    ],
)
@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("operators", [11, 17])
def test_a_foreign_network_is_run_as_its_user_says(
    shape: list[int | str],
    options: dict[str, Any],
    channel: bool,
    operators: int,
    tmp_path: Path,
) -> None:
    foreign = write_foreign(tmp_path / "f.onnx", shape, operators=operators, channel=channel)
    said = ExportOptions(**SAID, **options, licence="MIT", name="theirs/net")
    export_model(foreign, tmp_path / "ours.onnx", said)
    model = load_model(tmp_path / "ours.onnx")
    colours = [(200, 100, 50), (10, 20, 30)]
    photos = [np.full((90, 120, 3), colour, np.uint8) for colour in colours]
    for colour, prediction in zip(colours, model.predict_raw(photos), strict=True):
        np.testing.assert_allclose(prediction.depth.values, expected(colour), rtol=1e-5)
        assert prediction.made_by.licence == "MIT"
        assert prediction.made_by.model == "theirs/net"


@pytest.mark.parametrize("type", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_numbers_than_fp32_are_brought_to_it(type: int, tmp_path: Path) -> None:
    foreign = write_foreign(tmp_path / "f.onnx", [1, 3, 56, 70], type=type)
    export_model(foreign, tmp_path / "ours.onnx", ExportOptions(**SAID))
    photo = np.full((90, 120, 3), (200, 100, 50), np.uint8)
    [prediction] = load_model(tmp_path / "ours.onnx").predict_raw([photo])
    np.testing.assert_allclose(prediction.depth.values, expected((200, 100, 50)), rtol=2e-3)


def test_a_file_without_our_words_is_told_the_command_that_adds_them(tmp_path: Path) -> None:
    foreign = write_foreign(tmp_path / "f.onnx", FREE)
    with pytest.raises(ModelError, match=r"rilievo export .*f\.onnx --kind KIND --mean") as told:
        load_model(foreign)
    # The line, filled in, is enough: this input has no size of its own.
    [line] = re.findall("'rilievo (.*?)'", str(told.value))
    given = {"KIND": "affine_inverse", "R,G,B": "0.5,0.5,0.5", "HEIGHT,WIDTH": "56,70"}
    for word, value in given.items():
        line = line.replace(word, value)
    ours = tmp_path / "ours.onnx"
    assert main(shlex.split(line.replace("NEW.onnx", shlex.quote(str(ours))))) == 0
    assert load_model(ours).card.name


@pytest.mark.parametrize(
    ("shape", "given", "words"),
    [
        (FREE, {}, "kind and the normalisation of its input"),
        (FREE, SAID, "trained with size"),
        (
            [1, 3, 56, 70],
            {**SAID, "size": (70, 70)},
            "its input has the fixed size 56 x 70 .* cannot be 70 x 70",
        ),
        ([1, 3, 56, 70], {**SAID, "multiple": 14}, "leave out multiple"),
        ([1, 3, 56, 70], {**SAID, "std": (1.0, 0.0, 1.0)}, "std must be three positive numbers"),
        ([1, 3, 56, 70], {**SAID, "precision": "fp16"}, "can only be exported in fp32 first"),
        ([1, 3, 56, 70], {**SAID, "kind": "inverse"}, "no kind 'inverse'"),
        (
            [1, 3, 56, 70],
            {**SAID, "resampling": Resampling.BILINEAR_POINTS},
            "not available for third-party",
        ),
    ],
)
def test_what_must_be_said_or_cannot_be_is_one_line(
    shape: list[int | str], given: dict[str, Any], words: str, tmp_path: Path
) -> None:
    foreign = write_foreign(tmp_path / "f.onnx", shape)
    with pytest.raises(RilievoError, match=words) as caught:
        export_model(foreign, tmp_path / "ours.onnx", ExportOptions(**given))
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["f.onnx"]


@pytest.mark.parametrize(
    ("inputs", "words"), [([], "its inputs are: none"), ([("x", [1, 1, 8, 8])], r"\[1, 1, 8, 8\]")]
)
def test_a_network_that_takes_no_picture_in_colours_is_refused(
    inputs: list[tuple[str, list[int]]], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "f.onnx"
    ones = helper.make_tensor("ones", TensorProto.FLOAT, [1, 8, 8], [1.0] * 64)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["depth"], value=ones)],
        "foreign",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, None)],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    onnx.save(network, path)
    with pytest.raises(ModelError, match=words):
        export_model(path, tmp_path / "ours.onnx", ExportOptions(**SAID))


def test_the_output_called_depth_is_taken_of_several(tmp_path: Path) -> None:
    foreign = write_foreign(tmp_path / "f.onnx", [1, 3, 56, 70], extra_output=True)
    model = open_foreign_model(foreign, ExportOptions(**SAID).statement(foreign))
    assert model.graph.output == "depth"


def test_a_copy_that_answers_otherwise_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test makes the graph that normalises wrong, so that it disagrees with the original
    network.
    """
    right = foreign_model._wrap_input

    def wrong(foreign: ForeignModel, network_input: str) -> Any:
        wrapping = right(foreign, network_input)
        doubled = [
            onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(each), each.name)
            for each in wrapping.constants
        ]
        return replace(wrapping, constants=doubled)

    monkeypatch.setattr(foreign_model, "_wrap_input", wrong)
    foreign = write_foreign(tmp_path / "f.onnx", [1, 3, 56, 70])
    with pytest.raises(ModelError, match="differ"):
        export_model(foreign, tmp_path / "ours.onnx", ExportOptions(**SAID))
    assert [each.name for each in tmp_path.iterdir()] == ["f.onnx"]


def test_a_file_of_ultralytics_gives_metres_when_it_is_wrapped(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path / "yolo26n-depth.onnx")
    check_metres_of_ultralytics(export_model(path, tmp_path / "ours.onnx").path)
