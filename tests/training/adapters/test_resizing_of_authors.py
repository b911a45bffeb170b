"""Answers are resized as each model's authors do: eight families, at sizes above and below theirs.

The network's answer is set: bars and a sky, whose edges another space, filter or grid would move.
transformers and diffusers resize with their own code; MoGe and Metric3D are written anew here.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import interpolate

from rilievo.errors import ModelError
from rilievo.geometry.cameras.camera import Camera
from rilievo.models import MODELS, load_model
from rilievo.models.base import Model
from rilievo.models.catalogue.graph_inputs import centred_letterbox
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.hub.checkpoints import CHECKPOINTS, architecture_resizing
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.inference import (
    DEFAULT_RESIZING,
    Filter,
    Resizing,
    Space,
    parse_resizing,
)
from rilievo.models.resampling.resizing import resize_by_filter
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo
from rilievo.training.adapters.marigold import DiffusionModel
from support.moge_lookalike import write_moge
from support.published_graphs import write_depth_pro, write_inverse_depth, write_metric3d
from support.tiny_checkpoints import Checkpoints, checkpoint
from support.tiny_pipelines import save_pipeline

__all__ = ["checkpoint"]

SIZES = [(40, 56), (333, 250), (1000, 1400)]
"""Smaller than most answers, larger, and much larger (only there is GLPN's answer smaller)."""


def scene(shape: tuple[int, int], *, sky: float = 60.0) -> np.ndarray:
    """Depth of a room with forty bars before it, and a sky above it [m]."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    depth = 2 + 6 * rows / shape[0] + columns / shape[1]
    depth[(columns * 81 // shape[1]) % 2 == 1] = 1.0
    depth[rows < shape[0] * 0.3] = sky
    depth[(rows * 9 // shape[0]) == 1] = 1.5  # a roof before the sky
    return depth.astype(np.float32)


def photo(shape: tuple[int, int], focal: float | None = None) -> Photo:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    height, width = shape
    known = None
    if focal is not None:
        centre = (width - 1) / 2, (height - 1) / 2
        known = Camera(K=np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]))
    return Photo(pixels=pixels, camera=known)


def one(prediction: list[PredictionRecord]) -> PredictionRecord:
    [only] = prediction
    return only


class Body(torch.nn.Module):
    """A network that answers a scene at the size of its input."""

    def __init__(self, values: Callable[[tuple[int, int]], np.ndarray]) -> None:
        super().__init__()
        self.values = values

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        size = pixel_values.shape[-2], pixel_values.shape[-1]
        answer = torch.from_numpy(self.values(size))[None]
        return SimpleNamespace(predicted_depth=answer, field_of_view=torch.tensor([60.0]))


def inverse(shape: tuple[int, int]) -> np.ndarray:
    """Inverse depth, 0 in the sky."""
    return (1 / scene(shape, sky=np.inf)).astype(np.float32)


FAMILIES = {
    "depth_pro": inverse,
    "depth_anything": lambda shape: 30 * inverse(shape) + 2,
    "depth_anything_metric": scene,
    "dpt": lambda shape: 900 * inverse(shape),
    "zoedepth": scene,
    "glpn": scene,
    "tipsv2_dpt": scene,
}


@cache
def processor(folder: Path) -> Any:
    return transformers.AutoImageProcessor.from_pretrained(folder)


def theirs(folder: Path, family: str, answer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Answer at the photograph's size by transformers."""
    said = SimpleNamespace(
        predicted_depth=torch.from_numpy(answer)[None], field_of_view=torch.tensor([60.0])
    )
    sizes = {"source_sizes": [shape]} if family == "zoedepth" else {}
    [found] = processor(folder).post_process_depth_estimation(said, target_sizes=[shape], **sizes)
    return found["predicted_depth"].numpy()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_resizes_alike(
    checkpoint: Checkpoints, family: str, shape: tuple[int, int]
) -> None:
    folder = checkpoint(family)
    is_affine = family in ("dpt", "depth_anything")
    model: Any = load_model(
        folder, kind="affine_inverse" if is_affine else "metric", engine="torch"
    )
    model.network.body = Body(FAMILIES[family])
    ours = one(model.predict_raw([photo(shape)])).depth
    size = model.preparation.size(shape)
    expected = theirs(folder, family, FAMILIES[family](size), shape)
    assert ours.valid.all()
    if is_affine:
        np.testing.assert_allclose(ours.values, expected, atol=1e-5 * np.ptp(expected))
    else:
        # Cubic resizing overshoots beside an edge, and depth below zero is none.
        assert (ours.values > 0).all()
        there = expected > 0
        assert there.mean() > 0.85
        limit = 1e-6 * np.ptp(expected)
        np.testing.assert_allclose(ours.values[there], expected[there], rtol=1e-5, atol=limit)
    assert model.card.resizing == architecture_resizing(
        "depth_anything" if "any" in family else family
    )


@pytest.mark.parametrize("focal", [0.4, 3.0])
def test_depth_pro_limits_depth_after_the_focal_length_and_the_size(
    checkpoint: Checkpoints, focal: float
) -> None:
    shape = (200, 300)
    model: Any = load_model(checkpoint("depth_pro"), kind="metric", engine="torch")
    model.network.body = Body(inverse)
    ours = one(model.predict_raw([photo(shape, focal * 300)])).depth.values
    canonical = torch.from_numpy(inverse(model.preparation.size(shape)))[None, None] / focal
    expected = 1 / interpolate(canonical, shape, mode="bilinear")[0, 0].clamp(1e-4, 1e4).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert ours.max() == 1e4


def graph(name: str, path: Path, answer: Callable[[tuple[int, int]], dict[str, np.ndarray]]) -> Any:
    """A published graph whose answer to a picture of each size is set."""
    model: Any = open_graph(path, LoadOptions(device="cpu"), MODELS[name], weights_sha256="0")
    model._run_session = lambda inputs: answer(inputs.size)
    return model


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", ["depth-anything-v2/small", "midas/small"])
def test_graphs_of_dpt_are_cubic(tmp_path: Path, name: str, shape: tuple[int, int]) -> None:
    side = 256 if name == "midas/small" else None
    path = write_inverse_depth(tmp_path / "m.onnx", side=side)
    model = graph(name, path, lambda size: {"predicted_depth": inverse(size)[None]})
    ours = one(model.predict_raw([photo(shape)])).depth.values
    size = model._input_maker.size(shape)
    answer = torch.from_numpy(inverse(size))[None, None]
    expected = interpolate(answer, shape, mode="bicubic")[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [*SIZES, (2000, 3000)])
def test_the_graph_of_depth_pro_is_resized_as_inverse_depth(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    def answer(size: tuple[int, int]) -> dict[str, np.ndarray]:
        depth = np.minimum(scene(size, sky=np.inf), np.float32(1e4))
        return {"predicted_depth": depth[None], "focallength_px": np.array([1200.0], np.float32)}

    model = graph("depth-pro", write_depth_pro(tmp_path / "m.onnx", focal=1200.0), answer)
    focal = 0.7 * shape[1]
    ours = one(model.predict_raw([photo(shape, focal)])).depth.values
    # The graph's depth is that of 1200 pixels in a picture 1536 wide.
    canonical = torch.from_numpy(inverse((1536, 1536)))[None, None] * (1200 / 1536)
    whole = interpolate(canonical * (shape[1] / focal), shape, mode="bilinear")[0, 0]
    np.testing.assert_allclose(ours, 1 / whole.clamp(1e-4, 1e4).numpy(), rtol=1e-5)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("normals", [False, True])
def test_marigold_resizes_as_diffusers_does(
    tmp_path: Path, shape: tuple[int, int], normals: bool
) -> None:
    model = load_model(save_pipeline(tmp_path / "p", normals=normals), device="cpu")
    assert isinstance(model, DiffusionModel)
    size = (96, 120)
    answer = (scene(size)[..., None] / 60).astype(np.float32)
    if normals:
        tilt = np.concatenate([answer, 0.5 - answer, 0.2 + 0 * answer], -1)
        answer = tilt / np.linalg.norm(tilt, axis=-1, keepdims=True)
    said = SimpleNamespace(prediction=answer[None], uncertainty=None)
    model.pipeline = lambda *_, **__: said
    ours = one(model.predict_raw([photo(shape)]))
    planes = torch.from_numpy(answer.transpose(2, 0, 1))[None]
    # Not above: what only collects tests would wait for it.
    from diffusers.pipelines.marigold.marigold_image_processing import MarigoldImageProcessor

    [large] = MarigoldImageProcessor.resize_antialias(planes, shape, "bilinear", is_aa=False)
    expected = large.numpy()
    if normals:
        assert ours.normals is not None
        expected /= np.linalg.norm(expected, axis=0, keepdims=True)
        turned = expected * np.array([1, -1, -1], np.float32)[:, None, None]
        np.testing.assert_allclose(ours.normals, turned, atol=1e-5)
    else:
        np.testing.assert_allclose(ours.depth.values, expected[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(600, 800), (901, 700), (1000, 1400)])
def test_moge_resizes_the_logarithm_of_depth_before_its_shift(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    """``forward`` and ``infer`` of MoGe-2, written anew: maps first, then exponential and shift."""
    shift, scale, focal = 0.4, 2.5, 0.9
    sky = 300.0

    def raw(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The head's answer: x / z, y / z, log z; and the mask."""
        z = scene(size, sky=sky).astype(np.float64)
        unit = np.hypot(*size) / 2 * focal
        v, u = np.mgrid[: size[0], : size[1]]
        rays = np.stack([(u - (size[1] - 1) / 2) / unit, (v - (size[0] - 1) / 2) / unit])
        near = z - shift
        heads = np.concatenate([rays * (z / near), np.log(near)[None]])
        return heads.astype(np.float32), (z < sky).astype(np.float32)

    def answer(size: tuple[int, int]) -> dict[str, np.ndarray]:
        heads, mask = raw(size)
        z = np.exp(heads[2])
        points = np.stack([heads[0] * z, heads[1] * z, z], -1)
        flat = np.broadcast_to(np.array([0, 0, -1], np.float32), (*size, 3))
        return {
            "points": points[None],
            "normal": flat[None],
            "mask": mask[None],
            "scale": np.array([scale], np.float32),
        }

    model = graph("moge-2/small", write_moge(tmp_path / "m.onnx"), answer)
    ours = one(model.predict_raw([photo(shape, np.hypot(*shape) / 2 * focal)])).depth
    heads, mask = raw(model._input_maker.size(shape))
    large = interpolate(torch.from_numpy(heads)[:, None], shape, mode="bilinear")[:, 0]
    inside = interpolate(torch.from_numpy(mask)[None, None], shape, mode="bilinear")[0, 0] > 0.5
    expected = ((torch.exp(large[2]) + shift) * scale).numpy()
    np.testing.assert_array_equal(ours.valid, inside.numpy())
    assert 0.5 < ours.valid.mean() < 0.95
    there = ours.valid
    np.testing.assert_allclose(ours.values[there], expected[there], rtol=1e-5)


@pytest.mark.parametrize("shape", [(200, 333), (900, 1400), (1500, 1100)])
def test_metric3d_resizes_depth_of_its_canonical_camera(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    """Metric3D's ``do_test``, written anew: borders off, bilinear, then the focal length."""
    frame = (616, 1064)
    answer = scene(frame, sky=250.0)
    said = {"predicted_depth": answer[None, None], "predicted_normal": np.zeros((1, 3, *frame))}
    said["predicted_normal"][:, 2] = -1
    said = {name: each.astype(np.float32) for name, each in said.items()}
    path = write_metric3d(tmp_path / "m.onnx", normalises=True)
    model = graph("metric3d-v2/small", path, lambda _: said)
    focal = 0.8 * shape[1]
    ours = one(model.predict_raw([photo(shape, focal)])).depth
    place = centred_letterbox(shape, frame)
    seen = torch.from_numpy(np.ascontiguousarray(place.crop(answer)))[None, None]
    large = interpolate(seen, shape, mode="bilinear")[0, 0].numpy()
    far = interpolate((seen > 199).float(), shape, mode="bilinear")[0, 0].numpy()
    np.testing.assert_array_equal(ours.valid, 1 - far > 0.5)
    expected = large * np.float32(focal * place.scale / 1000)
    there = ours.valid
    np.testing.assert_allclose(ours.values[there], expected[there], rtol=1e-5)


@pytest.mark.parametrize("shape", [(3000, 4000), (480, 640), (1536, 1536), (999, 2001)])
@pytest.mark.parametrize("filter", [Filter.LINEAR, Filter.CUBIC])
def test_filters_are_those_of_torch_in_single_precision(
    filter: Filter, shape: tuple[int, int]
) -> None:
    field = inverse((1536, 1024))
    mode = {Filter.LINEAR: "bilinear", Filter.CUBIC: "bicubic"}[filter]
    expected = interpolate(torch.from_numpy(field)[None, None], shape, mode=mode)[0, 0].numpy()
    np.testing.assert_allclose(resize_by_filter(field, shape, filter), expected, atol=2e-6)


@pytest.mark.parametrize(
    "rule",
    [
        DEFAULT_RESIZING,
        Resizing(space=Space.INVERSE),
        Resizing(filter=Filter.CUBIC),
        Resizing(space=Space.LOG, filter=Filter.LINEAR, blended=True),
        Resizing(space=Space.INVERSE, filter=Filter.LINEAR, nearest=1e-4, farthest=1e4),
    ],
)
def test_a_rule_is_read_back_from_its_text(rule: Resizing) -> None:
    assert parse_resizing(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "forth", "values sharp", "values 1", "inverse linear 9 1"])
def test_a_text_that_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ModelError)):
        parse_resizing(text)


def test_an_onnx_file_keeps_the_rule_of_its_checkpoint(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    import rilievo

    file = rilievo.export_model(
        checkpoint("dpt"), tmp_path / "m.onnx", rilievo.ExportOptions(kind="affine_inverse")
    )
    assert file is not None
    model: Model = load_model(tmp_path / "m.onnx", device="cpu")
    assert isinstance(model, OnnxModel)
    assert model.card.resizing == Resizing(filter=Filter.CUBIC)
    assert model.made_by.settings["resizing"] == "values cubic"


def test_every_card_of_a_known_family_has_its_rule() -> None:
    for name, card in MODELS.own.items():
        if card.kind is DepthKind.AFFINE_INVERSE and card.loader == "transformers":
            assert card.resizing.filter is Filter.CUBIC, name
    assert CHECKPOINTS["apple/DepthPro-hf"].resizing == architecture_resizing("depth_pro")
    assert CHECKPOINTS["google/tipsv2-b14-dpt"].resizing == architecture_resizing("tipsv2_dpt")
    assert MODELS["depth-pro"].resizing == architecture_resizing("depth_pro")
    assert MODELS["rilievo/base"].resizing == DEFAULT_RESIZING
    assert MODELS["marigold/depth-v1-1"].resizing == Resizing(filter=Filter.LINEAR)
