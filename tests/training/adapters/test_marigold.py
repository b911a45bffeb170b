"""Marigold through diffusers: the pipeline's own numbers in our conventions, or a clear refusal."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import ModelError
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.hub.diffusion_cards import REPOSITORIES
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from rilievo.training.adapters.marigold import (
    DiffusionModel,
    ensemble_confidence,
    from_viewer_axes,
)
from support.tiny_pipelines import edit_index, save_pipeline

UNET = "unet/diffusion_pytorch_model.safetensors"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipelines") / "depth")


@pytest.fixture(scope="module")
def normals_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipelines") / "normals", normals=True)


@pytest.fixture
def folder(depth_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(depth_folder, tmp_path / "pipeline"))


def model(folder: Path, **settings: Setting) -> Model:
    return load_model(folder, device="cpu", settings=settings)


def photo(seed: int = 0, height: int = 48, width: int = 64) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Photo(pixels=pixels, name="hall.jpg")


def official(folder: Path, image: Photo, **settings: Any) -> Any:
    """Output of the pipeline, loaded and called as its documentation says."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    seed = settings.pop("seed", 0)
    return pipeline(image.pixels, generator=torch.Generator().manual_seed(seed), **settings)


def answer(image: Photo, model: Model) -> Any:
    [inference] = model.infer([image])
    return inference


def test_depth_is_what_the_pipeline_says(depth_folder: Path) -> None:
    expected = official(depth_folder, photo(), seed=5, match_input_resolution=False)
    found = answer(photo(), model(depth_folder, seed=5))
    np.testing.assert_allclose(found.depth, expected.prediction[0, ..., 0], atol=1e-5)
    assert found.depth.shape == (24, 32)
    assert found.normals is None
    assert found.confidence is None


@pytest.mark.slow
def test_at_the_photographs_size_it_is_what_the_pipeline_says_there(depth_folder: Path) -> None:
    expected = official(depth_folder, photo(), seed=1)
    [prediction] = model(depth_folder, seed=1).predict_raw([photo()])
    assert prediction.depth.kind is DepthKind.AFFINE
    np.testing.assert_allclose(prediction.depth.values, expected.prediction[0, ..., 0], atol=1e-5)


@pytest.mark.slow
def test_an_ensemble_is_the_pipelines_with_its_uncertainty(depth_folder: Path) -> None:
    settings = {"num_inference_steps": 1, "ensemble_size": 3}
    expected = official(
        depth_folder, photo(), **settings, output_uncertainty=True, match_input_resolution=False
    )
    asked = model(depth_folder, steps=1, ensemble=3)
    found = answer(photo(), asked)
    np.testing.assert_allclose(found.depth, expected.prediction[0, ..., 0], atol=1e-5)
    u = expected.uncertainty[0, ..., 0].astype(np.float64)
    np.testing.assert_allclose(found.confidence, 0.1 / (0.1 + u), atol=1e-5)
    # The nearest surface of an ensemble is exactly 0, which is no missing value.
    assert found.depth.min() == 0
    [prediction] = asked.predict_raw([photo()])
    assert prediction.depth.valid.all()
    assert asked.card.confidence


@pytest.mark.slow
def test_normals_are_the_pipelines_with_y_down_and_z_forward(normals_folder: Path) -> None:
    expected = official(normals_folder, photo(), num_inference_steps=1, ensemble_size=3)
    asked = model(normals_folder, steps=1, ensemble=3)
    [prediction] = asked.predict_raw([photo()])
    assert prediction.depth_or_none is None
    assert prediction.normals is not None
    x, y, z = np.moveaxis(expected.prediction[0], -1, 0)
    np.testing.assert_allclose(prediction.normals, [x, -y, -z], atol=2e-5)
    assert asked.card.kind is None
    assert asked.card.normals


def test_a_wall_a_floor_and_a_wall_on_the_right_in_diffusers_axes_come_to_ours() -> None:
    """The documentation has x to the right, y up, z to the viewer; a nose tip is (0, 0, 1)."""
    facing, floor, right_wall = [0, 0, 1], [0, 1, 0], [-1, 0, 0]
    theirs = np.array([[facing, floor, right_wall]], np.float32)
    ours = np.moveaxis(from_viewer_axes(theirs), 0, -1)[0]
    np.testing.assert_array_equal(ours, [[0, 0, -1], [0, -1, 0], [-1, 0, 0]])


def test_a_rendered_plane_has_the_normals_that_its_depth_says() -> None:
    """The floor 1.5 m below, tilted: (0, cos t, sin t) up and to the viewer in diffusers' axes."""
    from rilievo.geometry.normals import normals_from_depth

    tilt = 0.3
    K = np.array([[40.0, 0, 31.5], [0, 40.0, 23.5], [0, 0, 1]])
    u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
    ray = np.stack([(u - 31.5) / 40, (v - 23.5) / 40, np.ones_like(u)])
    theirs = np.broadcast_to(np.array([0, np.cos(tilt), np.sin(tilt)], np.float32), (48, 64, 3))
    ours = from_viewer_axes(np.ascontiguousarray(theirs))
    depth = -1.5 / np.einsum("chw,chw->hw", ours.astype(np.float64), ray)
    seen = depth > 0
    rendered, known = normals_from_depth(np.where(seen, depth, 1.0), K, seen)
    assert known.sum() > 500
    np.testing.assert_allclose(rendered[:, known], ours[:, known], atol=1e-3)


