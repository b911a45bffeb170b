"""Every family: each image for itself, maps where the image is, layers and tokens as they say."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.training.networks.backbones import Backbone, make_backbone
from rilievo.training.networks.backbones.backbone import IMAGENET, NONE
from rilievo.training.networks.backbones.timm_backbones import (
    replace_position_embedding,
    sine_positions,
)
from rilievo.training.networks.features import Features, Padding
from support import tiny_backbones
from support.tiny_backbones import CONFIGS, TIMM, save_config

OTHERS = ("mobilenetv2", "support.tiny_backbones:Means")


def made(family: str, folder: Path, **options: Any) -> Backbone:
    name = save_config(folder, family) if family in CONFIGS else family
    return make_backbone(name, pretrained=False, **options)


def seen(backbone: Backbone, image: Tensor) -> Features:
    with torch.no_grad():
        return backbone(image)


@pytest.mark.slow
@pytest.mark.parametrize("family", [*CONFIGS, *TIMM, *OTHERS])
def test_every_family_sees_each_image_for_itself_as_its_facts_say(
    family: str, tmp_path: Path
) -> None:
    backbone = made(family, tmp_path)
    torch.manual_seed(0)
    size = backbone.properties.fixed or (42, 59)
    image = torch.rand(3, 3, *size)
    before, after = seen(backbone, image[:2]), seen(backbone, image[[1, 2]])
    pairs = [*zip(before.maps, after.maps, strict=True)]
    if before.tokens is not None and after.tokens is not None:
        pairs += zip(before.tokens, after.tokens, strict=True)
        assert backbone.token_channels == tuple(each.shape[1] for each in before.tokens)
    for old, new in pairs:
        changed, kept = (new[1] - old[0]).abs().max(), (new[0] - old[1]).abs().max()
        assert kept <= 1e-4 * changed
        assert changed > 0
    assert all(side % backbone.patch == 0 for side in before.padded)
    assert (before.box.height, before.box.width) == size
    assert [tuple(each.shape) for each in before.maps] == [
        (2, channels, before.padded[0] // stride, before.padded[1] // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert 1 <= len(before.maps) <= 4
    assert not backbone.training
    assert not any(each.requires_grad for each in backbone.parameters())
    assert backbone.properties.positions


def test_strides_of_transformers_pyramids_are_those_of_their_maps(tmp_path: Path) -> None:
    """ResNet's first convolution and pooling pad, so that an odd side is rounded up."""
    backbone = made("ResNetConfig", tmp_path)
    image = torch.rand(1, 3, 64, 96)
    body: Any = backbone.get_submodule("body")
    with torch.no_grad():
        states = body(image, output_hidden_states=True).hidden_states[1:]
    assert backbone.strides == tuple(64 // state.shape[2] for state in states)
    assert backbone.strides == (4, 8, 16, 32)
    assert [layer.shape for layer in seen(backbone, image).maps] == [
        layer.shape for layer in states
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Dinov2WithRegistersConfig", "DINOv3ViTConfig", "CLIPConfig"])
def test_layers_are_raw_outputs_of_blocks_without_registers(family: str, tmp_path: Path) -> None:
    backbone = made(family, tmp_path, layers=(1, 2), tokens=True)
    image = torch.rand(1, 3, 32, 48)
    pixels = (image - backbone.mean) / backbone.std
    body: Any = backbone.get_submodule("body")
    options = {"interpolate_pos_encoding": True} if family == "CLIPConfig" else {}
    with torch.no_grad():
        states = body(pixel_values=pixels, output_hidden_states=True, **options).hidden_states
    features = seen(backbone, image)
    assert features.tokens is not None
    for index, found, token in zip((1, 2), features.maps, features.tokens, strict=True):
        state = states[index + 1][0]
        for row, column in ((0, 0), (3, 5), (2, 1)):
            expected = state[len(state) - 24 + 6 * row + column]
            torch.testing.assert_close(found[0, :, row, column], expected)
        torch.testing.assert_close(token[0], state[0])


def test_timms_layers_are_its_blocks_run_by_hand() -> None:
    backbone = make_backbone("timm/test_vit", pretrained=False, layers=(0, 3), tokens=True)
    image = torch.rand(1, 3, 160, 160)
    body: Any = backbone.get_submodule("body")
    assert backbone.properties.normalisation.mean == tuple(body.pretrained_cfg["mean"])
    mean, std = (torch.tensor(body.pretrained_cfg[each])[:, None, None] for each in ("mean", "std"))
    features = seen(backbone, image)
    with torch.no_grad():
        x = body.patch_embed((image - mean) / std).flatten(1, 2)
        x = torch.cat([body.cls_token, x], 1) + body.pos_embed
        for index, block in enumerate(body.blocks):
            x = block(x)
            if index in (0, 3):
                place = (0, 3).index(index)
                expected = x[0, 1:].T.reshape(-1, 10, 10)
                torch.testing.assert_close(features.maps[place][0], expected)
                assert features.tokens is not None
                torch.testing.assert_close(features.tokens[place][0], x[0, 0])


def test_computed_positions_are_waves_of_the_column_and_then_of_the_row() -> None:
    found = sine_positions(3, 5, 8)
    assert found.shape == (15, 8)
    row, column = 2, 3
    waves = [
        wave(place / rate)
        for place in (column, row)
        for wave in (math.sin, math.cos)
        for rate in (1, 100)
    ]
    torch.testing.assert_close(found[5 * row + column], torch.tensor(waves))


def test_computed_positions_are_added_to_patches_of_any_size() -> None:
    from timm.models.vision_transformer import VisionTransformer

    body = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, dynamic_img_size=True
    ).eval()
    replace_position_embedding(body)
    image = torch.rand(2, 3, 16, 40)
    with torch.no_grad():
        found = body.forward_intermediates(image, intermediates_only=True)[0]
        patches = body.patch_embed(image).flatten(1, 2) + sine_positions(2, 5, 16)
        first = (body.cls_token + body.pos_embed[:, :1]).expand(2, -1, -1)
        expected = body.blocks[0](torch.cat([first, patches], 1))[:, 1:]
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), expected)


