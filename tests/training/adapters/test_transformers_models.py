"""Depth models of transformers: the same numbers as by its own processors, and clear refusals."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from rilievo.errors import ModelError, RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.models import MODELS, load_model
from rilievo.models.hub.checkpoints import CHECKPOINTS
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.adapters.torch_model import TorchModel
from rilievo.training.adapters.transformers_models import files_to_fetch
from support.network_numbers import assert_networks_agree
from support.tiny_checkpoints import FAMILIES, METRIC, Checkpoints, checkpoint, copied

__all__ = ["checkpoint"]


def waves(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = [128 + 100 * np.sin(rows / (17 + 9 * k) + columns / (29 - 5 * k)) for k in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


PHOTO = waves(130, 178)


@cache
def open_model(folder: Path, family: str) -> TorchModel:
    kind = "metric" if family in METRIC else "affine_inverse"
    model = load_model(folder, kind=kind, engine="torch")
    assert isinstance(model, TorchModel)
    return model


@cache
def their_model(folder: Path) -> torch.nn.Module:
    return transformers.AutoModelForDepthEstimation.from_pretrained(folder)


def their_answer(
    folder: Path, family: str, photo: np.ndarray = PHOTO
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Output of the model after transformers' own image processor, and its field of view."""
    # Their torchvision processors round 4 pixels in 1000 of a bicubic resize the other way.
    backend = "pil" if family.startswith(("dpt", "depth_anything", "glpn")) else "torchvision"
    backend = "torchvision" if family == "dpt_dinov2" else backend
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend=backend)
    with torch.inference_mode():
        said = their_model(folder)(**processor(images=photo, return_tensors="pt"))
    return said.predicted_depth[0], getattr(said, "field_of_view", None)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_answers_as_after_the_authors_own_preparation(
    checkpoint: Checkpoints, family: str
) -> None:
    folder = checkpoint(family)
    model = open_model(folder, family)
    image = model.preparation.pixels(PHOTO)
    ours = model.run(np.array(image)[None])["depth"][0]
    theirs = their_answer(folder, family)[0].numpy()
    if family == "depth_pro":
        theirs = 1 / np.clip(theirs, 1e-12, None)
        ours, theirs = np.log(ours), np.log(theirs)
    spread = np.ptp(theirs)
    assert spread > 0.01
    # TIPSv2 has a torchvision processor alone, which rounds some pixels the other way: how many
    # depends on torch's kernels.
    tolerance = 4e-3 if family == "tipsv2_dpt" else 1e-4
    assert_networks_agree(
        ours / spread, theirs / spread, median=tolerance / 5, tolerance=tolerance, limit=0.05
    )


