"""Weights of backbones: from files, whole or refused; own classes; padding; diffusion."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.training.networks.backbones import Backbone, make_backbone, weights_sha256
from rilievo.training.networks.backbones.backbone import default_layers
from rilievo.training.networks.features import Padding, box_in_padded, padded_size
from support import tiny_backbones, tiny_diffusion, tiny_pipelines
from support.tiny_backbones import Means, save_model

SIDES = st.integers(1, 700)


def answer(backbone: Backbone) -> torch.Tensor:
    with torch.no_grad():
        return backbone(torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)).maps[-1]


@given(height=SIDES, width=SIDES, patch=st.sampled_from([1, 8, 14, 16, 32]))
@settings(deadline=None)
def test_padding_is_the_least_and_the_image_lies_in_its_middle(
    height: int, width: int, patch: int
) -> None:
    padded = padded_size((height, width), patch, Padding.MINIMAL)
    box = box_in_padded((height, width), patch, Padding.MINIMAL)
    for side, whole, start in ((height, padded[0], box.top), (width, padded[1], box.left)):
        assert whole % patch == 0
        assert 0 <= whole - side < patch
        assert 0 <= (whole - side - start) - start <= 1


@pytest.mark.parametrize(
    ("size", "patch", "minimal", "over"),
    [
        ((480, 480), 14, (490, 490), (490, 490)),
        ((512, 512), 14, (518, 518), (518, 518)),
        ((480, 504), 14, (490, 504), (490, 518)),
        ((480, 480), 16, (480, 480), (480, 480)),
    ],
)
def test_probe3d_pads_a_whole_patch_where_one_side_alone_divides(
    size: tuple[int, int], patch: int, minimal: tuple[int, int], over: tuple[int, int]
) -> None:
    assert padded_size(size, patch, Padding.MINIMAL) == minimal
    assert padded_size(size, patch, Padding.OVER) == over


@pytest.mark.parametrize(
    ("count", "expected"),
    [(12, (2, 5, 8, 11)), (24, (5, 11, 17, 23)), (32, (7, 15, 23, 31)), (40, (9, 19, 29, 39)),
     (3, (0, 1, 2))],
)  # fmt: skip
def test_four_layers_are_spread_evenly(count: int, expected: tuple[int, ...]) -> None:
    assert default_layers("x", [16] * count) == expected


def test_the_last_four_of_a_pyramid_are_taken() -> None:
    assert default_layers("x", [2, 4, 8, 16, 32]) == (1, 2, 3, 4)


def test_the_box_says_where_the_image_is() -> None:
    backbone = make_backbone("support.tiny_backbones:Means")
    image = torch.zeros(1, 3, 21, 30)
    image[0, 1, 0, 0] = 16.0
    image[0, 2, 20, 29] = 16.0
    features = backbone(image)
    top, left = features.box.top, features.box.left
    assert (features.padded, top, left) == ((24, 32), 1, 1)
    fine = features.maps[0][0]
    assert fine[1].nonzero().tolist() == [[top // 4, left // 4]]
    assert fine[2].nonzero().tolist() == [[(top + 20) // 4, (left + 29) // 4]]
    assert fine.sum() == 2
    assert features.tokens is None


def test_an_own_class_gives_the_layers_and_tokens_that_are_chosen() -> None:
    backbone = make_backbone("support.tiny_backbones:Means", layers=(1,), tokens=True, seed=3)
    image = torch.rand(2, 3, 16, 16)
    features = backbone(image)
    assert (backbone.name, backbone.patch, backbone.strides) == (
        "support.tiny_backbones:Means",
        8,
        (8,),
    )
    torch.testing.assert_close(features.maps[0][:, :, 1, 0], image[:, :, 8:, :8].mean((2, 3)))
    assert features.tokens is not None
    torch.testing.assert_close(features.tokens[0], 2 * image.mean((2, 3)))


def test_an_own_class_that_breaks_its_word_is_told() -> None:
    with pytest.raises(
        ModelError, match=r"layer 0: returned a map of 5 x 4 x 4.*expected 5 x 8 x 8"
    ):
        make_backbone("support.tiny_backbones:Shrinks")(torch.rand(1, 3, 16, 16))
    with pytest.raises(OptionError, match="has no class token"):
        make_backbone("support.tiny_backbones:Learnt", tokens=True)
    with pytest.raises(OptionError, match="has no layer 2; known layers: 0, 1"):
        make_backbone("support.tiny_backbones:Means", layers=(2,))
    assert issubclass(tiny_backbones.Shrinks, tiny_backbones.Learnt)
    assert Means.patch == 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["support.tiny_backbones:Learnt", "timm/test_vit", "mobilenetv2"])
def test_weights_come_from_a_file_with_or_without_wrapping(name: str, tmp_path: Path) -> None:
    source = make_backbone(name, pretrained=False, seed=5)
    body: Any = source if name.startswith("support.") else source.get_submodule("body")
    state = body.state_dict()
    save_file(state, tmp_path / "plain.safetensors")
    torch.save(
        {"epoch": 3, "teacher": {f"module.{key}": each for key, each in state.items()}},
        tmp_path / "wrapped.pth",
    )
    expected = answer(source)
    assert not answer(make_backbone(name, pretrained=False)).equal(expected)
    for file in ("plain.safetensors", "wrapped.pth"):
        loaded = make_backbone(name, pretrained=tmp_path / file)
        torch.testing.assert_close(answer(loaded), expected)
        assert weights_sha256(loaded) == weights_sha256(source)
    assert weights_sha256(make_backbone(name, pretrained=False)) != weights_sha256(source)


def test_weights_that_do_not_fill_the_network_are_refused(tmp_path: Path) -> None:
    name, path = "support.tiny_backbones:Learnt", tmp_path / "weights.safetensors"
    state = make_backbone(name, pretrained=False).state_dict()
    save_file({"body.bias": state["body.bias"]}, path)
    with pytest.raises(ModelError, match=r"weights\.safetensors: .*missing: body\.weight"):
        make_backbone(name, pretrained=path)
    save_file({**state, "body.bias": torch.zeros(7)}, path)
    with pytest.raises(ModelError, match=r"wrong shape: body\.bias \(7,\) instead of \(5,\)"):
        make_backbone(name, pretrained=path)
    save_file({**state, "head.weight": torch.zeros(7)}, path)
    with pytest.warns(UserWarning, match=r"tensors that the network does not use: head\.weight"):
        make_backbone(name, pretrained=path)
    path.write_bytes(b"{}")
    with pytest.raises(ModelError, match="no readable weights"):
        make_backbone(name, pretrained=path)
    with pytest.raises(InputError, match="no such file"):
        make_backbone(name, pretrained=tmp_path / "none.pth")
    with pytest.raises(ModelError, match=r"save the initializers of mobilenetv2-7\.onnx"):
        make_backbone("mobilenetv2", pretrained=True)


@pytest.mark.slow
def test_a_checkpoint_of_transformers_is_loaded_and_a_partial_one_refused(tmp_path: Path) -> None:
    name = save_model(tmp_path / "whole", "Dinov2Config")
    loaded, random = make_backbone(name), make_backbone(name, pretrained=False)
    file = tmp_path / "whole" / "model.safetensors"
    state = load_file(file)
    [key] = [
        each for each in state if each.startswith("encoder.layer.3") and "query.weight" in each
    ]
    stored = {each.data_ptr(): each for each in loaded.parameters() if each.shape == (16, 16)}
    assert any(each.equal(state[key]) for each in stored.values())
    assert not answer(loaded).equal(answer(random))
    del state[key]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing: encoder\.layer\.3\.attention\.q_proj\.weight"):
        make_backbone(name)


def test_weights_without_a_normalisation_are_told(tmp_path: Path) -> None:
    name = save_model(tmp_path, "ViTConfig")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.warns(UserWarning, match="has no preprocessor_config.json: pixels are normalised"):
        make_backbone(name)


@pytest.mark.parametrize("name", ["hf/nobody/nothing-of-this-name", "timm/test_vit.r160_in1k"])
def test_without_network_one_line_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="is there an internet connection") as caught:
        make_backbone(name)
    assert "\n" not in str(caught.value)


def test_images_on_another_device_are_refused() -> None:
    backbone = make_backbone("support.tiny_backbones:Learnt").to("meta")
    with pytest.raises(ModelError, match="is on meta but the images are on cpu: move one"):
        backbone(torch.rand(1, 3, 16, 16))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pipelines") / "diffusion"
    return f"diffusers/{tiny_diffusion.save_text_to_image(folder)}"


def test_a_diffusion_model_gives_its_up_blocks_for_each_image_alone(pipeline: str) -> None:
    backbone = make_backbone(pipeline)
    image = torch.rand(3, 3, 30, 40)
    before, after = backbone(image[:2]), backbone(image[[1, 2]])
    assert before.padded == (32, 40)
    assert (backbone.strides, backbone.patch, backbone.channels) == ((2, 2), 4, (8, 8))
    for old, new in zip(before.maps, after.maps, strict=True):
        assert old.shape == (2, 8, 16, 20)
        torch.testing.assert_close(new[0], old[1], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(new[1], old[0], atol=1e-3)


@pytest.mark.slow
def test_the_noise_is_that_of_the_seed(pipeline: str) -> None:
    image = torch.rand(1, 3, 32, 32)
    first, again, temporary_torch_seed = (
        make_backbone(pipeline, seed=seed)(image).maps[0] for seed in (0, 0, 1)
    )
    assert first.equal(again)
    assert not torch.allclose(first, temporary_torch_seed, atol=1e-3)


def test_a_pipeline_that_sees_more_than_an_image_is_refused(tmp_path: Path) -> None:
    folder = tiny_pipelines.save_pipeline(tmp_path / "marigold")
    with pytest.raises(ModelError, match="takes 8 channels; expected 4, the number"):
        make_backbone(f"diffusers/{folder}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_backbone(f"diffusers/{tmp_path}")
