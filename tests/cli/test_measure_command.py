"""``rilievo measure`` from words to words: what it measures, prints and refuses."""

import json
from pathlib import Path

import pytest
import skimage
from PIL import Image

from rilievo.cli import main


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A desk-sized scene, small enough to be quick."""
    path = tmp_path_factory.mktemp("photo") / "motorcycle.png"
    image = Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize((320, 216))
    image.save(path)
    return str(path)


def test_a_known_length_measures_as_what_it_is(
    photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["100,150", "200,140", "--known-length", "100,150,200,140,1.2", "--fov", "50"]
    assert main(["measure", photo, *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["what"] == "length"
    assert said["value"] == pytest.approx(1.2, rel=1e-6)
    assert said["low"] <= 1.2 <= said["high"]
    assert said["calibration"]["method"] == "known lengths"
    assert said["calibration"]["asked"] == ["100,150,200,140,1.2"]


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["100,150", "200,140", "--known", "150,140,2"], "length: "),
        (["90,100", "200,100", "200,160", "--known", "150,140,2"], "area: "),
        (["90,100", "200,100", "--angle"], "angle: "),
        (
            ["90,100", "200,100", "200,160", "90,160", "--fits", "1x1x1mm", "--known", "150,140,2"],
            "fit: yes",
        ),
        (["90,100", "200,100", "200,160", "--volume", "--known", "150,140,2"], "volume: "),
    ],
)
def test_the_points_choose_what_is_measured(
    photo: str, words: list[str], begins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", photo, *words]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(begins)
    assert " to " in said.out
    assert "--fov" in said.err


def test_a_border_is_measured_only_without_trimming(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxed = Image.new("RGB", (320, 296))
    boxed.paste(Image.open(photo), (0, 40))
    boxed.save(tmp_path / "boxed.png")
    words = ["measure", str(tmp_path / "boxed.png"), "100,10", "200,10", "--known", "150,180,2"]
    assert main(words) == 2
    assert "without depth" in capsys.readouterr().err
    assert main([*words, "--trim", "off"]) == 0
    assert "uniform border" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "U,V"),
        (["1,2", "30,x"], "30,x"),
        (["1,2", "30,40"], "--known-length"),
        (["1,2", "30,400", "--known", "9,9,2"], "30,400"),
        (["1,2", "1,2", "--known", "9,9,2"], "same pixel"),
        (["1,2", "--angle"], "two points"),
        (["--distance", "1,2", "--frame", "1"], "only to a video"),
        (["--box", "1,2,30,40", "--frame", "1"], "points"),
        (["1,2", "30,40", "--volume", "--known", "9,9,2"], "three corners"),
        (["1,2", "30,40", "--fits", "1x1x1", "--known", "9,9,2"], "four corners"),
        (["1,2", "30,40", "3,50", "1,60", "--fits", "1x1", "--known", "9,9,2"], "three sides"),
        (["1,2", "30,40", "3,50", "1,60", "--fits", "1x1x1", "--volume"], "only one of them"),
        (["--box", "1,2,30,40", "--fits", "1x1x1"], "points"),
        (["1,2", "30,40", "3,50", "--volume", "--angle"], "only one of them"),
        (["1,2", "30,40", "3,50", "--volume", "--in-plane", "--known", "9,9,2"], "volumes"),
        (["1,2", "30,40", "3,50", "--volume", "--base", "1,x"], "1,x"),
        (["1,2", "30,40", "--base", "9,9", "--known", "9,9,2"], "add --volume"),
        (["--box", "1,2,30,40", "--base", "9,9"], "points"),
        (["1,2", "30,40", "--known", "points.csv"], "points.csv"),
        (["1,2", "30,40", "--known-length", "1,2,3"], "1,2,3"),
        (["1,2", "30,40", "--known-length", "1,2,30,40,a44"], "a4"),
        (["1,2", "30,40", "--known-length", "1,2,30,40,9.4e15"], "9.4e+15"),
        (["1,2", "30,40", "--known", "9,9,2", "--camera-height", "2"], "--camera-height"),
        (["1,2", "30,40", "--known-length", "1,2,30,40,2", "--camera-height", "2"], "height"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    photo: str, words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", photo, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert named in said.err


def test_a_folder_is_told_to_name_the_photograph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(tmp_path), "1,2", "30,40", "--known", "9,9,2"]) == 2
    assert capsys.readouterr().err.endswith(
        "is a folder; to measure at points, give a single photograph\n"
    )


def test_a_table_of_lengths_gives_metres_of_many_photographs(photo: str, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(Path(photo).read_bytes())
    table = tmp_path / "known.csv"
    table.write_text("file,u,v,u2,v2,metres\none.png,100,150,200,140,a4\ntwo.png,150,140,,,2\n")
    out = tmp_path / "out"
    words = [str(tmp_path / "one.png"), str(tmp_path / "two.png"), "--known", str(table)]
    assert main(["predict", *words, "-o", str(out), "--save", "npy", "--fov", "50"]) == 0
    methods = {
        path.stem: json.loads(path.read_text("utf-8"))["calibration"] for path in out.glob("*.json")
    }
    assert methods["one"]["method"] == "known lengths"
    assert methods["two"]["method"] == "known points"
    assert all(method["expected_error"] > 0 for method in methods.values())


def test_half_a_length_in_a_table_is_refused(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "known.csv"
    (tmp_path / "one.png").write_bytes(Path(photo).read_bytes())
    table.write_text("file,u,v,u2,v2,metres\none.png,100,150,200,,0.3\n")
    words = [str(tmp_path / "one.png"), "--known", str(table), "-o", str(tmp_path / "out")]
    assert main(["predict", *words]) == 2
    assert "line 2" in capsys.readouterr().err


def test_the_help_offers_a_table_of_known_points(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["measure", "--help"])
    known = (
        capsys.readouterr()
        .out.partition("--known U,V,METRES|FILE.csv")[2]
        .partition("--known-length")[0]
    )
    assert "column, row" in known
    assert "table" in known


def test_the_short_help_lists_everything_that_can_be_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["measure", "--help"])
    short_help = capsys.readouterr().out.partition("Examples:")[0]
    for flag in (
        "--fits",
        "--distance",
        "--height",
        "--height-above-plane",
        "--box",
        "--mask",
        "--angle",
        "--volume",
    ):
        assert f"\n      {flag} " in short_help
    assert "--json" in short_help