def test_depth_pros_field_of_view_scales_its_depth_and_is_the_camera(
    checkpoint: Checkpoints,
) -> None:
    folder = checkpoint("depth_pro")
    photo = waves(300, 420)
    theirs, fov = their_answer(folder, "depth_pro", photo)
    assert fov is not None
    model = open_model(folder, "depth_pro")
    [prediction] = model.predict_raw([photo])
    assert prediction.camera is not None
    assert prediction.camera.source is CameraSource.PREDICTED
    focal = 0.5 * 420 / np.tan(np.radians(float(fov)) / 2)
    np.testing.assert_allclose(prediction.camera.K[0, 0], focal, rtol=1e-5)
    # Inverse depth times width / focal, resized, and one over it.
    inverse = interpolate((theirs * 420 / focal)[None, None], (300, 420), mode="bilinear")[0, 0]
    expected = 1 / inverse.clamp(1e-4, 1e4).numpy()
    np.testing.assert_allclose(prediction.depth.values, expected, rtol=1e-4)
    camera = Camera(K=np.array([[2 * focal, 0, 209.5], [0, 2 * focal, 149.5], [0, 0, 1]]))
    [twice] = model.predict_raw([Photo(pixels=photo, camera=camera)])
    assert twice.depth is not None
    assert twice.camera is camera
    np.testing.assert_allclose(twice.depth.values, 2 * prediction.depth.values, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_answers_as_its_photographs_one_by_one(
    checkpoint: Checkpoints, family: str
) -> None:
    model = open_model(checkpoint(family), family)
    photos = [PHOTO, PHOTO[::-1].copy()]
    for together, photo in zip(model.predict_raw(photos), photos, strict=True):
        [alone] = model.predict_raw([photo])
        assert together.depth is not None
        assert alone.depth is not None
        spread = np.ptp(alone.depth.values)
        assert_networks_agree(
            together.depth.values / spread,
            alone.depth.values / spread,
            median=2e-5,
            tolerance=1e-4,
            limit=0.01,
        )


def test_a_result_says_the_checkpoint_it_came_from(checkpoint: Checkpoints) -> None:
    folder = checkpoint("dpt")
    [prediction] = open_model(folder, "dpt").predict_raw([PHOTO])
    assert prediction.depth.kind is DepthKind.AFFINE_INVERSE
    made_by = prediction.made_by
    assert made_by.settings["source"] == str(folder)
    assert made_by.settings["resampling"] == "bicubic"
    assert made_by.model == str(folder)
    assert len(made_by.weights_sha256) == 64


def test_tensors_that_the_network_has_and_never_uses_may_be_missing(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    """The first DPT checkpoints of the hub lack these tensors."""
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    tensors = load_file(folder / "model.safetensors")
    unused = [name for name in tensors if ".fusion_stage.layers.0.residual_layer1." in f".{name}"]
    assert unused
    for name in unused:
        tensors.pop(name)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    [less] = load_model(folder, kind="affine_inverse", engine="torch").predict_raw([PHOTO])
    [whole] = open_model(checkpoint("dpt"), "dpt").predict_raw([PHOTO])
    assert less.depth is not None
    assert whole.depth is not None
    np.testing.assert_array_equal(less.depth.values, whole.depth.values)


def test_old_weights_are_read_as_weights_only(checkpoint: Checkpoints, tmp_path: Path) -> None:
    folder = copied(checkpoint("glpn"), tmp_path / "glpn")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    [old] = load_model(folder, kind="metric", engine="torch").predict_raw([PHOTO])
    [new] = open_model(checkpoint("glpn"), "glpn").predict_raw([PHOTO])
    assert old.depth is not None
    assert new.depth is not None
    np.testing.assert_array_equal(old.depth.values, new.depth.values)


def test_options_go_to_the_engine(checkpoint: Checkpoints) -> None:
    with pytest.raises(
        RilievoError, match="the engine onnxruntime does not offer the precision 'fp16'"
    ):
        load_model(checkpoint("glpn"), kind="metric", engine="onnxruntime", precision="fp16")


def test_safetensors_go_before_pickles_and_other_formats_are_left() -> None:
    files = ["config.json", "README.md", "model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    assert files_to_fetch(files) == ["config.json", "model.safetensors"]
    assert files_to_fetch(["config.json", "pytorch_model.bin"])[1:] == ["pytorch_model.bin"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert files_to_fetch(["config.json", *shards, "model.safetensors.index.json"])[1:3] == shards
    with pytest.raises(ModelError, match=r"does not read .*weights\.pkl, which may contain code"):
        files_to_fetch(["config.json", "weights.pkl"])
    with pytest.raises(ModelError, match=r"do not include config\.json"):
        files_to_fetch(["model.safetensors"])


@pytest.mark.parametrize("repository", CHECKPOINTS)
def test_every_known_checkpoint_states_what_must_be_known(repository: str) -> None:
    known = CHECKPOINTS[repository]
    assert repository.count("/") == 1
    assert known.licence
    assert known.commercial is not ("NC" in known.licence or "amlr" in known.licence)
    if known.name != repository:
        assert MODELS[known.name].source == repository
        assert MODELS[known.name].extra == "models"
