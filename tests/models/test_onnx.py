"""ONNX files that say what they are, and those that do not."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.cli import main
from rilievo.errors import ModelError, OptionError, RilievoError, first_line
from rilievo.models import find_card, load_model
from rilievo.models.base import Inference
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxDescription, OnnxModel, has_rilievo_metadata
from rilievo.models.resampling.preparation import Preparation, Rule, Sizing, network_size, shrink
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

MakeNetwork = Callable[..., Path]

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_a_file_is_loaded_and_says_what_it_is(make_network: MakeNetwork) -> None:
    model = load_model(make_network())
    assert model.card.name == "test/brightness"
    assert model.card.kind is DepthKind.UP_TO_SCALE
    assert len(model.weights_sha256) == 64


def test_a_folder_with_one_onnx_file_is_that_model(make_network: MakeNetwork) -> None:
    path = make_network()
    assert load_model(path.parent).card.name == load_model(path).card.name


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_answer_is_the_networks_at_the_photographs_size(
    make_network: MakeNetwork, engine: str
) -> None:
    grey = np.full((100, 130, 3), 40, np.uint8)
    [prediction] = load_model(make_network(), engine=engine).predict_raw([grey])
    assert prediction.normals is not None
    assert prediction.depth.shape == (100, 130)
    np.testing.assert_allclose(prediction.depth.depth(), 41.0, rtol=1e-5)
    np.testing.assert_allclose(prediction.normals, 1 / np.sqrt(3), rtol=1e-5)
    assert prediction.made_by.settings["engine"] == engine


def test_outputs_of_other_names_are_not_read(make_network: MakeNetwork) -> None:
    """Files of versions before 0.3 say how likely a step of depth is."""
    grey = np.full((48, 64, 3), 40, np.uint8)
    [plain] = load_model(make_network()).predict_raw([grey])
    path = make_network(name="more.onnx")
    network = onnx.load(path)
    network.graph.node.append(onnx.helper.make_node("Neg", ["depth"], ["steps"]))
    network.graph.output.append(
        onnx.helper.make_tensor_value_info("steps", onnx.TensorProto.FLOAT, ["b", "h", "w"])
    )
    onnx.save(network, path)
    [found] = load_model(path).predict_raw([grey])
    np.testing.assert_array_equal(found.depth.values, plain.depth.values)


def test_photographs_of_many_sizes_come_back_in_their_order(make_network: MakeNetwork) -> None:
    photos = [
        np.full((40 + 17 * index, 200 - 30 * index, 3), 10 * index, np.uint8) for index in range(5)
    ]
    predictions = load_model(make_network()).predict_raw(photos)
    for index, (photo, prediction) in enumerate(zip(photos, predictions, strict=True)):
        assert prediction.shape == photo.shape[:2]
        np.testing.assert_allclose(prediction.depth.depth(), 10 * index + 1, rtol=1e-5)


def test_a_batch_answers_as_its_photographs_one_by_one(make_network: MakeNetwork) -> None:
    model = load_model(make_network())
    together = model.predict_raw([PIXELS, PIXELS[::-1]])
    for photo, prediction in zip([PIXELS, PIXELS[::-1]], together, strict=True):
        [alone] = model.predict_raw([photo])
        assert alone.depth is not None
        np.testing.assert_array_equal(prediction.depth.values, alone.depth.values)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"format": None}, "has no metadata from rilievo"),
        ({"format": "3"}, "has no metadata from rilievo"),
        ({"kind": "distance"}, "is not valid"),
        ({"licence": None}, "its metadata has no entry 'rilievo.licence'"),
        ({"area": "many"}, "is not valid"),
        ({"area": "0"}, "is not valid"),
        ({"multiple": "-3"}, "is not valid"),
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(
    make_network: MakeNetwork, metadata: dict[str, str | None], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(make_network(**metadata))


def test_a_network_without_depth_is_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(ModelError, match="no 'depth'"):
        load_model(make_network(output="something"))


def test_a_network_of_normals_alone_says_that_it_has_no_depth(make_network: MakeNetwork) -> None:
    facts = OnnxDescription(
        name="test/slopes",
        kind=None,
        licence="MIT",
        preparation=Preparation(sizing=Sizing(rule=Rule.FIXED, height=8, width=8)),
        needs_focal=False,
    )
    said = {key.removeprefix("rilievo."): value for key, value in facts.metadata().items()}
    # It would be taken for the file's.
    del said["name"]
    model = load_model(make_network(output="confidence", **said))
    assert (model.card.kind, model.card.normals) == (None, True)
    with pytest.raises(ModelError, match="predicts no depth, but it has an output 'depth'"):
        load_model(make_network(**said))
    with pytest.raises(ModelError, match="no 'depth'"):
        load_model(make_network(output="confidence", **(said | {"kind": "metric"})))


@pytest.mark.parametrize("offset", [-10.0, float("nan")])
def test_answers_that_break_the_promise_of_their_kind_are_refused(
    make_network: MakeNetwork, offset: float
) -> None:
    model = load_model(make_network(offset=offset))
    with pytest.raises(ModelError, match="test/brightness"):
        model.predict_raw([np.zeros((64, 64, 3), np.uint8)])


def test_every_cut_and_flip_of_a_file_is_one_line_or_works(make_network: MakeNetwork) -> None:
    whole = make_network().read_bytes()
    rng = np.random.default_rng(1)
    path = make_network(name="mutated.onnx")
    messages = []
    for trial in range(120):
        broken = bytearray(whole[: rng.integers(0, len(whole))] if trial % 3 == 0 else whole)
        for _ in range(int(rng.integers(1, 8)) if broken else 0):
            broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
        path.write_bytes(bytes(broken))
        try:
            load_model(path).predict_raw([PIXELS])
        except RilievoError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]


def test_a_missing_file_a_folder_and_text_are_each_said(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    for path in (tmp_path / "none.onnx", text):
        with pytest.raises(ModelError, match=path.name):
            load_model(path)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match="folder"):
        load_model(tmp_path / "folder.onnx")


def test_the_card_of_a_file_is_shown_by_its_path(
    make_network: MakeNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_network()
    assert main(["models", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == str(path)
    assert f"source      {path}" in said
    assert main(["models", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "up_to_scale"


@pytest.mark.parametrize(
    ("metadata", "line"),
    [({}, None), ({"teacher": "''"}, None), ({"teacher": "org/large"}, "org/large")],
)
def test_only_a_teacher_that_a_file_states_is_in_its_card(
    make_network: MakeNetwork,
    capsys: pytest.CaptureFixture[str],
    metadata: dict[str, str],
    line: str | None,
) -> None:
    path = make_network(**metadata)
    assert load_model(path).card.teacher == (line or "")
    assert main(["models", str(path)]) == 0
    lines = [
        text.removeprefix("labelled by").strip()
        for text in capsys.readouterr().out.splitlines()
        if text.startswith("labelled by")
    ]
    assert lines == ([] if line is None else [line])


def test_a_folder_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(ModelError, match=r"^there is no folder or model 'model/'"):
        load_model("model/")


def test_an_unknown_model_gets_the_nearest_names() -> None:
    with pytest.raises(ModelError, match="did you mean 'rilievo/small'"):
        load_model("rilievo/smal")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "tensorrt"}, "no engine"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "does not offer the precision"),
        ({"device": "gpu"}, "no device"),
        ({"device": "cpu:1"}, "no device"),
        ({"device": "cuda"}, "no CUDA"),
        ({"threads": 0}, "1 or more"),
    ],
)
def test_engines_and_devices_that_are_not_to_be_had_are_said(
    make_network: MakeNetwork, options: dict[str, str], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        load_model(make_network(), **options)


@given(height=st.integers(32, 12000), width=st.integers(32, 12000))
def test_the_network_sees_its_own_area_in_nearly_the_photographs_aspect(
    height: int, width: int
) -> None:
    rows, columns = network_size((height, width), pixel_count=49152, multiple=32)
    assert rows % 32 == columns % 32 == 0
    if 1 / 4 < height / width < 4:
        assert 0.7 < rows * columns / 49152 < 1.4
        assert abs(np.log(rows * width / (columns * height))) < 0.2


def test_a_photograph_of_the_trained_size_is_seen_as_it_is() -> None:
    assert network_size((480, 640), pixel_count=49152, multiple=32) == (192, 256)
    assert shrink(PIXELS, (48, 64)) is PIXELS


def test_a_card_says_what_the_outputs_of_its_file_are(make_network: MakeNetwork) -> None:
    card = load_model(make_network()).card
    assert (card.normals, card.confidence) == (True, False)
    path = make_network(name="other.onnx")
    network = onnx.load(path)
    network.graph.node[-1].output[0] = network.graph.output[-1].name = "something"
    confidence = network.graph.output[0]
    network.graph.node[-2].output[0] = confidence.name = "confidence"
    network.graph.node.append(onnx.helper.make_node("Identity", ["confidence"], ["depth"]))
    depth = type(confidence)()
    depth.CopyFrom(confidence)
    depth.name = "depth"
    network.graph.output.append(depth)
    onnx.save(network, path)
    card = load_model(path).card
    assert (card.normals, card.confidence) == (False, True)


def test_a_card_and_a_file_of_different_kinds_do_not_go_together(
    make_network: MakeNetwork,
) -> None:
    with pytest.raises(
        ModelError, match=r"depth of kind 'affine', .*'rilievo/small' states 'up_to_scale'"
    ):
        OnnxModel(make_network(kind="affine"), LoadOptions(), find_card("rilievo/small"))


@pytest.mark.parametrize("home", [{"RILIEVO_CACHE": "/dev/null/x"}, {"HOME": "/proc/nope"}])
def test_openvino_goes_without_a_cache_that_cannot_be_written(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, home: dict[str, str]
) -> None:
    for name in ("RILIEVO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    [prediction] = load_model(make_network(), engine="openvino").predict_raw([PIXELS])
    assert prediction.depth.shape == prediction.shape


def test_openvino_compiles_a_network_for_each_precision(
    make_network: MakeNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, path = tmp_path / "cache", make_network()
    monkeypatch.setenv("RILIEVO_CACHE", str(cache))
    for precision in ("fp32", "bf16", "fp32"):
        load_model(path, engine="openvino", precision=precision).predict_raw([PIXELS])
    assert len([*cache.rglob("*.blob")]) == 2


def test_openvinos_message_begins_where_it_says_something() -> None:
    error = RuntimeError("Exception from src/a.cpp:1:\nException from src/b.cpp:2:\nno such file")
    assert first_line(error) == "no such file"


BROKEN = np.full((3, 8, 8), np.nan, np.float32)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Inference(normals=BROKEN), "NaN or infinite normals"),
        (Inference(confidence=BROKEN[0]), "confidence values outside 0 to 1"),
        (
            Inference(confidence=np.full((8, 8), 1.5, np.float32)),
            "confidence values outside 0 to 1",
        ),
        (
            Inference(confidence=np.full((8, 8), -0.1, np.float32)),
            "confidence values outside 0 to 1",
        ),
    ],
)
def test_answers_that_are_no_normals_or_no_confidence_are_refused(
    make_network: MakeNetwork, answer: Inference, words: str
) -> None:
    model = load_model(make_network())
    with pytest.raises(ModelError, match=f"test/brightness.*{words}"):
        model.finish(answer, Photo(pixels=PIXELS))


def test_names_are_shown_on_one_line_and_none_fills_the_screen(make_network: MakeNetwork) -> None:
    path = make_network()
    network = onnx.load(path)
    [name] = [each for each in network.metadata_props if each.key == "rilievo.name"]
    name.value = "one\ntwo\x1b[31m"
    onnx.save(network, path)
    assert load_model(path).card.name == r"one\ntwo\x1b[31m"
    for text in ("", "x" * 5000):
        name.value = text
        onnx.save(network, path)
        with pytest.raises(
            ModelError, match=f"name must have 1 to 4096 characters, got {len(text)}"
        ):
            load_model(path)


def test_an_output_whose_name_is_no_text_is_one_line(make_network: MakeNetwork) -> None:
    path = make_network()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"depth", b"\xffepth"))
    assert path.read_bytes() != whole
    with pytest.raises(ModelError, match="not valid UTF-8"):
        load_model(path)


@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_weights_in_another_file_which_no_hash_covers_are_refused(
    make_network: MakeNetwork, place: str
) -> None:
    path = make_network()
    network = onnx.load(path)
    tensor = network.graph.initializer.add()
    tensor.CopyFrom(onnx.helper.make_tensor("elsewhere", onnx.TensorProto.FLOAT, [1], [1.0]))
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    path.write_bytes(network.SerializeToString())
    with pytest.raises(ModelError, match="its weights are in another file"):
        load_model(path)


def test_a_pipe_is_not_waited_for_and_an_empty_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "empty.onnx").touch()
    for name, words in (("pipe", "is a pipe"), ("empty", "is empty")):
        for opened in (load_model, has_rilievo_metadata):
            with pytest.raises(ModelError, match=words):
                opened(tmp_path / f"{name}.onnx")
