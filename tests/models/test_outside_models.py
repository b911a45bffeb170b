"""Models of other packages: what the guide shows, installed, and what is refused."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.datasets import DATASETS, find_dataset
from rilievo.errors import ModelError, OptionError
from rilievo.evaluate.benchmark import Task
from rilievo.evaluate.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluate.metrics import find_metric
from rilievo.io.output_table import OUTPUTS
from rilievo.models import MODELS, load_model
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.outside import OutsideModel, found_outside, outside_model
from rilievo.serve.offered import offered
from rilievo.serve.options import ServeOptions
from rilievo.types import DepthKind

GUIDE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
PART = GUIDE.partition("## A model\n")[2]
OTHERS = """
from dataclasses import replace
from rilievo.datasets.rendered import Rendered
from rilievo.evaluate.benchmarks import BENCHMARKS
from rilievo.io.facts import FileFacts
from rilievo.io.output_table import Need, Output
from rilievo.metrics.depth import DEPTH_METRICS
from rilievo.models.outside import outside_model
from lab_depth import CARD

BENCHMARK = BENCHMARKS["depth"]
CLOSE = replace(DEPTH_METRICS["abs_rel"], name="close")
NO_CARD = print

class Ours(Rendered):
    pass

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
[rilievo.datasets]
lab-scans = lab_others:Ours
[rilievo.benchmarks]
lab-benchmark = lab_others:BENCHMARK
[rilievo.metrics]
close = lab_others:CLOSE
[rilievo.outputs]
shape = lab_others:SHAPE
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with one that offers something of every kind."""
    folder = tmp_path / "site"
    facts = folder / "lab_depth-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-depth\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    [code, *_] = re.findall(r"^```python\n(.*?)^```", PART, re.M | re.S)
    (folder / "lab_depth.py").write_text(code)
    (folder / "lab_others.py").write_text(OTHERS)
    (folder / "lab_broken.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    # What was found among installed packages is remembered, and these are gone afterwards.
    for table in (BENCHMARKS, DATASETS, MODELS, OUTPUTS):
        monkeypatch.setattr(table, "_found", {})
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save("photo.jpg")
    yield folder
    for name in ("lab_depth", "lab_others", "lab_broken"):
        sys.modules.pop(name, None)


def test_the_guides_model_predicts_by_its_place_and_by_its_installed_name(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [command] = re.findall(r"^rilievo (predict .*)$", PART, re.M)
    assert main(command.split()) == 0
    assert "lab/floor" not in command
    [section] = re.findall(r"^```toml\n(.*?)^```", PART, re.M | re.S)
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
def test_everything_else_is_found_by_its_installed_name(site: Path) -> None:
    assert find_dataset("lab-scans").__name__ == "Ours"
    assert find_benchmark("lab-benchmark").name == "lab-benchmark"
    assert find_metric(Task.DEPTH, "close").name == "close"
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
    assert main(["predict", "photo.jpg", "-m", "lab_depth:load", "-o", "out", *options]) > 0
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert "defect of rilievo" not in said


def test_commands_and_servers_take_a_model_by_its_place(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "lab_depth:load"]) == 0
    assert "lab_depth:load" in capsys.readouterr().out
    found = offered(ServeOptions(model="lab_depth:load"))
    assert found.load(found.named("")).card.name == found.shown("") == "lab_depth:load"


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

    found = found_outside(load, "test/one")
    assert found.load is not None

    made = found.load(LoadOptions())
    assert len(made.weights_sha256) == 64
    weights.write_bytes(b"others")
    assert found.load(LoadOptions()).weights_sha256 != made.weights_sha256