@pytest.mark.slow
def test_probe3d_takes_mae_one_block_early_and_computes_its_positions() -> None:
    name = "timm/vit_base_patch16_224.mae"
    ours = make_backbone(name, pretrained=False)
    theirs = make_backbone(name, pretrained=False, preset="probe3d")
    assert ours.properties.layers == (2, 5, 8, 11)
    assert theirs.properties.layers == (1, 4, 7, 10)
    assert theirs.properties.positions != ours.properties.positions
    with pytest.raises(InputError, match="both sides must be multiples of 16"):
        theirs(torch.rand(1, 3, 30, 32))
    assert seen(theirs, torch.rand(1, 3, 32, 48)).maps[0].shape == (1, 768, 2, 3)


def test_probe3d_takes_every_stage_of_a_convolutional_masked_autoencoder() -> None:
    backbone = make_backbone("timm/convnextv2_atto.fcmae", pretrained=False, preset="probe3d")
    assert backbone.properties.layers == (0, 1, 2, 3)
    assert backbone.properties.padding is Padding.OVER


@pytest.mark.slow
def test_probe3d_resizes_pyramids_and_normalises_all_alike(tmp_path: Path) -> None:
    for family in ("ConvNextConfig", "timm/test_convnext", "mobilenetv2"):
        backbone = made(family, tmp_path, preset="probe3d")
        maps = seen(backbone, torch.rand(1, 3, 64, 96)).maps
        assert {tuple(each.shape[2:]) for each in maps} == {(4, 6)}
        assert backbone.strides == (16, 16, 16, 16)
    clip = made("CLIPVisionConfig", tmp_path / "clip", preset="probe3d")
    assert clip.properties.normalisation == IMAGENET
    assert clip.properties.padding is Padding.OVER
    radio = made("RadioConfig", tmp_path / "radio", preset="probe3d")
    assert radio.properties.normalisation == NONE


def test_normalisation_comes_from_the_checkpoint_where_it_says_one(tmp_path: Path) -> None:
    name = save_config(tmp_path, "ViTConfig")
    said = '{"do_normalize": true, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}'
    (tmp_path / "preprocessor_config.json").write_text(said)
    facts = make_backbone(name, pretrained=False).properties
    assert facts.normalisation.mean == (0.1, 0.2, 0.3)
    assert facts.normalisation.std == (0.4, 0.5, 0.6)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert make_backbone(name, pretrained=False).properties.normalisation == NONE
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.1, "red"]}')
    with pytest.raises(ModelError, match=r"preprocessor_config\.json cannot be read"):
        make_backbone(name, pretrained=False)


