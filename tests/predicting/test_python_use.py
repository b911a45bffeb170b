"""Inputs and outputs in Python: every form of image, camera and distance."""

import io
import json
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from skimage.data import chelsea

import rilievo
from rilievo.errors import InputTypeError, MissingPackageError
from rilievo.geometry.intrinsics import project
from support.static_host import hosted

PIXELS = np.ascontiguousarray(chelsea()[::3, ::3])
HEIGHT, WIDTH, _ = PIXELS.shape


@pytest.fixture(scope="module")
def prediction() -> rilievo.Prediction:
    return rilievo.predict(PIXELS)


@pytest.fixture(scope="module")
def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    with hosted(tmp_path) as address:
        yield address


def test_an_image_is_the_same_in_every_form(png: bytes, tmp_path: Path, served: str) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(png)
    forms = [
        PIXELS,
        (PIXELS / 255).astype(np.float32),
        PIXELS.astype(np.float64) / 255,
        png,
        bytearray(png),
        memoryview(png),
        io.BytesIO(png),
        path,
        str(path),
        f"{served}cat.png",
        Image.fromarray(PIXELS),
    ]
    for form in forms:
        np.testing.assert_array_equal(rilievo.read_photo(form).pixels, PIXELS)
    with path.open("rb") as file:
        photo = rilievo.read_photo(file)
    np.testing.assert_array_equal(photo.pixels, PIXELS)
    assert photo.name == str(path)


def test_tensors_are_taken_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    last = torch.from_numpy(PIXELS)
    first = last.permute(2, 0, 1)
    for form in (last, first, first[None], (first / 255).requires_grad_(), first.double() / 255):
        np.testing.assert_array_equal(rilievo.read_photo(form).pixels, PIXELS)
    half = rilievo.read_photo((first / 255).to(torch.bfloat16)).pixels
    assert np.abs(half.astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (PIXELS * 1.0, "outside 0 to 1"),
        (np.full((40, 40), np.nan), "outside 0 to 1"),
        (PIXELS.astype(np.uint16), "divide by 257"),
        (object(), "is not an image"),
        (io.StringIO("text"), "binary mode"),
        (io.BytesIO(), "0 bytes"),
    ],
)
def test_what_is_no_image_is_said(
    image: Any, says: str, type_errors: tuple[type[Exception], ...]
) -> None:
    with pytest.raises((rilievo.InputError, *type_errors)) as refused:
        rilievo.predict(image)
    assert isinstance(refused.value, type_errors) or says in str(refused.value)


def test_an_address_without_a_server_is_said(closed_port: int) -> None:
    with pytest.raises(rilievo.InputError, match="cannot be reached"):
        rilievo.predict(f"http://127.0.0.1:{closed_port}/cat.png")


def test_a_missing_page_and_an_empty_file_are_said(served: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(rilievo.InputError, match="404"):
        rilievo.read_photo(f"{served}none.png")
    with pytest.raises(rilievo.InputError, match="0 bytes"):
        rilievo.read_photo(f"{served}empty.png")


def test_a_file_opened_as_text_is_an_error_of_type(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    with path.open() as file, pytest.raises(InputTypeError):
        rilievo.read_photo(file)


def test_a_list_gives_a_list(prediction: rilievo.Prediction, png: bytes) -> None:
    one, two = rilievo.predict([PIXELS, png])
    np.testing.assert_array_equal(one.depth.values, prediction.depth.values)
    np.testing.assert_array_equal(two.depth.values, prediction.depth.values)
    with pytest.raises(rilievo.OptionError, match="one photograph"):
        rilievo.predict([PIXELS, png], known=[(1, 1, 1)])  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_known_distances_and_cameras_have_short_forms() -> None:
    long = rilievo.predict(
        PIXELS,
        known=[rilievo.KnownPoint(u=40, v=50, metres=1.5)],
        camera=rilievo.Camera(K=np.array([[200, 0, 74.5], [0, 200, 49.5], [0, 0, 1.0]])),
    )
    assert long.camera is not None
    short = rilievo.predict(PIXELS, known=[(40, 50, 1.5)], camera=long.camera.K)
    assert short.camera == long.camera
    assert short.calibration == long.calibration
    np.testing.assert_array_equal(short.depth.values, long.depth.values)
    focal = rilievo.predict(PIXELS, camera=200)
    assert focal.camera is not None
    np.testing.assert_allclose(np.diag(focal.camera.K), [200, 200, 1])
    length = rilievo.predict(PIXELS, known=[(40, 50, 90, 60, 0.2)])
    assert length.measure((40, 50), (90, 60)).value == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"known": (1, 2, 3)},
        {"known": [(1, 2)]},
        {"known": [(1, 2, "3")]},
        {"known": "40,50,1.5"},
        {"camera": [1, 2]},
        {"camera": -5},
        {"camera": "wide"},
    ],
)
def test_other_forms_are_refused_with_those_that_there_are(
    options: dict[str, Any], type_errors: tuple[type[Exception], ...]
) -> None:
    with pytest.raises((rilievo.OptionError, *type_errors)) as refused:
        rilievo.predict(PIXELS, **options)
    known = re.search(r"rilievo\.KnownPoint|the nine numbers of K", str(refused.value))
    assert isinstance(refused.value, type_errors) or known


