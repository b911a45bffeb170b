"""Results made again from kept answers: the bytes of a fresh run, without a network."""

import json
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.files.atomic import replacing
from rilievo.models.base import Inference
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.predicting.answers.inference_file import read_inference, write_inference
from rilievo.predicting.answers.keeping import MOST_PHOTOGRAPHS
from rilievo.types import Camera, CameraSource

NAME = "rilievo/tiny"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph with a black bar, which is trimmed."""
    path = tmp_path / "photo.png"
    pixels = np.asarray(Image.fromarray(skimage.data.coffee()).resize((300, 200)))
    Image.fromarray(np.pad(pixels, ((30, 30), (0, 0), (0, 0)))).save(path)
    return path


@pytest.fixture
def results(photo: Path, tmp_path: Path) -> Path:
    """Results with which their answer was kept."""
    assert predict(photo, "-m", NAME, "-o", tmp_path / "results") == 0
    return tmp_path / "results"


def predict(*arguments: object) -> int:
    return main(["predict", "-q", *map(str, arguments)])


def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def infer(*_: object) -> None:
        raise AssertionError("a network ran")

    monkeypatch.setattr(OnnxModel, "infer", infer)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "options",
    [
        ("--save", "colour,npz,glb,normals", "--known", "150,130,2.35"),
        ("--save", "colour,ply,html,panel", "--known-length", "60,90,200,90,a4"),
        ("--save", "colour,confidence,ply", "--colour-map", "turbo"),
    ],
    ids=lambda options: options[1],
)
def test_the_bytes_are_those_of_a_fresh_run(
    options: Sequence[str],
    photo: Path,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh = tmp_path / "fresh"
    assert predict(photo, "-m", NAME, "-o", fresh, *options) == 0
    without_networks(monkeypatch)
    assert predict(results, *options) == 0
    assert files(results) == files(fresh)
    assert rilievo.verify(results).is_whole


def test_other_colours_replace_those_that_are_there_and_nothing_else(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_networks(monkeypatch)
    before = files(results)
    assert predict(results, "--save", "npy") == 0
    assert predict(results, "--colour-map", "turbo") == 0
    after = files(results)
    assert {name for name in before if before[name] != after[name]} == {
        "photo.depth.png",
        "photo.json",
    }
    assert after.keys() - before.keys() == {"photo.depth.npy"}


def test_metres_stay_and_all_files_follow_them(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_networks(monkeypatch)
    assert predict(results, "--save", "npy") == 0
    unitless = np.load(results / "photo.depth.npy")
    assert predict(results, "--known", "150,130,2.35") == 0
    metres = np.load(results / "photo.depth.npy")
    assert metres[130, 150] == pytest.approx(2.35, rel=0.02)
    assert metres[130, 150] != pytest.approx(unitless[130, 150], rel=0.01)
    assert predict(results, "--save", "npz") == 0
    with np.load(results / "photo.npz") as arrays:
        np.testing.assert_array_equal(arrays["depth"][130, 150], metres[130, 150])


def test_another_folder_takes_the_results(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_networks(monkeypatch)
    before = files(results)
    other = tmp_path / "deep/other"
    assert predict(results, "-o", other, "--save", "glb") == 0
    assert files(results) == before
    assert {*files(other)} == {"photo.glb", "photo.json", "photo.answer"}
    assert predict(other, "--save", "npy") == 0


@pytest.mark.parametrize(
    ("mishap", "words"),
    [
        ("moved", "its photograph is not at"),
        ("changed", "has changed since"),
        ("answer", "differs from what was written"),
    ],
)
def test_what_is_no_longer_there_is_one_line(
    mishap: str,
    words: str,
    photo: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if mishap == "moved":
        photo.rename(photo.with_name("elsewhere.png"))
    elif mishap == "changed":
        Image.new("RGB", (300, 260)).save(photo)
    else:
        content = (results / "photo.answer").read_bytes()
        (results / "photo.answer").write_bytes(content[:-1] + b"!")
    before = files(results)
    assert predict(results, "--save", "npy") == 1
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert words in line
    assert files(results) == before


def test_options_of_the_network_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--fov", "60"], ["-m", "rilievo/small"], ["--sharp", "off"], ["--flip"]):
        assert predict(results, *option) == 2
        assert option[0][:3] in capsys.readouterr().err


def test_no_answer_is_kept_where_it_is_off_or_there_are_too_many(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photo, "-m", NAME, "-o", tmp_path / "off", "--keep-answers", "off") == 0
    assert {*files(tmp_path / "off")} == {"photo.depth.png", "photo.json"}
    assert predict(tmp_path / "off", "--save", "npy") == 2
    assert "no photograph" in capsys.readouterr().err
    many = tmp_path / "many"
    many.mkdir()
    for number in range(MOST_PHOTOGRAPHS + 1):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(many / f"{number}.png")
    assert main(["predict", str(many), "-m", NAME, "-o", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").glob("*.answer"))
    assert "--keep-answers on" in capsys.readouterr().err


def test_answers_are_stated_and_left_out_of_inputs(results: Path, photo: Path) -> None:
    facts = json.loads((results / "photo.json").read_text())["answer"]
    assert facts["file"] == "photo.answer"
    assert (results / facts["photo"]).resolve() == photo.resolve()
    (results / "photo.answer").unlink()
    assert [str(fault) for fault in rilievo.verify(results).faults]


def test_an_answer_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = 12, 17
    depth = np.exp(rng.normal(size=shape)).astype(np.float32)
    depth[3, 4], depth[5, 6] = np.float32(np.nan), np.float32(-0.0)
    inference = Inference(
        depth=depth,
        valid=rng.random(shape) > 0.5,
        normals=rng.normal(size=(3, *shape)).astype(np.float32),
        steps=rng.random(shape, np.float32),
        camera=Camera(
            K=np.array([[500 / 3, 0, 7.1], [0, 501 / 3, 6], [0, 0, 1]]),
            source=CameraSource.PREDICTED,
        ),
    )
    path = tmp_path / "one.answer"
    with replacing(path) as part, part.open("wb") as file:
        write_inference(inference, file)
    found = read_inference(path)
    for name in ("depth", "normals", "steps"):
        assert getattr(found, name).tobytes() == getattr(inference, name).tobytes()
    np.testing.assert_array_equal(found.valid, inference.valid)
    assert found.camera == inference.camera
    assert found.confidence is None


@pytest.mark.parametrize("content", [b"", b"PK", b"no answer at all"])
def test_a_file_that_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="broken"):
        read_inference(content, "one.answer")


def test_a_shape_that_lies_is_refused() -> None:
    inference = Inference(depth=np.ones((4, 4), np.float32))
    with BytesIO() as file:
        write_inference(inference, file)
        content = file.getvalue()
    with np.load(BytesIO(content)) as arrays:
        packed = arrays["depth"]
    with BytesIO() as file:
        np.savez(file, depth=packed, depth_shape=np.array([10**6, 10**6]))
        lying = file.getvalue()
    with pytest.raises(InputError, match="broken"):
        read_inference(lying, "one.answer")


def test_a_photograph_that_was_copied_anew_is_the_same_and_a_changed_one_is_not(
    photo: Path, results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(results)
    os.utime(photo, (1, 1))
    with monkeypatch.context() as without:
        without_networks(without)
        assert predict(photo, "-m", NAME, "-o", results) == 0
        assert files(results) == before
        # An output is added to those that are there, from the kept answer.
    assert predict(photo, "-m", NAME, "-o", results, "--save", "npy") == 0
    assert before.items() <= {**files(results), "photo.json": before["photo.json"]}.items()
    content = bytearray(photo.read_bytes())
    content[-1] ^= 1  # in the sum of the last, empty chunk; the size stays
    photo.write_bytes(content)
    assert predict(photo, "-m", NAME, "-o", results) == 1
    assert "another photograph, or one that was changed or copied since" in capsys.readouterr().err


def test_without_its_answer_a_photograph_copied_anew_is_another(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-m", NAME, "-o", tmp_path / "results", "--keep-answers", "off")
    assert predict(photo, *options) == 0
    os.utime(photo, (1, 1))
    assert predict(photo, *options) == 1
    assert "was changed or copied since" in capsys.readouterr().err


@pytest.mark.parametrize(
    "camera", ["secret.txt", "./secret.txt", "/etc/passwd", "1,2,x", "9" * 400]
)
def test_the_camera_of_a_result_is_of_numbers_and_no_file(
    results, tmp_path, monkeypatch, capsys, camera
):
    monkeypatch.chdir(tmp_path)
    Path("secret.txt").write_text("secretive 300 300 150 130\n")
    path = results / "photo.json"
    stated = json.loads(path.read_text())
    stated["run"]["camera"] = camera
    path.write_text(json.dumps(stated))
    assert predict(results, "--save", "npy") != 0
    told = capsys.readouterr().err
    assert "camera" in told
    assert "photo.json" in told
    assert "secretive" not in told
    assert "root:" not in told
