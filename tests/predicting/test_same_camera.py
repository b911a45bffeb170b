"""Photographs of one camera that does not move share what is known of one of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import stereo_motorcycle

from rilievo.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs of one scene in changing light."""
    photo = Image.fromarray(stereo_motorcycle()[0]).resize((320, 216))
    (tmp_path / "in").mkdir()
    for name, light in (("a", 1.0), ("b", 0.9), ("c", 0.8)):
        photo.point(lambda value, light=light: round(value * light)).save(
            tmp_path / f"in/{name}.png"
        )
    return tmp_path


def predict(folder: Path, *words: str) -> int:
    usual = ["predict", str(folder / "in"), "-o", str(folder / "out"), "--save", "npy"]
    return main([*usual, *words])


def depths(folder: Path) -> list[float]:
    return [float(np.load(folder / f"out/{name}.depth.npy")[150, 150]) for name in "abc"]


def test_a_point_of_one_is_a_point_of_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(folder, "--known", "150,150,3") == 2
    assert "--same-camera" in capsys.readouterr().err
    assert predict(folder, "--known", "150,150,3", "--same-camera") == 0
    assert depths(folder) == pytest.approx([3, 3, 3], rel=0.02)


@pytest.mark.slow
def test_a_table_of_one_serves_the_others_and_resumes(folder: Path) -> None:
    table = folder / "in/known.csv"
    table.write_text("file,u,v,u2,v2,metres\na.png,150,150,,,3\nb.png,100,150,200,140,1.2\n")
    assert predict(folder, "--known", str(table), "--same-camera") == 0
    about = [json.loads((folder / f"out/{name}.json").read_text("utf-8")) for name in "abc"]
    asked = {tuple(each["calibration"]["asked"]) for each in about}
    assert asked == {("150,150,3", "100,150,200,140,1.2")}
    first = (folder / "out/c.depth.npy").stat().st_mtime_ns
    assert predict(folder, "--known", str(table), "--same-camera") == 0
    assert (folder / "out/c.depth.npy").stat().st_mtime_ns == first


def test_what_cannot_be_one_camera_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(folder, "--same-camera") == 2
    assert "none are given" in capsys.readouterr().err
    table = folder / "in/known.csv"
    table.write_text("file,u,v,metres\na.png,150,150,3\nb.png,150,150,4\n")
    assert predict(folder, "--known", str(table), "--same-camera") == 2
    assert "state different distances at the same pixel" in capsys.readouterr().err
    Image.new("RGB", (200, 100), "grey").save(folder / "in/c.png")
    assert predict(folder, "--known", "150,50,3", "--same-camera") == 1
    said = capsys.readouterr().err
    assert "c.png: is 200x100" in said
    assert "the same size" in said
