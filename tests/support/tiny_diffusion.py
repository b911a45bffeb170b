"""A text-to-image pipeline of diffusers with the real classes and a few thousand random weights."""

from pathlib import Path

import torch

from support.tiny_pipelines import save_pipeline


def save_text_to_image(folder: Path) -> Path:
    """A pipeline whose U-Net sees nothing but noisy latents and words."""
    import diffusers

    save_pipeline(folder)
    torch.manual_seed(11)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    unet.save_pretrained(folder / "unet")
    return folder
