"""Models of other packages: what the guide shows, installed, and what is refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import ModelError, OptionError
from rilievo.models import MODELS, load_model
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.outside import OutsideModel, object_as_model, outside_model
from rilievo.prediction.output import OUTPUTS
from rilievo.records.depth_map import DepthKind
from support.lab_package import GUIDE, installed_lab

OTHERS = """
from dataclasses import replace
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.prediction.output import Need, Output
from rilievo.models.outside import outside_model
from lab_depth import CARD

NO_CARD = print

@outside_model(CARD)
def bad_load(options):
    raise ZeroDivisionError("at loading")

@outside_model(CARD)
def bad_answer(options):
    return lambda photo: 1 / 0

def write(job, depth):
    job.path.write_text(" ".join(map(str, depth.values.shape)))
    return FileFacts(file=job.file, output=job.output, holds="shape")

SHAPE = Output(suffix=".shape.txt", summary="height and width", needs=(Need.DEPTH,), writer=write)
BAD = replace(SHAPE, writer=lambda job, depth: 1 / 0)
NONE = replace(SHAPE, writer=lambda job, depth: None)
"""
POINTS = """
[rilievo.models]
lab/floor = lab_depth:load
lab/no-card = lab_others:NO_CARD
lab/broken = lab_broken:load
rilievo/small = lab_depth:load
[rilievo.outputs]
shape = lab_others:SHAPE
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with one that offers models and an output."""
    modules = {"lab_others": OTHERS, "lab_broken": "import no_such_package"}
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(tmp_path / "photo.jpg")
    with installed_lab(tmp_path / "site", POINTS, modules, (MODELS, OUTPUTS)) as folder:
        monkeypatch.chdir(tmp_path)
        yield folder


def test_the_guides_model_predicts_by_its_place_and_by_its_installed_name(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [command] = re.findall(r"^rilievo (predict .* --model lab_depth:load .*)$", GUIDE, re.M)
    assert main(command.split()) == 0
    assert "lab/floor" not in command
    [section] = re.findall(r"^```toml\n(\[project\.entry.*?)^```", GUIDE, re.M | re.S)
    assert '"lab/floor" = "lab_depth:load"' in section
    assert main(["predict", "photo.jpg", "-m", "lab/floor", "--save", "npy", "-o", "named"]) == 0
    depth = np.load("named/photo.depth.npy")
    np.testing.assert_array_equal(depth, np.load("floor/photo.depth.npy"))
    assert depth.shape == (120, 160)
    assert depth[0, 0] > 3.9
    assert depth[-1, -1] < 1.1
    assert '"lab/floor"' in Path("named/photo.json").read_text()
    assert Path("floor/photo.ply").is_file()


def test_a_name_of_rilievo_s_own_comes_first(site: Path) -> None:
    assert load_model("rilievo/small", device="cpu").card.licence == "Apache-2.0"
    assert "lab/floor" in MODELS.all()


@pytest.mark.slow
def test_outputs_are_found_by_their_installed_name(site: Path) -> None:
    assert main(["predict", "photo.jpg", "--save", "shape", "-o", "shapes"]) == 0
    assert Path("shapes/photo.shape.txt").read_text() == "120 160"
    assert main(["predict", "photo.jpg", "--save", "colour,lab_others:SHAPE", "-o", "here"]) == 0
    assert {path.name for path in Path("here").iterdir()} >= {"photo.depth.png", "photo.shape.txt"}
    assert main(["predict", "photo.jpg", "--save", "all", "-o", "all"]) == 0
    assert not Path("all/photo.shape.txt").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lab/no-card", "without a card"),
        ("lab/broken", r"package lab-depth cannot be loaded.*no_such_package"),
        ("lab_depth:CARD", "without a card"),
        ("lab_depth:nothing", "has no attribute 'nothing'"),
        ("no_such_lab:load", "No module named 'no_such_lab'"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(site: Path, name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        load_model(name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-m", "lab_others:bad_load"], ["ZeroDivisionError: at loading", "lab_others.py, line"]),
        (["-m", "lab_others:bad_answer"], ["ZeroDivisionError", "lab_others.py, line"]),
        (["--save", "lab_others:BAD"], ["ZeroDivisionError", "lab_others.py, line"]),
        (["--save", "lab_others:NONE"], ["NoneType", "FileFacts"]),
    ],
)
def test_a_fault_of_the_users_code_is_said_to_be_there(
    site: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: list[str]
) -> None:
    model = [] if "-m" in options else ["-m", "lab_depth:load"]
    assert main(["predict", "photo.jpg", *model, "-o", "out", *options]) > 0
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert "bug in rilievo" not in said


def test_commands_take_a_model_by_its_place(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "lab_depth:load"]) == 0
    assert "lab_depth:load" in capsys.readouterr().out


def card(kind: DepthKind | None = DepthKind.METRIC) -> ModelCard:
    return ModelCard(name="test/one", summary="", kind=kind, licence="MIT")


def unchecked(**fields: np.ndarray) -> Inference:
    """An answer as it is made where nothing checks shapes, as in a user's program."""
    made = object.__new__(Inference)
    parts = ("depth", "valid", "normals", "confidence", "camera")
    for name in parts:
        object.__setattr__(made, name, fields.get(name))
    return made


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.ones((4, 4)), "returned a ndarray; expected an Inference"),
        (unchecked(depth=np.ones((1, 4, 4), np.float32)), r"expected \(height, width\)"),
        (unchecked(normals=np.ones((4, 4, 3), np.float32)), r"expected \(3, height, width\)"),
        (Inference(depth=-np.ones((4, 4), np.float32)), "values that are not positive"),
    ],
)
def test_answers_of_another_shape_are_refused(answer: object, words: str) -> None:
    model = OutsideModel(card(), lambda photo: answer, weights_sha256="0")  # pyright: ignore
    with pytest.raises(ModelError, match=words):
        model.predict_raw([np.zeros((32, 32, 3), np.uint8)])


def test_results_carry_the_hash_of_the_weights_that_are_named(tmp_path: Path) -> None:
    weights = tmp_path / "net.bin"
    weights.write_bytes(b"weights")

    @outside_model(card(), weights=weights)
    def load(options: LoadOptions) -> object:
        return lambda photo: Inference(depth=np.ones((2, 2), np.float32))

    model = object_as_model(load, "test/one")
    assert model.load is not None

    made = model.load(LoadOptions())
    assert len(made.weights_sha256) == 64
    weights.write_bytes(b"others")
    assert model.load(LoadOptions()).weights_sha256 != made.weights_sha256