@given(u=st.floats(0, 10, width=32), more=st.floats(0.125, 1, width=32))
def test_confidence_is_one_for_agreement_and_falls_with_uncertainty(u: float, more: float) -> None:
    values = np.array([[0.0, u, u + more, 0.1]], np.float32)
    [[at_none, less_sure, least_sure, half]] = ensemble_confidence(values)
    assert at_none == 1
    assert 1 >= less_sure > least_sure > 0
    assert half == pytest.approx(0.5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer_and_another_does_not(depth_folder: Path) -> None:
    first = answer(photo(), model(depth_folder, seed=3)).depth
    np.testing.assert_array_equal(answer(photo(), model(depth_folder, seed=3)).depth, first)
    assert np.abs(answer(photo(), model(depth_folder, seed=4)).depth - first).max() > 1e-3


@pytest.mark.slow
def test_an_answer_does_not_depend_on_what_is_predicted_beside_it(depth_folder: Path) -> None:
    asked = model(depth_folder)
    _, second = asked.infer([photo(0), photo(1, height=40)])
    np.testing.assert_array_equal(answer(photo(1, height=40), asked).depth, second.depth)


@pytest.mark.slow
def test_the_lcm_scheduler_is_kept_and_repeats_itself_too(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "lcm", lcm=True)
    asked = model(folder, steps=3, seed=2)
    expected = official(
        folder, photo(), seed=2, num_inference_steps=3, match_input_resolution=False
    )
    np.testing.assert_allclose(
        answer(photo(), asked).depth, expected.prediction[0, ..., 0], atol=1e-5
    )
    assert asked.settings["scheduler"] == "LCMScheduler"


@pytest.mark.slow
def test_resolution_is_the_longer_side_and_0_the_photographs_own(depth_folder: Path) -> None:
    assert answer(photo(), model(depth_folder, resolution=40)).depth.shape == (30, 40)
    assert answer(photo(), model(depth_folder, resolution=0)).depth.shape == (48, 64)


def test_settings_are_written_into_every_result(depth_folder: Path) -> None:
    asked = load_model(depth_folder, settings={"steps": "1", "seed": "9"}, device="cpu")
    [prediction] = asked.predict_raw([photo()])
    settings = prediction.made_by.settings
    expected = {"steps": 1, "ensemble": 1, "seed": 9, "resolution": 32, "precision": "fp32"}
    assert expected.items() <= settings.items()
    assert settings["pipeline"] == "MarigoldDepthPipeline"
    assert len(prediction.made_by.weights_sha256) == 64


@pytest.mark.slow
def test_members_of_an_ensemble_go_through_the_network_one_at_a_time(depth_folder: Path) -> None:
    asked = model(depth_folder, steps=1, ensemble=4)
    assert isinstance(asked, DiffusionModel)
    sizes: list[int] = []
    unet: Any = asked.pipeline.unet
    hook = unet.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    answer(photo(), asked)
    hook.remove()
    assert sizes == [1] * 4


@pytest.mark.slow
def test_bf16_is_near_fp32(depth_folder: Path) -> None:
    exact = answer(photo(), model(depth_folder)).depth
    rough = answer(photo(), load_model(depth_folder, precision="bf16", device="cpu")).depth
    assert 0 < np.abs(rough - exact).max() < 0.1


def test_half_precision_weights_alone_are_read(folder: Path) -> None:
    for name in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"):
        (folder / f"{name}.safetensors").rename(folder / f"{name}.fp16.safetensors")
    assert answer(photo(), model(folder)).depth.shape == (24, 32)


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"prediction_type": "disparity"}, DepthKind.AFFINE_INVERSE),
        ({"shift_invariant": False}, DepthKind.UP_TO_SCALE),
    ],
)
def test_the_kind_is_the_one_that_the_pipeline_states(
    folder: Path, facts: dict[str, Any], kind: DepthKind
) -> None:
    edit_index(folder, **facts)
    assert model(folder).card.kind is kind


@pytest.mark.slow
def test_a_pipeline_that_states_no_kind_must_be_given_one(folder: Path) -> None:
    edit_index(folder, scale_invariant=False, shift_invariant=False)
    with pytest.raises(ModelError, match="of an unknown kind: state the kind with kind="):
        answer(photo(), model(folder))
    asked = load_model(folder, kind="affine", device="cpu")
    assert asked.card.kind is DepthKind.AFFINE


def test_a_kind_that_the_pipeline_contradicts_is_refused(
    depth_folder: Path, normals_folder: Path
) -> None:
    with pytest.raises(ModelError, match="states that its depth is affine, not metric"):
        load_model(depth_folder, kind="metric", device="cpu")
    with pytest.raises(ModelError, match="predicts normals, not metric depth"):
        load_model(normals_folder, kind="metric", device="cpu")


def test_known_repositories_are_in_the_table_with_kind_and_licence() -> None:
    from rilievo.models import MODELS

    for repository, known in REPOSITORIES.items():
        listed = MODELS[known.name]
        assert listed.source == repository
        assert listed.normals is (listed.kind is None)
        assert listed.licence in ("Apache-2.0", "OpenRAIL++-M")


def test_no_network_is_used_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="variable HF_HUB_OFFLINE"):
        load_model("marigold/depth-lcm")
    with pytest.raises(ModelError, match="variable HF_HUB_OFFLINE"):
        load_model("diffusers:somebody/pipeline@v2")


def test_the_index_is_read_as_it_was_saved(depth_folder: Path) -> None:
    entries = json.loads((depth_folder / "model_index.json").read_text())
    assert entries["_class_name"] == "MarigoldDepthPipeline"
    loaded = model(depth_folder)
    assert isinstance(loaded, DiffusionModel)
    assert dict(loaded.pipeline.config)["default_processing_resolution"] == 32
