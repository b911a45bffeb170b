"""One depth at every door: each way to predict a photograph gives the same numbers."""

import json
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.models.base import Model
from rilievo.predicting.options import RECORDS
from rilievo.schema.fields import Interface, option_names
from rilievo.serving.browser.folder import write_page
from support.browser import COARSE, chromium
from support.odd_files import ODD_FILES, write_odd_files
from support.static_host import Visitor, hosted

NAME = "rilievo/small"
PATIENCE = 60.0
OF_LOADING = {"image", "model", "quality", "device", "engine", "precision", "trust_code"}
"""Arguments of ``rilievo.predict`` that a model, being loaded, does not take."""
Depth = np.ndarray
"""Numbers of a depth map, NaN where there is none."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*uniform border:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*transparent pixels:UserWarning"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return write_odd_files(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def model() -> Model:
    return rilievo.load_model(NAME)


def numbers(prediction: rilievo.Prediction) -> Depth:
    assert prediction.made_by.model == NAME
    depth = prediction.depth
    return np.where(depth.valid, depth.values, np.float32(np.nan))


def predicted(path: Path) -> Depth:
    """Predict what all others must be equal to."""
    return numbers(rilievo.predict(path, model=NAME))


def pillow(path: Path) -> Depth:
    with Image.open(path) as image:
        return numbers(rilievo.predict(image, model=NAME))


def opened(path: Path) -> Depth:
    with path.open("rb") as file:
        return numbers(rilievo.predict(file, model=NAME))


def of_pixels(path: Path) -> Depth:
    photo = rilievo.read_photo(path)
    pixels = photo.pixels
    if photo.transparent is not None:
        alpha = np.where(photo.transparent, np.uint8(0), np.uint8(255))
        pixels = np.dstack([pixels, alpha])
    return numbers(rilievo.predict(pixels, model=NAME))


def piped(path: Path) -> Depth:
    answer = rilievo.pipeline("depth-estimation", model=NAME)(path)
    depth = np.asarray(answer["predicted_depth"])
    return np.where(depth == 0, np.float32(np.nan), depth)


def commanded(path: Path, save: str) -> Depth:
    folder = path.parent / f"of-{save.replace(',', '-')}"
    command = ["predict", str(path), "-m", NAME, "-q", "-o", str(folder), "--save", save]
    assert main(command) == 0
    return np.load(folder / f"{path.stem}.depth.npy")


PYTHON_DOORS: Mapping[str, Callable[[Path, Any], Depth]] = {
    "bytes": lambda path, model: numbers(rilievo.predict(path.read_bytes(), model=NAME)),
    "open file": lambda path, model: opened(path),
    "Pillow": lambda path, model: pillow(path),
    "array": lambda path, model: of_pixels(path),
    "a list": lambda path, model: numbers(rilievo.predict([path], model=NAME)[0]),
    "model()": lambda path, model: numbers(model(path)),
    "model.predict": lambda path, model: numbers(model.predict([path])[0]),
    "pipeline": lambda path, model: piped(path),
    "command line": lambda path, model: commanded(path, "npy"),
    "command line, with the photograph": lambda path, model: commanded(path, "npy,ply,panel"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith(("turned", "large")))
        for name in ODD_FILES
    ],
)
def test_every_door_of_python_gives_the_same_depth(
    name: str, files: Mapping[str, Path], model: Any
) -> None:
    expected = predicted(files[name])
    for door, depth_of in PYTHON_DOORS.items():
        np.testing.assert_array_equal(depth_of(files[name], model), expected, err_msg=door)


OPTIONS: tuple[Mapping[str, Any], ...] = (
    {"trim": False},
    {"flip": True},
    {"tile": 128},
    {"camera": 400, "known": [(240, 220, 2.0)]},
    {"fov": 60.0, "known": [(100, 200, 300, 220, 0.2)]},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_model_takes_the_options_of_predict(
    options: Mapping[str, Any], files: Mapping[str, Path], model: Any
) -> None:
    path = files["barred.png"]
    expected, plain = rilievo.predict(path, model=NAME, **options), predicted(path)
    for prediction in (model(path, **options), model.predict(path, **options)):
        assert prediction.camera == expected.camera
        assert prediction.calibration == expected.calibration
        np.testing.assert_array_equal(numbers(prediction), numbers(expected))
    assert not np.array_equal(numbers(expected), plain, equal_nan=True)


def test_the_arguments_of_a_model_are_those_of_predict() -> None:
    of_predict = signature(rilievo.predict).parameters
    offered = {name for kind in RECORDS.values() for name in option_names(kind, Interface.PYTHON)}
    assert {*of_predict} - OF_LOADING == offered - OF_LOADING


def test_the_raw_answer_of_a_network_has_a_name_of_its_own(
    files: Mapping[str, Path], model: Any, type_errors: tuple[type[Exception], ...]
) -> None:
    [raw] = model.predict_raw([files["barred.png"]])
    assert raw.depth.valid.all()
    plain = rilievo.predict(files["barred.png"], model=NAME, trim=False)
    np.testing.assert_array_equal(numbers(raw), numbers(plain))
    with pytest.raises((TypeError, *type_errors)) as refused:
        model.predict_raw(files["barred.png"])
    assert isinstance(refused.value, type_errors) or "predict_raw([image])" in str(refused.value)


@pytest.mark.parametrize("given", [np.zeros((64, 64, 3), np.uint8), "photo.jpg", [b"x"]])
def test_what_infer_cannot_take_is_told_what_to_call(
    given: Any, model: Any, type_errors: tuple[type[Exception], ...]
) -> None:
    with pytest.raises((TypeError, *type_errors)) as refused:
        model.infer(given)
    assert isinstance(refused.value, type_errors) or "model(image)" in str(refused.value)


def test_the_server_gives_the_depth_of_python(files: Mapping[str, Path], tmp_path: Path) -> None:
    serve_process = pytest.importorskip("support.serve_process")
    pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
    with serve_process.serve_process(tmp_path) as server:
        for name, path in files.items():
            content = asked(f"{server.address}v1/predict?save=npy", path.read_bytes())
            found = np.load(BytesIO(content))
            np.testing.assert_array_equal(found, predicted(path), err_msg=name)
        said = json.loads(asked(f"{server.address}v1/predict", files["grey.png"].read_bytes()))
        assert said["made_by"]["model"] == NAME
        check_stream(f"ws://127.0.0.1:{server.port}/v1/stream?frames=all", files)


def asked(address: str, body: bytes) -> bytes:
    with urlopen(Request(address, data=body), timeout=PATIENCE) as answer:
        return answer.read()


def check_stream(address: str, files: Mapping[str, Path]) -> None:
    client = pytest.importorskip("websockets.sync.client")
    with client.connect(address) as websocket:
        for name in ("grey.png", "portrait.png", "turned-6.png"):
            websocket.send(files[name].read_bytes())
            said, content = json.loads(websocket.recv(PATIENCE)), websocket.recv(PATIENCE)
            assert said["model"] == NAME
            np.testing.assert_array_equal(np.load(BytesIO(content)), predicted(files[name]))


def test_a_stream_of_frames_gives_the_depth_of_photographs(
    files: Mapping[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    clips = pytest.importorskip("support.clips")
    pixels = rilievo.read_photo(files["barred.png"]).pixels
    clips.write_clip(tmp_path / "clip.mp4", clips.Clip(pictures=[pixels]))
    for options in ({}, {"trim": True}):
        [prediction] = rilievo.stream(tmp_path / "clip.mp4", model=NAME, **options)
        assert prediction.photo is not None
        seen = prediction.photo.pixels
        expected = rilievo.predict(seen, model=NAME, **{"trim": False, **options})
        np.testing.assert_array_equal(numbers(prediction), numbers(expected))


AS_PILLOW = {name for name in ODD_FILES if name not in {"inks.jpg", "large.jpg", "deep.png"}}
"""Files that a browser decodes to the same pixels as Pillow."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("barred.png", "turned-6.png"), pytest.param(sorted(AS_PILLOW), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_the_page_gives_the_depth_of_python(
    names: Sequence[str], files: Mapping[str, Path], tmp_path: Path
) -> None:
    write_page(tmp_path / "site")
    with chromium() as browser, hosted(tmp_path / "site") as address:
        visitor = Visitor(browser.new_context(**COARSE), address)
        visitor.choose(NAME)
        for name in names:
            expected = predicted(files[name])
            visitor.give(files[name])
            depth, valid = visitor.depth(tmp_path)
            np.testing.assert_array_equal(valid, ~np.isnan(expected), err_msg=name)
            off = np.abs(depth[valid] / expected[valid] - 1) > 1e-3
            # A pixel in doubt at an edge may fall to the other side.
            assert off.mean() <= 1e-4, name
        assert NAME in visitor.page.inner_text("body")
