"""A prediction in Python: its methods, one pixel of its depth, its surfaces, and notebooks."""

import copy
import inspect
import io
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import NoDepthError
from rilievo.geometry.surfaces.meshes import PointCloud
from rilievo.io.outputs.formats.panel import panel_picture
from support.ply_files import read_ply
from support.predictions import prediction as prediction_of_kind


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    rows, columns = np.mgrid[:120, :160]
    arr = np.stack([rows, columns, (rows + columns) % 256], axis=-1).astype(np.uint8)
    arr[30:80, 40:90] = 200
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(arr).resize((640, 480)).save(path)
    prediction = rilievo.predict(path)
    return {
        **{"path": path, "prediction": prediction},
        **{"mesh": prediction.mesh(), "cloud": prediction.points()},
    }


def test_depth_that_is_not_there_is_said(ours: dict[str, Any]) -> None:
    normals_alone = ours["prediction"].but(depth_or_none=None)
    assert not hasattr(normals_alone, "depth")
    with pytest.raises(NoDepthError, match="predicts no depth"):
        _ = normals_alone.depth


def test_predictions_and_surfaces_are_copied_and_sent(ours: dict[str, Any]) -> None:
    assert [*inspect.signature(ours["prediction"].points).parameters] == ["step"]
    for thing in (ours["prediction"], ours["prediction"].depth, ours["mesh"], ours["cloud"]):
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(copy.deepcopy(thing)) == repr(thing)


def test_one_pixel_of_a_depth_map_is_a_number() -> None:
    values = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    valid = values != 7
    depth = rilievo.DepthMap(values=values, kind=rilievo.DepthKind.METRIC, valid=valid)
    for row, column in ((0, 0), (2, 3), (-1, 0), (np.int64(1), np.uint8(3))):
        assert depth[row, column] == float(values[row, column])
        assert type(depth[row, column]) is float
    assert np.isnan(depth[1, 2])
    with pytest.raises(IndexError):
        depth[3, 0]
    for others in ((slice(1), 0), 1, (0, 0, 0), (0.5, 1), valid, "ab", None, ...):
        with pytest.raises(TypeError, match=r"depth\[row, column\]: use \.values"):
            depth[others]


def test_written_surfaces_are_those_of_memory(ours: dict[str, Any], tmp_path: Path) -> None:
    mesh, cloud = ours["mesh"], ours["cloud"]
    assert isinstance(cloud, PointCloud)
    written = read_ply(mesh.save(tmp_path / "new" / "m.PLY"))
    assert np.array_equal(written["face"]["vertex_indices"], mesh.faces)
    assert np.array_equal(written["vertex"]["x"], mesh.vertices[:, 0])
    assert np.array_equal(written["vertex"]["green"], mesh.colours[:, 1])
    points = read_ply(cloud.save(str(tmp_path / "c.ply")))
    assert np.array_equal(points["vertex"]["z"], cloud.points[:, 2])
    assert np.array_equal(points["vertex"]["red"], cloud.colours[:, 0])
    trimesh = pytest.importorskip("trimesh")
    loaded = trimesh.load(mesh.save(tmp_path / "m.glb"), process=False, force="mesh")
    assert np.allclose(loaded.vertices, mesh.vertices * (1, -1, -1), atol=1e-6)
    assert np.array_equal(loaded.faces, mesh.faces)


def test_colours_of_a_mesh_are_those_of_its_pixels(ours: dict[str, Any]) -> None:
    mesh = ours["mesh"]
    columns, rows = np.rint(mesh.pixels).astype(int).T
    read = np.asarray(Image.open(ours["path"]))
    assert np.array_equal(mesh.colours, read[rows, columns])
    assert mesh.colours.shape == mesh.points.shape


def test_a_notebook_gets_a_large_panel_480_pixels_high_in_its_proportions() -> None:
    large = prediction_of_kind(values=np.full((600, 500), 2.0), holes=False)
    whole = panel_picture(large)
    assert whole.height > 480
    with Image.open(io.BytesIO(large._repr_png_())) as shown:
        assert shown.height == 480
        assert shown.width == pytest.approx(whole.width * 480 / whole.height, abs=0.5)


def test_a_notebook_shows_the_picture_in_its_cell(
    ours: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, shown, opened = ours["prediction"], [], []
    monkeypatch.setattr(Image.Image, "show", lambda self, title=None: opened.append(self))
    prediction.show()
    assert len(opened) == 1
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    for shell, where in ((None, opened), (SimpleNamespace(), opened)):
        ipython.get_ipython = lambda shell=shell: shell  # type: ignore[attr-defined]
        before = len(where)
        prediction.show()
        assert len(where) == before + 1
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)  # type: ignore[attr-defined]
    prediction.show()
    assert len(opened) == 3
    [picture] = shown
    assert isinstance(picture, Image.Image)
    assert Image.open(io.BytesIO(prediction._repr_png_())).width > 0
