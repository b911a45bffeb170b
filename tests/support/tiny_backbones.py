"""Backbones of every family with a few thousand random weights, and own ones, without network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from rilievo.training.networks.backbones import Layer, OwnBackbone
from rilievo.training.networks.backbones.backbone import NONE

_BLOCKS = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
_GRID = {"image_size": 32, "patch_size": 8}
_STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
_WORDS = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "vocab_size": 10,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
_SAM = {
    **_BLOCKS,
    "image_size": 64,
    "patch_size": 16,
    "window_size": 3,
    "global_attn_indexes": [1, 3],
    "mlp_dim": 32,
    "output_channels": 8,
}

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "ViTConfig": {**_BLOCKS, **_GRID},
    "DeiTConfig": {**_BLOCKS, **_GRID},
    "Dinov2Config": {**_BLOCKS, **_GRID},
    "Dinov2WithRegistersConfig": {**_BLOCKS, **_GRID},
    "DINOv3ViTConfig": {**_BLOCKS, **_GRID, "num_register_tokens": 2},
    "CLIPConfig": {"vision_config": {**_BLOCKS, **_GRID}, "text_config": _WORDS},
    "CLIPVisionConfig": {**_BLOCKS, **_GRID},
    "SiglipVisionConfig": {**_BLOCKS, **_GRID},
    "BeitConfig": {**_BLOCKS, **_GRID, "use_relative_position_bias": True},
    "DPTConfig": {**_BLOCKS, **_GRID},
    "SamVisionConfig": _SAM,
    "RadioConfig": {
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "patch_size": 8,
        "max_img_size": 256,
        "image_size": 64,
    },
    "ConvNextConfig": _STAGES,
    "ResNetConfig": {**_STAGES, "embedding_size": 8},
    "SegformerConfig": {
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "decoder_hidden_size": 8,
    },
}
"""Configurations of transformers, by their names."""

TIMM = (
    "timm/test_vit",
    "timm/test_vit2",
    "timm/test_vit3",
    "timm/test_vit4",
    "timm/test_convnext",
    "timm/test_resnet",
    "timm/test_efficientnet",
    "timm/test_byobnet",
)
"""Backbones of timm, which has them for such tests."""


def save_config(folder: Path, kind: str, **changes: Any) -> str:
    """A folder with a configuration alone; its backbone's name."""
    getattr(transformers, kind)(**{**CONFIGS[kind], **changes}).save_pretrained(folder)
    return f"hf/{folder}"


def save_model(folder: Path, kind: str, **changes: Any) -> str:
    """A folder with a configuration and random weights; its backbone's name."""
    torch.manual_seed(3)
    config = getattr(transformers, kind)(**{**CONFIGS[kind], **changes})
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    settings = '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    (folder / "preprocessor_config.json").write_text(settings)
    return f"hf/{folder}"


class Means(OwnBackbone):
    """The mean colour of cells of 4 and of 8 pixels, and of the image as class token."""

    patch = 8
    available = (Layer(channels=3, stride=4), Layer(channels=3, stride=8))
    normalisation = NONE
    has_tokens = True

    def maps(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.avg_pool2d(pixels, 4), nn.functional.avg_pool2d(pixels, 8)

    def class_tokens(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        mean = pixels.mean((2, 3))
        return mean, 2 * mean


class Learnt(OwnBackbone):
    """One convolution, whose weights can come from a file; without class token."""

    patch = 4
    available = (Layer(channels=5, stride=4),)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 5, 4, 4)

    def maps(self, pixels: Tensor) -> tuple[Tensor]:
        return (self.body(pixels),)


class Shrinks(Learnt):
    """Says a stride that is not its own."""

    available = (Layer(channels=5, stride=2),)


class Silent(OwnBackbone):
    """Says nothing of itself."""

    def maps(self, pixels: Tensor) -> tuple[Tensor]:
        return (pixels,)


class Unmakeable(Learnt):
    """Fails in its own way when it is made."""

    def __init__(self) -> None:
        raise KeyError("depth")
