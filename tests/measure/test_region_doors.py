"""Things in boxes by every door: command line, requests, assistants."""

import csv
import json
import shutil
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError
from rilievo.measure.measurement_records import region_cells
from rilievo.predicting.regions.region_runs import measure_regions
from rilievo.records.sample import Photo

BOX = (60.0, 40.0, 200.0, 170.0)
METRES = ["--camera-height", "1.0", "--fov", "50"]
KNOWN = ["--known", "150,140,2", "--fov", "50"]


def picture() -> Image.Image:
    return Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize((320, 216))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "bike.png"
    picture().save(path)
    return str(path)


@pytest.fixture(scope="module")
def prediction() -> rilievo.Prediction:
    return rilievo.predict(picture(), known=[(150, 140, 2)], fov=50)


def test_the_command_tells_what_python_does(
    photo: str, prediction: rilievo.Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ",".join(f"{number:g}" for number in BOX)
    expected = prediction.measure_box(BOX)
    assert main(["measure", photo, "--box", text, *KNOWN]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert main(["measure", photo, "--box", text, *KNOWN, "--json"]) == 0
    [thing] = json.loads(capsys.readouterr().out)["things"]
    assert thing["measured"]["width"]["value"] == pytest.approx(expected.width.value, rel=1e-6)
    assert thing["frame"] is None


def test_a_mask_counts_only_its_pixels(
    photo: str, prediction: rilievo.Prediction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((216, 320), np.uint8)
    mask[60:150, 80:180] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert main(["measure", photo, "--mask", str(tmp_path / "mask.png"), *KNOWN]) == 0
    assert capsys.readouterr().out == f"{prediction.measure_box(mask > 0)}\n"


def test_boxes_of_a_folder_are_one_table(
    photo: str,
    tmp_path: Path,
    prediction: rilievo.Prediction,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rilievo.cli.measure.predict", lambda photo, **options: prediction)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(Path(photo).read_bytes())
    rows = ["file,name,x1,y1,x2,y2", "a.png,bike,60,40,200,170", "b.png,wheel,60,90,140,170"]
    rows += ["b.png,bad,1,2,x,9", "b.png,out,900,900,990,990", "lost.png,bike,1,1,9,9"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    words = ["measure", str(folder), "--box", str(tmp_path / "boxes.csv")]
    assert main([*words, *METRES]) == 1
    said = capsys.readouterr()
    table = [*csv.DictReader(StringIO(said.out))]
    assert [(Path(row["file"]).name, row["name"]) for row in table] == [
        ("a.png", "bike"),
        ("b.png", "wheel"),
    ]
    assert all(float(row["distance_low"]) < float(row["distance"]) for row in table)
    assert "boxes.csv: line 4: " in said.err
    assert "no pixel of the picture" in said.err
    assert f"boxes.csv: the file names photographs that {folder} does not contain: lost" in said.err
    # A table of many photographs may be asked about one.
    main(["measure", str(folder / "a.png"), "--box", str(tmp_path / "boxes.csv"), *METRES])
    assert "lost" not in capsys.readouterr().err
    (folder / "deep").mkdir()
    (folder / "deep" / "a.png").write_bytes(Path(photo).read_bytes())
    main([*words, *METRES])
    assert "boxes.csv: 'a' matches several photographs" in capsys.readouterr().err
    assert main(["measure", photo, "--box", "nothere.json", *METRES]) == 2
    assert capsys.readouterr().err == "rilievo: nothere.json: no such file\n"
    # A known point describes one photograph.
    assert main([*words, *KNOWN]) == 2
    assert "--known describes one photograph" in capsys.readouterr().err


def test_remarks_name_the_flags_of_the_command(
    photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for words in (["--box", "0,40,200,170"], ["60,40", "200,170"]):
        assert main(["measure", photo, *words, *KNOWN[:2], "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out))
    things, point = said
    for remarks in (things["things"][0]["measured"]["remarks"], point["remarks"]):
        assert any("--fov" in remark for remark in remarks)
        assert not any("=..." in remark for remark in remarks)
    for name in ("calibration", "camera", "coverage"):
        assert things["things"][0][name] == point[name]
    assert point["camera"] == "assumed"


def test_a_table_has_the_remarks(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    Path(photo).rename(tmp_path / "photos" / "bike.png")
    words = ["measure", str(tmp_path / "photos"), "--box", "0,40,200,170"]
    assert main([*words, "--camera-height", "1"]) == 0
    [row] = csv.DictReader(StringIO(capsys.readouterr().out))
    remarks = row["remarks"].split("; ")
    assert (
        "the object reaches the border of the picture, so its sizes are those of the visible part"
        in remarks
    )
    assert any("--fov" in remark for remark in remarks)


def test_boxes_of_a_video_are_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    clips = pytest.importorskip("support.clips")
    pixels = np.asarray(picture())
    clips.write_clip(tmp_path / "clip.mp4", clips.Clip(pictures=[pixels] * 3))
    (tmp_path / "x.csv").write_text("frame,x1,y1,x2,y2\n0,60,40,200,170\n2,60,40,200,170\n")
    words = ["measure", str(tmp_path / "clip.mp4"), "--box", str(tmp_path / "x.csv")]
    asked = []

    def metric(photo: object, **options: object) -> rilievo.Prediction:
        asked.append(photo)
        return rilievo.predict(getattr(photo, "pixels"), known=[(150, 140, 2)], fov=50)  # noqa: B009

    monkeypatch.setattr("rilievo.cli.measure.predict", metric)
    assert main([*words, *METRES]) == 0
    table = [*csv.DictReader(StringIO(capsys.readouterr().out))]
    assert [row["frame"] for row in table] == ["0", "2"]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--box", "900,900,990,990", *KNOWN], "no pixel of the picture"),
        (["--box", "9,9,9,40", *KNOWN], "is empty"),
        (["--box", "9,9,40", *KNOWN], "expected U1,V1,U2,V2"),
        (["--box", "9,9,40,40"], "--known-length"),
        (["--box", "9,9,40,40", "--distance", "9,9", *KNOWN], "cannot be combined with points"),
        (
            ["--box", "9,9,40,40", "--in-plane", *KNOWN],
            "--in-plane and --box cannot be combined; give only one of them",
        ),
        (["--mask", "m.png", "--in-plane", *KNOWN], "--in-plane and --mask cannot be combined"),
        (["--mask", "nothing.png", *KNOWN], "no such file"),
        (["--box", "nothing.csv", *KNOWN], "no such file"),
        (["--box", "labels/", *KNOWN], "no such file or folder"),
    ],
)
def test_what_is_no_box_is_one_line(
    photo: str, words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", photo, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert named in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "e.png and 2 more photographs: depth of kind"),
        (["--model", "absent"], "e.png and 2 more photographs: no model 'absent'"),
        (["--known", "absent.csv"], "/absent.csv: no such file"),
    ],
)
def test_one_error_of_many_photographs_is_one_line(
    photo: str,
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in "abcdefg":
        shutil.copy(photo, f"photos/{name}.png")
    Path("boxes.csv").write_text("x1,y1,x2,y2\n9,9,40,40\n20,20,50,50\n")
    assert main(["measure", "photos", "--box", "boxes.csv", *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_error_that_begins_like_the_name_of_its_photograph_tells_it(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(photo).rename("no")
    (tmp_path / "text.png").write_text("text")

    def fail(photo: Path | Photo) -> rilievo.Prediction:
        if photo == Path("no"):
            raise CalibrationError("no floor seen")
        assert isinstance(photo, Path)
        return rilievo.predict(photo)

    faults: list[str] = []
    for source in ("no", "text.png"):
        assert not [*measure_regions(source, ["1,1,9,9"], [], fail, faults.append)]
    assert faults[0] == "no: no floor seen"
    assert faults[1].startswith("text.png: this is a text file, not a supported image")


def test_requests_have_boxes(tmp_path: Path) -> None:
    served = pytest.importorskip("support.served").served
    stream = BytesIO()
    picture().save(stream, "PNG")
    with served(tmp_path) as server:
        post = server.client.post
        address = "/v1/measure?known=150,140,2&fov=50&box=60,40,200,170&box=10,10,90,90"
        said = post(address, content=stream.getvalue()).json()
        given = rilievo.predict(picture(), model=server.model, known=[(150, 140, 2)], fov=50)
        expected = given.measure_box(BOX)
        assert len(said["things"]) == 2
        for name in ("distance", "nearest", "width", "height", "depth"):
            found = said["things"][0][name]
            assert found["value"] == pytest.approx(getattr(expected, name).value, rel=1e-3)
        assert said["coverage"] == 0.8
        for query, named in (
            ("box=1,2,3&known=150,140,2", "expected U1,V1,U2,V2"),
            ("box=900,1,999,9&known=150,140,2", "no pixel"),
            ("box=1,2,30,40&distance=5,5&known=150,140,2", "'box' cannot be combined with points"),
            ("box=1,2,30,40&in_plane=1&known=150,140,2", "in_plane and box cannot be combined"),
        ):
            answer = post(f"/v1/measure?{query}", content=stream.getvalue())
            assert answer.status_code in (400, 422)
            assert named in answer.json()["error"]


def test_assistants_measure_things_by_name(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")
    from support.assistant_client import Desktop

    picture().save(tmp_path / "bike.png")
    desktop = Desktop(tmp_path, model=rilievo.load_model("rilievo/small"))
    desktop.call("known", photo="bike.png", points=[[0.2, 0.4], [0.6, 0.45]], metres=0.46)
    boxes = {"bike": [0.2, 0.2, 0.6, 0.8], "wheel": [0.2, 0.5, 0.4, 0.8]}
    answer = desktop.call("regions", photo="bike.png", regions=boxes)
    assert answer.text.startswith("bike: distance ")
    assert [thing["name"] for thing in answer.told["things"]] == ["bike", "wheel"]
    assert answer.told["unit"] == "m"
    first = answer.told["things"][0]
    assert first["box"] == [64, 43, 191, 172]
    assert first["distance"]["low"] < first["distance"]["value"] < first["distance"]["high"]
    text = json.dumps(boxes)
    assert desktop.call("regions", photo="bike.png", regions=text) == answer
    assert "fractions" in desktop.refusal("regions", photo="bike.png", regions={"x": [0, 0, 9, 9]})


def test_assistants_change_the_unit_and_not_the_name(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")
    from support.assistant_client import Desktop

    picture().save(tmp_path / "bike.png")
    desktop = Desktop(tmp_path, model=rilievo.load_model("rilievo/small"))
    boxes = {"plank 2 m (oak)": [0.2, 0.2, 0.6, 0.8]}
    answer = desktop.call("regions", photo="bike.png", regions=boxes)
    assert answer.told["unit"] == "camera heights"
    line = answer.text.splitlines()[0]
    assert line.startswith("plank 2 m (oak): distance ")
    assert line.count(" camera heights (") == 5
    assert line.count(" m (") == 1


def test_a_row_of_a_table_has_the_same_columns_without_a_floor(
    prediction: rilievo.Prediction,
) -> None:
    region = prediction.measure_box(BOX)
    with_floor, without = (
        region_cells(thing, str) for thing in (region, replace(region, upright=None))
    )
    assert [*without] == [*with_floor]
    of_floor = {name for name in with_floor if name.startswith("box_")}
    assert {name for name, cell in without.items() if cell is None} == of_floor
    others = {name: cell for name, cell in with_floor.items() if name not in of_floor}
    assert {name: without[name] for name in others} == others
