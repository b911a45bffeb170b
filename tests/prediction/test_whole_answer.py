"""An npz is the whole answer: of what is read from it, every other file is made as before."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.photographs.photo import read_photo
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import is_output_installed
from rilievo.records.depth_map import DepthKind
from support.affine_answers import AffineAnswer

NAME = "rilievo/small"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph with a black bar, which is trimmed, and a part without any pixel."""
    path = tmp_path / "photo.png"
    pixels = np.asarray(Image.fromarray(skimage.data.coffee()).resize((240, 160)))
    alpha = np.full((190, 240, 1), 255, np.uint8)
    alpha[60:90, 100:130] = 0
    pixels = np.pad(pixels, ((30, 0), (0, 0), (0, 0)))
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(path)
    return path


def predict(*arguments: object) -> int:
    return main(["predict", "-q", *map(str, arguments)])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def outputs_of(prediction: Prediction) -> list[str]:
    """All outputs that can be made of a prediction here."""
    has = {"depth": "depth_or_none"}
    return [
        name
        for name, output in OUTPUTS.items()
        if is_output_installed(name)
        and all(prediction.has(has.get(need, need)) for need in output.needs)
    ]


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize(
    "options",
    [
        {"model": NAME, "known": [(150, 130, 2.35)], "camera": "300"},
        {"model": "rilievo/base", "confidence": "mirror"},
        {"model": AffineAnswer(DepthKind.AFFINE_INVERSE)},
        {"model": NAME, "projection": "fisheye:150"},
    ],
    ids=["metres", "default", "anchored", "fisheye"],
)
def test_every_file_is_made_of_an_npz_as_of_the_prediction(
    options: dict[str, Any], photo: Path, tmp_path: Path
) -> None:
    first = rilievo.predict(photo, **options)
    saving = SaveOptions(surface_points=5000)
    first.save(tmp_path / "alone" / "photo", "npz", saving)
    read = rilievo.read_prediction(tmp_path / "alone" / "photo.npz")
    assert repr(read) == repr(first)
    assert read.notes == first.notes
    names = outputs_of(first)
    assert {"ply", "colour", "glb", "html", "npz", "turn"} <= {*names} == {*outputs_of(read)}
    if "known" not in options:
        names = [name for name in names if "turn" not in name]  # slow, and made of the same mesh
    first.save(tmp_path / "one" / "photo", names, saving)
    read.save(tmp_path / "other" / "photo", names, saving)
    one, other = files(tmp_path / "one"), files(tmp_path / "other")
    assert [name for name in one if one[name] != other[name]] == []
    assert one.keys() == other.keys()


def test_an_npz_of_a_run_says_what_its_json_says(photo: Path, tmp_path: Path) -> None:
    assert predict(photo, "-m", NAME, "-o", tmp_path / "out", "--save", "npz,ply") == 0
    beside = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert beside["notes"]
    with np.load(tmp_path / "out" / "photo.npz") as arrays:
        inside = json.loads(arrays["about"].item())
        assert arrays["kind"].item() == inside["depth"]["kind"]
        assert arrays["unit"].item() == inside["depth"]["unit"]
        np.testing.assert_array_equal(arrays["photo"], read_photo(photo).pixels)
    assert {**inside, "files": ""} == {**beside, "files": ""}
    (tmp_path / "out" / "photo.json").unlink()
    read = rilievo.read_prediction(tmp_path / "out" / "photo.npz")
    assert read.notes == tuple(beside["notes"])
    read.save(tmp_path / "again" / "photo.ply")
    points = [
        (tmp_path / folder / "photo.ply").read_bytes().partition(b"end_header")[2]
        for folder in ("out", "again")
    ]
    assert points[0] == points[1]  # Before them stand the options of the run.


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("photo", np.zeros((1, 2, 3), np.uint8)),
        ("photo", np.zeros((190, 240, 3))),
        ("transparent", np.zeros((190, 240), np.uint8)),
        ("photo", np.array(["../../secret.png"])),
    ],
)
def test_a_photograph_inside_that_is_none_is_one_line(
    name: str, array: np.ndarray, photo: Path, tmp_path: Path
) -> None:
    rilievo.predict(photo, model=NAME, alpha="keep").save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        np.savez(tmp_path / "y.npz", **{**arrays, name: array})  # pyright: ignore
    with pytest.raises(InputError, match=f"y.npz: is damaged \\({name} is") as refused:
        rilievo.read_prediction(tmp_path / "y.npz")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_an_npz_that_was_cut_is_one_line(share: float, photo: Path, tmp_path: Path) -> None:
    rilievo.predict(photo, model=NAME, alpha="keep").save(tmp_path / "x.npz")
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(content[: round(share * len(content))])
    with pytest.raises(InputError, match=r"x.npz: is damaged") as refused:
        rilievo.read_prediction(tmp_path / "x.npz")
    assert "\n" not in str(refused.value)


def test_a_folder_of_results_alone_says_where_other_formats_come_from(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photo, "-m", NAME, "-o", tmp_path / "out") == 0
    assert predict(tmp_path / "out", "--save", "npy") == 2
    assert "rilievo.read_prediction('photo.npz')" in capsys.readouterr().err


@pytest.fixture
def results(photo: Path, tmp_path: Path) -> Path:
    assert predict(photo, "-m", NAME, "-o", tmp_path / "results") == 0
    return tmp_path / "results"


@pytest.mark.parametrize(
    "content",
    [
        lambda text: text.replace('"photo.depth.png"', '"/etc/passwd"'),
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
        Image.open(results / "photo.depth.png").convert("RGB").save(results / "second.png")
    capsys.readouterr()
    file = results / "photo.json"
    file.write_text(content(file.read_text()))
    before = files(results)
    assert predict(results, "-m", NAME, "-o", tmp_path / "again") == (1 if others else 2)
    line = only_failure(capsys)
    assert "photo.json: " in line
    assert files(results) == before
    names = sorted(path.name for path in tmp_path.glob("again/*"))
    assert names == (["second.depth.png", "second.json"] if others else [])


def test_a_json_of_others_beside_a_photograph_is_none_of_ours(tmp_path: Path, photo: Path) -> None:
    for name, text in (("photo.json", "{'python': 1}"), ("other.json", '{"a": 1}')):
        (tmp_path / name).write_text(text)
    assert predict(tmp_path, "-m", NAME, "-o", tmp_path / "results") == 0
    assert (tmp_path / "results" / "photo.depth.png").exists()


def only_failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The line about the one result that failed; there is no other beside the summary's."""
    lines = capsys.readouterr().err.splitlines()
    failures = [line for line in lines if line.startswith(("failed: ", "rilievo: "))]
    [failure] = {line.partition(": ")[2] for line in failures}
    return failure


def bomb(path: Path, size: int, name: str) -> None:
    """Write an archive with an array of zeros that unpacks to so many bytes."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as file,
    ):
        about = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(file, about)
        for _ in range(size // 2**20):
            file.write(bytes(2**20))


@pytest.mark.slow
def test_an_archive_of_results_is_bounded_too(results: Path) -> None:
    bomb(results / "photo.npz", 1400 * 2**20, "about")
    with pytest.raises(InputError, match=r"'about.npy' unpacks to 1468.* MB"):
        rilievo.read_prediction(results / "photo.npz")