def test_points_and_mesh_lie_where_the_photograph_saw_them(prediction: rilievo.Prediction) -> None:
    assert prediction.camera is not None
    cloud, surface = prediction.points(), prediction.mesh(step=2)
    assert cloud.colours is not None
    seen = np.round(project(cloud.points.T[:, :, None], prediction.camera.K)[:, :, 0]).astype(int)
    np.testing.assert_array_equal(cloud.colours, PIXELS[seen[1], seen[0]])
    assert len(surface.points) < len(cloud.points) / 3
    assert surface.triangles.max() == len(surface.points) - 1
    with pytest.raises(rilievo.OptionError, match="at least 1"):
        prediction.mesh(step=0)


def test_trimesh_gets_the_mesh_in_the_photographs_colours(prediction: rilievo.Prediction) -> None:
    made, surface = prediction.to_trimesh(step=2), prediction.mesh(step=2)
    assert isinstance(made, trimesh.Trimesh)
    np.testing.assert_array_equal(made.faces, surface.triangles)
    np.testing.assert_allclose(made.vertices, surface.points, rtol=1e-6)
    colours = made.visual.to_color().vertex_colors[:, :3].astype(int)
    columns, rows = surface.pixels.astype(int).T
    assert np.abs(colours - PIXELS[rows, columns]).mean() < 4


def test_packages_that_are_not_there_are_named(
    prediction: rilievo.Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingPackageError, match="pip install open3d") as caught:
        prediction.to_open3d()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_open3d_gets_points_normals_and_colours(prediction: rilievo.Prediction) -> None:
    pytest.importorskip("open3d")
    cloud, made = prediction.points(), prediction.to_open3d()
    np.testing.assert_allclose(np.asarray(made.points), cloud.points)
    np.testing.assert_allclose(np.asarray(made.normals), cloud.normals)
    assert cloud.colours is not None
    np.testing.assert_allclose(np.asarray(made.colors) * 255, cloud.colours)


