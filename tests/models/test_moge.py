"""MoGe-2's adapter, on a network of its signature whose answer is worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models import MODELS
from rilievo.models.base import Model
from rilievo.models.catalogue.graph_inputs import size_within_pixels
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.moge_lookalike import FOCAL, true_depth, write_moge

CARD = MODELS["moge-2/small"]


def model(path: Path, **settings: int) -> Model:
    return open_graph(path, LoadOptions(device="cpu", settings=settings), CARD, weights_sha256="0")


def photograph(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels[..., 1] = np.where(np.arange(shape[1]) < shape[1] // 4, 0, 255)
    return pixels


def test_depth_camera_and_mask_are_those_that_the_points_were_made_of(tmp_path: Path) -> None:
    pixels = photograph()
    [answer] = model(write_moge(tmp_path / "m.onnx")).predict_raw([pixels])
    assert answer.depth.kind is DepthKind.METRIC
    expected = true_depth(pixels[..., 0].astype(float))
    np.testing.assert_array_equal(answer.depth.valid, pixels[..., 1] > 127)
    np.testing.assert_array_equal(answer.sky, pixels[..., 1] <= 127)
    there = answer.depth.valid
    np.testing.assert_allclose(answer.depth.values[there], expected[there], rtol=1e-4)
    assert answer.camera.source is CameraSource.PREDICTED
    assert answer.camera.K[0, 0] == pytest.approx(FOCAL * np.hypot(48, 64) / 2, rel=1e-4)
    assert answer.normals is not None
    np.testing.assert_array_equal(answer.normals[2], -1)


def test_a_camera_that_is_known_stays_and_only_the_shift_is_fitted(tmp_path: Path) -> None:
    pixels = photograph()
    focal = FOCAL * np.hypot(48, 64) / 2
    K = np.array([[focal, 0, 31.5], [0, focal, 23.5], [0, 0, 1.0]])
    photo = Photo(pixels=pixels, camera=Camera(K=K))
    [answer] = model(write_moge(tmp_path / "m.onnx")).predict_raw([photo])
    assert answer.camera is not None
    np.testing.assert_array_equal(answer.camera.K, K)
    there = answer.depth.valid
    expected = true_depth(pixels[..., 0].astype(float))
    np.testing.assert_allclose(answer.depth.values[there], expected[there], rtol=1e-4)


def test_a_wrong_camera_changes_the_depth(tmp_path: Path) -> None:
    pixels = photograph()
    wrong = Camera(K=K_from_fov(20.0, (48, 64)))
    network = model(write_moge(tmp_path / "m.onnx"))
    [free, held] = network.predict([pixels, Photo(pixels=pixels, camera=wrong)])
    assert not np.allclose(free.depth.values, held.depth.values, rtol=0.1)


@pytest.mark.parametrize("name", ["metric_scale", "something"])
def test_outputs_are_found_by_name_or_by_order(tmp_path: Path, name: str) -> None:
    plain = model(write_moge(tmp_path / "a.onnx"))
    other = model(write_moge(tmp_path / "b.onnx", names={"scale": name}))
    [first], [second] = plain.predict_raw([photograph()]), other.predict_raw([photograph()])
    np.testing.assert_array_equal(first.depth.values, second.depth.values)


def test_a_graph_without_normals_gives_none(tmp_path: Path) -> None:
    [answer] = model(write_moge(tmp_path / "m.onnx", normals=False)).predict_raw([photograph()])
    assert answer.normals is None
    assert answer.depth.valid.any()


def test_large_photographs_are_shrunk_to_the_area_of_the_patches() -> None:
    area = 1200 * 14 * 14
    height, width = size_within_pixels((3000, 4000), area)
    assert height * width == pytest.approx(area, rel=0.01)
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    assert size_within_pixels((300, 400), area) == (300, 400)


def test_a_photograph_without_any_surface_has_no_depth(tmp_path: Path) -> None:
    [answer] = model(write_moge(tmp_path / "m.onnx")).predict_raw([np.zeros((40, 50, 3), np.uint8)])
    assert not answer.depth.valid.any()


def test_another_network_is_refused_by_the_name_of_its_input(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    save(network, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="not a network of moge-2"):
        model(tmp_path / "other.onnx")


def test_tokens_are_checked_and_recorded(tmp_path: Path) -> None:
    path = write_moge(tmp_path / "m.onnx")
    assert model(path, tokens=1800).made_by.settings["tokens"] == 1800
    with pytest.raises(OptionError, match="tokens"):
        model(path, tokens=5)
