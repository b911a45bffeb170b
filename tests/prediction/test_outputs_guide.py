"""The guide to outputs and the reference of formats: every reader runs and reads what it says."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import trimesh
from PIL import Image

from rilievo.io.map_pictures import COLOUR_MAPS
from rilievo.predicting.videos.clip_outputs import ClipSidecar
from rilievo.prediction import Prediction
from rilievo.prediction.saving import OUTPUTS, save
from support.predictions import prediction

DOCS = Path(__file__).parents[2] / "docs"
GUIDE, FORMATS = DOCS / "outputs.md", DOCS / "reference" / "formats.md"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", FORMATS.read_text("utf-8"), re.M | re.S))
GIVEN = prediction()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save(GIVEN, tmp_path / "photo", tuple(OUTPUTS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str) -> dict:
    """Variables after all Python blocks of a section, which run one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    names = {
        "np": np,
        "json": json,
        "Image": Image,
        "Path": Path,
        "trimesh": trimesh,
        "OpenEXR": OpenEXR,
    }
    for code in blocks:
        exec(code, names)
    return names


def test_the_guide_has_a_line_and_a_section_for_each_output_that_it_names() -> None:
    table = re.findall(r"^\| `([\w-]+)` \| `([.\w]+)` \|", GUIDE.read_text("utf-8"), re.M)
    assert len(table) > 13
    assert [name for name in SECTIONS if name in OUTPUTS] == [name for name, _ in table]
    assert all(OUTPUTS[name].suffix == suffix for name, suffix in table)
    for name in COLOUR_MAPS:
        assert name in SECTIONS["colour"]


def test_the_guide_has_a_line_for_every_field_of_the_json() -> None:
    fields = re.findall(r"^\| `(\w+)` \|", SECTIONS["The JSON"], re.M)
    assert fields == list(ClipSidecar.__dataclass_fields__)


def test_null_stands_in_the_json_only_where_the_guide_says(folder: Path) -> None:
    def nulls(data: object, where: str = "") -> set[str]:
        if isinstance(data, dict):
            inside = [nulls(each, f"{where}.{name}") for name, each in data.items()]
            return set().union(*inside, {where for each in data.values() if each is None})
        return (
            set().union(*(nulls(each, where) for each in data)) if isinstance(data, list) else set()
        )

    asked = {"camera": None, "known": ""}
    save(dataclasses.replace(GIVEN, camera=None), folder / "other", ["npy"], run=asked)
    found = nulls(json.loads((folder / "other.json").read_text("utf-8")))
    assert found == {".run", ".made_by.settings"}
    assert all(f"`{where[1:]}`" in SECTIONS["The JSON"] for where in found)


@pytest.mark.parametrize("name", ["png16", "npy", "npz", "tiff", "exr", "exr-layers"])
def test_the_readers_of_depth_read_the_depth(folder: Path, name: str) -> None:
    depth = run(SECTIONS[name])["depth"]
    assert GIVEN.depth is not None
    np.testing.assert_array_equal(np.isnan(depth), ~GIVEN.depth.valid)
    np.testing.assert_allclose(depth, GIVEN.depth.values, atol=0.00051)


def test_the_reader_of_colmaps_maps_reads_the_depth(folder: Path) -> None:
    assert GIVEN.depth is not None
    depth = run(SECTIONS["colmap"])["depth"]
    np.testing.assert_array_equal(depth, np.nan_to_num(GIVEN.depth.values))


def test_the_reader_of_npz_reads_the_rest_too(folder: Path) -> None:
    names = run(SECTIONS["npz"])
    np.testing.assert_array_equal(names["normals"], GIVEN.normals)
    assert names["kind"] == "metric"


def test_the_reader_of_tiff_reads_the_json(folder: Path) -> None:
    assert run(SECTIONS["tiff"])["about"]["depth"]["kind"] == "metric"


@pytest.mark.parametrize("name", ["normals", "normals-npy"])
def test_the_readers_of_normals_read_the_normals(folder: Path, name: str) -> None:
    assert GIVEN.normals is not None
    normals = run(SECTIONS[name])["normals"]
    known = GIVEN.depth.valid if name == "normals" else np.ones(GIVEN.shape, bool)
    np.testing.assert_allclose(normals[known], np.moveaxis(GIVEN.normals, 0, 2)[known], atol=0.005)
    np.testing.assert_allclose(normals[~known], 0, atol=0.005)


def test_the_reader_of_confidence_reads_it(folder: Path) -> None:
    names = run(SECTIONS["confidence"])
    np.testing.assert_allclose(names["confidence"], GIVEN.confidence, atol=0.5 / 255 + 1e-6)
    uncertain = names["confidence"] < 0.7
    assert uncertain.any()
    np.testing.assert_array_equal(np.isnan(names["depth"]), uncertain | ~GIVEN.depth.valid)


def test_the_reader_of_pictures_reads_one(folder: Path) -> None:
    assert run(SECTIONS["colour"])["picture"].shape == (24, 32, 3)


@pytest.mark.parametrize("name", ["ply", "splat", "glb"])
def test_the_readers_of_surfaces_read_points_of_the_depth_map(folder: Path, name: str) -> None:
    points = run(SECTIONS[name])["points"]
    assert GIVEN.depth is not None
    assert GIVEN.camera is not None
    is_backdrop = points[:, 2] > 1.5 * GIVEN.depth.values[GIVEN.depth.valid].max()
    assert is_backdrop.any() == (name == "glb")
    points = points[~is_backdrop]
    u, v, one = np.rint(GIVEN.camera.K @ points.T / points[:, 2]).astype(int)
    assert (one == 1).all()
    known = GIVEN.depth.valid[v, u]
    # A mesh has its small hole closed, and its numbers have 16 bits.
    assert known.sum() >= len(points) - (name == "glb")
    true = GIVEN.depth.values[v, u][known]
    error = np.abs(points[known, 2] / true - 1)
    if name != "glb":
        assert error.max() < 1e-5
    else:
        # Points of its rims slide by less than half a pixel, along the surface.
        assert np.mean(error < 1e-4) > 0.95
        assert error.max() < 0.02


def test_the_reader_of_the_json_prints_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(SECTIONS["The JSON"])
    said = capsys.readouterr().out
    assert said.startswith("metric metre [[30.0, 0.0, 15.5]")
    assert "test/model" in said


def test_the_first_example_copies_a_prediction(folder: Path) -> None:
    names = run(GUIDE.read_text("utf-8").split("\n## ")[0])
    assert isinstance(names["prediction"], Prediction)
    assert (folder / "copies" / "photo.json").exists()
