"""Results made again from kept answers: the bytes of a fresh run, without a network."""

import hashlib
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
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

NAME = "rilievo/small"


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
    for option in (["--fov", "60"], ["-m", "rilievo/small"], ["--flip"]):
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
        sky=rng.random(shape, np.float32),
        camera=Camera(
            K=np.array([[500 / 3, 0, 7.1], [0, 501 / 3, 6], [0, 0, 1]]),
            source=CameraSource.PREDICTED,
        ),
    )
    path = tmp_path / "one.answer"
    with replacing(path) as part, part.open("wb") as file:
        write_inference(inference, file)
    found = read_inference(path)
    for name in ("depth", "normals", "sky"):
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


def changed(results: Path, *path: str, value: object) -> Path:
    """Change one value of the JSON of a result."""
    file = results / "photo.json"
    about = inner = json.loads(file.read_text())
    for each in path[:-1]:
        inner = inner[each]
    inner[path[-1]] = value
    file.write_text(json.dumps(about))
    return file


@pytest.mark.parametrize("name", ["markers", "camera_height"])
@pytest.mark.parametrize("value", ["x", "1,2"])
def test_a_number_of_a_result_that_is_none_is_one_line(
    name: str, value: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(results, "run", name, value=value)
    assert predict(results, "--save", "npy") == 1
    line = only_failure(capsys)
    assert f"photo.json: its {name} is '{value}', expected a number" in line


@pytest.mark.parametrize("named", ["x" * 5000, "..", "pipe"], ids=["long", "folder", "pipe"])
def test_a_photograph_of_a_result_that_cannot_be_is_one_short_line(
    named: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(results / "pipe")
    changed(results, "answer", "photo", value=named)
    assert predict(results, "--save", "npy") == 1
    line = only_failure(capsys)
    assert "photo" in line
    assert "defect" not in line


@pytest.mark.parametrize(
    "content",
    [
        lambda text: text.replace('"photo.answer"', '"/etc/passwd"'),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "\0" * len(text),
        lambda text: text.replace('"width":', '"width": "x", "w":'),
    ],
)
@pytest.mark.parametrize("others", [False, True])
def test_a_broken_json_is_named_and_its_pictures_are_not_predicted(
    content: Callable[[str], str],
    others: bool,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if others:
        Image.open(results / "photo.depth.png").convert("RGB").save(tmp_path / "second.png")
        assert predict(tmp_path / "second.png", "-m", NAME, "-o", results) == 0
    capsys.readouterr()
    file = results / "photo.json"
    file.write_text(content(file.read_text()))
    before = files(results)
    assert predict(results, "-o", tmp_path / "again", "--save", "npy") == (1 if others else 2)
    line = only_failure(capsys)
    assert "photo.json: " in line
    assert files(results) == before
    found = [each.name for each in tmp_path.glob("again/*")]
    assert sorted(found) == (["second.answer", "second.depth.npy", "second.json"] if others else [])


def test_a_json_of_others_beside_a_photograph_is_none_of_ours(tmp_path: Path, photo: Path) -> None:
    for name, text in (("photo.json", "{'python': 1}"), ("other.json", '{"a": 1}')):
        (tmp_path / name).write_text(text)
    assert predict(tmp_path, "-m", NAME, "-o", tmp_path / "results") == 0
    assert (tmp_path / "results" / "photo.depth.png").exists()


def only_failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The line about the one result that failed; there is no other beside the summary's."""
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith(("failed: ", "rilievo: "))]
    [failure] = {line.partition(": ")[2] for line in told}
    return failure


def bomb(path: Path, size: int, *names: str, header: bool = True) -> None:
    """Write an archive with arrays of zeros that unpack to so many bytes each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if header:
                    about = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
                    np.lib.format.write_array_header_1_0(file, about)
                for _ in range(size // 2**20):
                    file.write(bytes(2**20))


@pytest.mark.parametrize("name", ["depth", "valid", "lens", "depth_shape"])
@pytest.mark.parametrize("header", [True, False])
def test_an_answer_that_unpacks_to_too_much_is_refused_before_it_is(
    name: str, header: bool, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = results / "photo.answer"
    bomb(kept, 256 * 2**20, name, header=header)
    for key, value in (
        ("bytes", kept.stat().st_size),
        ("sha256", hashlib.sha256(kept.read_bytes()).hexdigest()),
    ):
        changed(results, "answer", key, value=value)
    tracemalloc.start()
    try:
        assert predict(results, "--save", "npy") == 1
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "photo.answer: not the answer of a network, or broken" in capsys.readouterr().err
    assert most < 64 * 2**20


def test_an_archive_of_results_is_bounded_too(results: Path) -> None:
    bomb(results / "photo.npz", 1400 * 2**20, "about")
    with pytest.raises(InputError, match=r"'about.npy' unpacks to 1468.* MB"):
        rilievo.read_prediction(results / "photo.npz")