@pytest.mark.slow
def test_class_tokens_are_taken_from_dino_unless_told(tmp_path: Path) -> None:
    assert made("Dinov2Config", tmp_path / "a").token_channels == (16,) * 4
    assert made("Dinov2Config", tmp_path / "a", tokens=False).token_channels is None
    assert made("DeiTConfig", tmp_path / "b").token_channels is None
    assert made("DeiTConfig", tmp_path / "b", tokens=True).token_channels == (16,) * 4
    named = tmp_path / "dino-vitb8"
    assert made("ViTConfig", named).token_channels is not None


@pytest.mark.parametrize("family", ["SiglipVisionConfig", "timm/test_resnet", "mobilenetv2"])
def test_a_backbone_without_class_token_says_so(family: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no class token: set 'tokens' to false"):
        made(family, tmp_path, tokens=True)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ViTConfig", "timm/test_vit", "mobilenetv2"])
def test_layers_that_do_not_exist_are_named_with_those_that_do(family: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"has no layer 30; known layers: 0, 1, 2, 3"):
        made(family, tmp_path, layers=(1, 30))
    with pytest.raises(OptionError, match="are not in ascending order"):
        made(family, tmp_path, layers=(2, 1))
    with pytest.raises(OptionError, match="needs at least one layer to take features from"):
        made(family, tmp_path, layers=())
    depth = made(family, tmp_path).properties.depth
    assert made(family, tmp_path, layers=(-1,)).properties.layers == (depth - 1,)


@pytest.mark.slow
def test_a_fixed_size_is_kept_to(tmp_path: Path) -> None:
    backbone = made("SamVisionConfig", tmp_path)
    with pytest.raises(InputError, match=r"images of 50 x 75 pixels.*only takes 64 x 64 pixels"):
        backbone(torch.rand(1, 3, 50, 75))


@pytest.mark.slow
def test_sam_in_probe3d_does_not_pad(tmp_path: Path) -> None:
    backbone = made("SamVisionConfig", tmp_path, preset="probe3d")
    with pytest.raises(InputError, match="both sides must be multiples of 16"):
        backbone(torch.rand(1, 3, 60, 64))


def test_networks_without_places_are_refused(tmp_path: Path) -> None:
    import transformers

    transformers.BertConfig(num_hidden_layers=1, hidden_size=12).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot run with an image as its only input"):
        make_backbone(f"hf/{tmp_path}", pretrained=False)
    for config, message in (
        (transformers.HieraConfig(), "orders its tokens by mask unit"),
        (transformers.ViTMAEConfig(), r"masks patches.*use timm/vit_base_patch16_224\.mae"),
    ):
        config.save_pretrained(tmp_path)
        with pytest.raises(ModelError, match=message):
            make_backbone(f"hf/{tmp_path}", pretrained=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/vit_bse_patch16_224", r"no model 'vit_bse_patch16_224' in timm; did you mean 'vit_"),
        ("resnet50", "no backbone 'resnet50'; known are timm/MODEL"),
        ("mobilenetv3", "no backbone 'mobilenetv3'; known are"),
        (
            "no_such_module:Class",
            "No module named 'no_such_module'; rilievo searched Python's module path",
        ),
        ("support.tiny_backbones:Nothing", "has no attribute .Nothing."),
        ("support.tiny_backbones:Unmakeable", "Unmakeable' cannot be created: KeyError: 'depth'"),
        ("support.tiny_backbones:Path", "is a .*Path; expected a class derived from .*OwnBackbone"),
        (
            "support.tiny_backbones:Silent",
            "does not define the class attributes 'patch' and 'available'",
        ),
    ],
)
def test_names_that_are_no_backbone_get_a_clear_line(name: str, message: str) -> None:
    assert tiny_backbones.Silent
    with pytest.raises((ModelError, OptionError), match=message) as caught:
        make_backbone(name, pretrained=False)
    assert "\n" not in str(caught.value)


def test_unknown_presets_are_named() -> None:
    with pytest.raises(OptionError, match="no preset 'probe2d'; known: default, probe3d"):
        make_backbone("mobilenetv2", preset="probe2d")


def test_random_weights_are_those_of_the_seed_and_leave_torch_alone() -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    first, again, other = (
        make_backbone("timm/test_vit", pretrained=False, seed=each) for each in (1, 1, 2)
    )
    assert torch.rand(1) == expected
    pairs = [
        (a, b, c)
        for (name, a), b, c in zip(
            first.named_parameters(), again.parameters(), other.parameters(), strict=True
        )
        if "blocks.0.attn.qkv.weight" in name
    ]
    for a, b, c in pairs:
        assert a.equal(b)
        assert not a.equal(c)
    assert len(pairs) == 1