def test_notebooks_get_a_picture_and_a_page(prediction: rilievo.Prediction) -> None:
    with Image.open(io.BytesIO(prediction._repr_png_())) as picture:
        shown = np.asarray(picture)
    # Photograph, depth and normals, with margins and captions around them.
    margin = max(8, round(WIDTH / 30))
    assert shown.shape[1] == 3 * WIDTH + 4 * margin
    rows = (shown[:, margin : margin + WIDTH] == PIXELS[HEIGHT // 2]).all(axis=(1, 2))
    assert rows.any()
    page = prediction._repr_html_()
    assert page.startswith("<iframe")
    assert "allow-same-origin" not in page


def test_depth_in_colours_is_what_save_writes(
    prediction: rilievo.Prediction, tmp_path: Path
) -> None:
    [path, _] = prediction.save(tmp_path / "cat")
    with Image.open(path) as written:
        np.testing.assert_array_equal(
            np.asarray(prediction.colour()), np.asarray(written.convert("RGB"))
        )
    with pytest.raises(rilievo.OptionError, match="viridis"):
        prediction.colour("viridys")


def test_the_pipeline_answers_as_that_of_transformers(
    prediction: rilievo.Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = rilievo.pipeline("depth-estimation", device=-1)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    answer = estimate(Image.fromarray(PIXELS))
    np.testing.assert_array_equal(answer["predicted_depth"], prediction.depth.values)
    assert (answer["depth"].mode, answer["depth"].size) == ("L", (WIDTH, HEIGHT))
    assert answer["depth"].getextrema() == (0, 255)
    assert len(estimate([PIXELS, PIXELS], batch_size=2)) == 2
    with pytest.raises(rilievo.OptionError, match="depth-estimation"):
        rilievo.pipeline("image-segmentation")


def test_the_pipeline_gives_tensors_where_torch_is_in_use() -> None:
    torch = pytest.importorskip("torch")
    [answer] = rilievo.pipeline(model="rilievo/small")([PIXELS])
    assert isinstance(answer["predicted_depth"], torch.Tensor)
    assert answer["predicted_depth"].shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("stem", "names", "written"),
    [
        ("out/x.glb", None, {"x.glb"}),
        ("out/x.ply", None, {"x.ply"}),
        ("out/x.depth.png", None, {"x.depth.png"}),
        ("out/x.depth16.png", None, {"x.depth16.png"}),
        ("out/x.npy", None, {"x.depth.npy"}),
        ("out/x.v2", "colour", {"x.v2.depth.png"}),
        ("out/x", None, {"x.depth.png"}),
        ("out/x", "glb", {"x.glb"}),
        ("out/x.glb", "glb", {"x.glb"}),
        ("out/x", "npy, ply,color,npy", {"x.depth.npy", "x.ply", "x.depth.png"}),
        ("out/x", ["png16", "html"], {"x.depth16.png", "x.html"}),
    ],
)
def test_a_suffix_or_a_text_chooses_the_formats(
    stem: str, names: Any, written: set[str], prediction: rilievo.Prediction, tmp_path: Path
) -> None:
    paths = prediction.save(tmp_path / stem, names)
    assert {path.name for path in paths[:-1]} == written
    assert {path.name for path in (tmp_path / "out").iterdir()} == {p.name for p in paths}
    assert paths[-1].suffix == ".json"


def test_a_model_is_named_with_its_device_and_engine(prediction: rilievo.Prediction) -> None:
    named = rilievo.predict(PIXELS, device="cpu", engine="onnxruntime", precision="fp32")
    np.testing.assert_array_equal(named.depth.values, prediction.depth.values)
    with pytest.raises(rilievo.OptionError, match="device 'gpu'"):
        rilievo.predict(PIXELS, device="gpu")
    with pytest.raises(rilievo.OptionError, match="load_model"):
        rilievo.predict(PIXELS, model=rilievo.load_model("rilievo/small"), device="cpu")


def test_a_camera_has_the_same_forms_in_python_and_on_the_command_line(tmp_path: Path) -> None:
    K = np.array([[210.0, 0, 70], [0, 205, 48], [0, 0, 1]])
    (tmp_path / "k.txt").write_text("210 205 70 48\n")
    np.save(tmp_path / "k.npy", K)
    (tmp_path / "k.json").write_text(json.dumps({"camera": {"K": K.tolist()}}))
    files = [tmp_path / name for name in ("k.txt", "k.npy", "k.json")]
    for focal in (
        *(rilievo.Camera(K=K), K, K.tolist(), (210, 205, 70, 48), np.array([210, 205, 70, 48.0])),
        *("210,205,70,48", "210,0,70,0,205,48,0,0,1", *files, *map(str, files)),
    ):
        found = rilievo.predict(PIXELS, camera=focal, model="rilievo/small").camera
        assert found is not None
        np.testing.assert_array_equal(found.K, K)
        options = rilievo.PredictOptions(camera=focal)  # pyright: ignore[reportArgumentType]
        assert isinstance(options.view.named_camera, rilievo.Camera)
        np.testing.assert_array_equal(options.view.named_camera.K, K)
    for focal in (200, 200.0, "200"):
        found = rilievo.predict(PIXELS, camera=focal, model="rilievo/small").camera
        assert found is not None
        assert found.K[0].tolist() == [200, 0, (PIXELS.shape[1] - 1) / 2]
        assert rilievo.PredictOptions(camera=focal).view.named_camera == 200  # pyright: ignore


@pytest.mark.parametrize("given", ["none.txt", "1,2,3", "-5", "a,b,c,d", "nan", "1,2,3,x", ""])
def test_a_text_that_is_no_camera_is_refused_with_the_forms(given: str) -> None:
    for call in (
        lambda: rilievo.PredictOptions(camera=given),
        lambda: rilievo.predict(PIXELS, camera=given),
    ):
        with pytest.raises(rilievo.OptionError, match="FX,FY,CX,CY"):
            call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"known": [(40, 50, 2350)]}, "in millimetres, write 2.35"),
        ({"known": [(40, 50, 90, 60, 297)]}, "in millimetres, write 0.297"),
        ({"fov": 1.04}, "in radians, write 60"),
    ],
)
def test_units_that_cannot_be_right_are_noted(options: Any, words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        rilievo.predict(PIXELS, model="rilievo/small", **options)


def test_an_animation_is_told_to_have_been_read_in_part(tmp_path: Path) -> None:
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1])]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.warns(UserWarning, match="animated"):
            rilievo.predict(tmp_path / name, model="rilievo/small")
        frames[0].save(tmp_path / name)
        rilievo.predict(tmp_path / name, model="rilievo/small")
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    options = rilievo.PredictOptions(output=tmp_path / "out", camera_height=150.0, overwrite=True)
    summary = rilievo.predict_files([tmp_path / "a.gif"], options, show=False)
    assert any("in centimetres, write 1.5" in note for note in summary.notes)
    options = rilievo.PredictOptions(output=tmp_path / "out", overwrite=True)
    summary = rilievo.predict_files([tmp_path / "a.gif"], options, show=False)
    assert [note for note in summary.notes if "animated" in note]


def test_errors_name_the_spelling_of_python_too(prediction: rilievo.Prediction) -> None:
    with pytest.raises(rilievo.CalibrationError, match=re.escape("known=[(u, v, metres)]")):
        prediction.measure((10, 10), (50, 50))
    metric = rilievo.predict(PIXELS, known=[(40, 50, 1.5)])
    assert "camera=... or fov=..." in metric.measure((10, 10), (50, 50)).remarks[0]


def test_color_is_colour(prediction: rilievo.Prediction) -> None:
    assert prediction.color("turbo").tobytes() == prediction.colour("turbo").tobytes()
