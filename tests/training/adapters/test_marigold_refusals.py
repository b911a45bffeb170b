"""Pipelines that cannot be used, settings out of range, answers that cannot be: one line each."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rilievo.errors import InputError, MissingExtraError, ModelError, OptionError
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.hub.diffusion_cards import DiffusionSettings, unlisted_card
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from rilievo.training.adapters.marigold import DiffusionModel
from support.tiny_pipelines import edit_index, save_pipeline

UNET = "unet/diffusion_pytorch_model.safetensors"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipelines") / "depth")


@pytest.fixture
def folder(depth_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(depth_folder, tmp_path / "pipeline"))


def model(folder: Path, **settings: Setting) -> Model:
    return load_model(folder, device="cpu", settings=settings)


def photo(height: int = 48, width: int = 64) -> Photo:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Photo(pixels=pixels, name="hall.jpg")


def answer(image: Photo, model: Model) -> Any:
    [inference] = model.infer([image])
    return inference


def test_tensors_that_are_missing_left_over_or_misshapen_are_listed(folder: Path) -> None:
    tensors = load_file(folder / UNET)
    tensors.pop("conv_in.bias")
    tensors["conv_in.weight"] = torch.zeros(7)
    tensors["of.no.use"] = torch.zeros(2)
    save_file(tensors, folder / UNET)
    with pytest.raises(ModelError) as caught:
        model(folder)
    assert "missing: unet.conv_in.bias; wrong shape: unet.conv_in.weight (7,) instead of " in str(
        caught.value
    )
    assert "extra: unet.of.no.use" in str(caught.value)


def test_tensors_of_no_use_alone_are_told_and_not_refused(folder: Path) -> None:
    save_file(load_file(folder / UNET) | {"of.no.use": torch.zeros(2)}, folder / UNET)
    with pytest.warns(UserWarning, match=r"that the network does not use: unet\.of\.no\.use"):
        model(folder)


def _cut(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:900])


def _say(folder: Path, part: str, **entries: Any) -> None:
    path = folder / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def _pickled(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet/diffusion_pytorch_model.bin")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_cut, "unet: cannot be loaded"),
        (_pickled, r"unet/diffusion_pytorch_model\.bin may contain code"),
        (lambda folder: (folder / UNET).unlink(), "unet: cannot be loaded"),
        (
            lambda folder: shutil.rmtree(folder / "vae"),
            "vae: is a part of the pipeline, but there is no such",
        ),
        (
            lambda folder: (folder / "vae/config.json").write_text("{"),
            "config.json: is not valid JSON",
        ),
        (
            lambda folder: _say(folder, "unet", block_out_channels=[64000] * 2),
            "unet: the configuration describes a network of",
        ),
        (
            lambda folder: _say(folder, "text_encoder", hidden_size=100_000, vocab_size=10**6),
            "text_encoder: the configuration describes a network of",
        ),
        (
            lambda folder: _say(folder, "text_encoder", _attn_implementation="org/kernel"),
            "may be code from the Hugging Face Hub",
        ),
        (
            lambda folder: edit_index(folder, **{"../x": ["diffusers", "U"]}),
            r"'\.\./x' is not a valid name",
        ),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "is not a valid index"),
        (
            lambda folder: edit_index(folder, vae=["my_code", "Vae"]),
            "its vae is from 'my_code', which is cus",
        ),
        (lambda folder: edit_index(folder, _class_name=["my", "P"]), "custom code that rilievo n"),
        (
            lambda folder: edit_index(folder, _class_name="Nonesuch"),
            "needs Nonesuch, which diffusers",
        ),
        (
            lambda folder: edit_index(folder, unet=["diffusers", "No"]),
            "needs No, which the installed version of diffusers",
        ),
        (lambda folder: edit_index(folder, unet=None), "its components do not form a pipeline"),
        (
            lambda folder: edit_index(folder, _class_name="StableDiffusionPipeline"),
            "a StableDiffusionPipeline, which does not have Marigold's interface",
        ),
    ],
)
def test_broken_folders_are_refused_in_one_line(folder: Path, harm: Any, words: str) -> None:
    harm(folder)
    with pytest.raises(ModelError, match=words) as caught:
        model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be 1 to 1000, got 0"),
        ({"ensemble": 2}, "ensemble must be 1, or 3 to 100"),
        ({"ensemble": "many"}, "ensemble must be an integer, got 'many'"),
        ({"seed": -1}, "seed must be 0 to"),
        ({"resolution": 31}, "resolution must be 0, or 32 to 8192"),
        ({"resolution": 33}, "resolution must be a multiple of 2"),
        ({"step": 4}, "has no setting 'step'; did you mean 'steps'"),
    ],
)
def test_settings_out_of_range_are_refused(
    depth_folder: Path, settings: dict[str, Setting], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        model(depth_folder, **settings)


@pytest.mark.slow
def test_a_pipeline_without_a_default_must_be_told(folder: Path) -> None:
    edit_index(folder, default_denoising_steps=None)
    with pytest.raises(
        OptionError, match=r"default for the setting .steps.: give a value with settings="
    ):
        model(folder)
    assert model(folder, steps=1).settings["steps"] == 1


def test_half_precision_is_for_cuda_alone(depth_folder: Path) -> None:
    with pytest.raises(OptionError, match="fp16 needs a GPU"):
        load_model(depth_folder, precision="fp16", device="cpu")


def test_a_strip_too_narrow_to_be_seen_is_refused(depth_folder: Path) -> None:
    with pytest.raises(InputError, match=r"hall\.jpg: .* too short \(2000 x 32 pixels\)"):
        answer(photo(height=32, width=2000), model(depth_folder))


@pytest.mark.parametrize("package", ["torch", "diffusers", "transformers"])
def test_a_package_that_is_missing_is_named_with_its_extra(
    depth_folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(
        "rilievo.training.adapters.saved_pipelines.find_spec",
        lambda name: None if name == package else name,
    )
    with pytest.raises(MissingExtraError, match=r"rilievo\[models\]"):
        model(depth_folder)


class Fake:
    """A pipeline that answers, or fails, as it is told."""

    default_denoising_steps = 1
    default_processing_resolution = 64

    def __init__(self, said: Any) -> None:
        self.said = said

    def to(self, _: Any) -> "Fake":
        return self

    def set_progress_bar_config(self, **_: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def said(prediction: Any, uncertainty: Any = None) -> Any:
    return SimpleNamespace(prediction=prediction, uncertainty=uncertainty)


def card() -> ModelCard:
    return unlisted_card("test/fake", DepthKind.AFFINE, local=False)


def fake(answer: Any, ensemble: int = 1) -> DiffusionModel:
    return DiffusionModel(
        card(),
        Fake(answer),
        LoadOptions(device="cpu"),
        DiffusionSettings(ensemble=ensemble),
        weights_sha256="0" * 64,
    )


def test_any_pipeline_that_answers_alike_can_be_used() -> None:
    field = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(1, 48, 64, 1)
    found = answer(photo(), fake(said(field, np.full_like(field, 0.3)), ensemble=3))
    np.testing.assert_array_equal(found.depth, field[0, ..., 0])
    np.testing.assert_allclose(found.confidence, 0.25)


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (said(np.full((1, 8, 8, 1), np.nan)), "NaN or infinite values at precision fp32"),
        (said(np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), np.inf)), "NaN or infinite values"),
        (said(np.ones((1, 8, 8, 2))), r"of shape \(1, 8, 8, 2\); expected"),
        (said(np.ones((3, 8, 8, 3))), r"of shape \(3, 8, 8, 3\); expected"),
        (SimpleNamespace(images=[]), "which has no prediction"),
        (MemoryError(), "not enough memory: use smaller values for settings="),
        (torch.OutOfMemoryError("CUDA out of memory"), "or settings=.'ensemble'"),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "not enough memory: use"),
        (RuntimeError("a\nb"), "the pipeline failed on a photograph of 64 x 48 pixels: a"),
    ],
)
def test_answers_that_cannot_be_and_failures_are_told(answered: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        answer(photo(), fake(answered, ensemble=3))
    assert "\n" not in str(caught.value)
