"""Pipelines of diffusers with the real classes, a few thousand random weights, and no network."""

import json
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

DEPTH: dict[str, Any] = {
    "prediction_type": "depth",
    "scale_invariant": True,
    "shift_invariant": True,
}
NORMALS: dict[str, Any] = {"prediction_type": "normals", "use_full_z_range": True}
SCHEDULE: dict[str, Any] = {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}


def save_pipeline(folder: Path, *, normals: bool = False, lcm: bool = False, **facts: Any) -> Path:
    """A pipeline as its authors save one; ``facts`` go over its index."""
    # Not above: what only collects tests would wait for it.
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(7)
    scheduler = (
        diffusers.LCMScheduler(**SCHEDULE)
        if lcm
        else diffusers.DDIMScheduler(**SCHEDULE, clip_sample=False)
    )
    settings: dict[str, Any] = {"default_denoising_steps": 2, "default_processing_resolution": 32}
    kind = diffusers.MarigoldNormalsPipeline if normals else diffusers.MarigoldDepthPipeline
    pipeline = kind(
        unet=_unet(),
        vae=_vae(),
        scheduler=scheduler,
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(folder.with_name(f"{folder.name}-words")),
        **settings,
        **(NORMALS if normals else DEPTH),
    )
    pipeline.save_pretrained(folder)
    edit_index(folder, **facts)
    return folder


def as_released(folder: Path) -> Path:
    """Give a pipeline what released ones have, and what transformers 5 does not save.

    That is the words of the tokenizer, and ``text_model.`` before the names of the text encoder.
    """
    for name in ("vocab.json", "merges.txt"):
        copyfile(folder.with_name(f"{folder.name}-words") / name, folder / "tokenizer" / name)
    path = folder / "text_encoder" / "model.safetensors"
    names = {
        f"text_model.{name.removeprefix('text_model.')}": tensor
        for name, tensor in load_file(path).items()
    }
    save_file(names, path, metadata={"format": "pt"})
    return folder


def edit_index(folder: Path, **facts: Any) -> None:
    """Change entries of ``model_index.json``; None takes one away."""
    path = folder / "model_index.json"
    entries = json.loads(path.read_text()) | facts
    path.write_text(json.dumps({key: each for key, each in entries.items() if each is not None}))


def _unet() -> Any:
    import diffusers

    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def _vae() -> Any:
    import diffusers

    blocks: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }
    return diffusers.AutoencoderKL(**blocks, latent_channels=4, norm_num_groups=4)


def _text_encoder() -> Any:
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=8,
            intermediate_size=8,
            num_attention_heads=2,
            num_hidden_layers=1,
            vocab_size=4,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _tokenizer(folder: Path) -> Any:
    folder.mkdir()
    words = ("<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>")
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
