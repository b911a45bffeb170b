"""The U-Net of a Stable Diffusion as a backbone (DIFT, L. Tang et al. 2023)."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.errors import ModelError, OptionError, RilievoError, needing
from rilievo.training.networks.backbones.backbone import (
    HALF,
    IMAGENET,
    Backbone,
    BackboneRequest,
    Facts,
    Layer,
    LayerOutputs,
    Preset,
    Taps,
    make_facts,
    no_tokens_error,
)
from rilievo.training.networks.backbones.weights import (
    check_whole,
    download_error,
    temporary_torch_seed,
)

PREFIX = "diffusers/"
_EXTRA = "models"
"""Extra of the package that installs diffusers."""
_TIMESTEP = 1
"""Time of the noise, as in Probe3D."""


class DiffusionBackbone(Backbone):
    """The up-blocks of the U-Net of Stable Diffusion, with an empty prompt."""

    prompt: Tensor
    resampling = "nearest"

    def __init__(self, facts: Facts, parts: Mapping[str, Any], request: BackboneRequest) -> None:
        super().__init__(facts)
        self.unet, self.vae = parts["unet"], parts["vae"].encoder
        self.quantise = parts["vae"].quant_conv
        self.scale = float(parts["vae"].config.scaling_factor)
        self.seed = request.seed
        signal_share = float(parts["scheduler"].alphas_cumprod[_TIMESTEP])
        self.signal, self.noise = signal_share**0.5, (1 - signal_share) ** 0.5
        self.register_buffer("prompt", _encode_empty_prompt(parts), persistent=False)
        self.taps = Taps({layer: self.unet.up_blocks[layer] for layer in facts.layers})

    def layer_outputs(self, pixels: Float[Tensor, "b 3 h w"]) -> LayerOutputs:
        """Encode pixels, add noise of the seed, and run the U-Net once."""
        moments = self.vae(pixels)
        if self.quantise is not None:
            moments = self.quantise(moments)
        mean, _log_variance = moments.chunk(2, dim=1)
        latents = mean * self.scale
        noisy = self.signal * latents + self.noise * self._seeded_noise(latents)
        outputs = self.taps.run(self._run_unet, noisy)
        return LayerOutputs(maps=tuple(outputs[layer] for layer in self.facts.layers))

    def _run_unet(self, noisy: Tensor) -> object:
        time = torch.full((noisy.shape[0],), _TIMESTEP, device=noisy.device)
        prompt = self.prompt.to(noisy).expand(noisy.shape[0], -1, -1)
        return self.unet(noisy, time, encoder_hidden_states=prompt, return_dict=False)

    def _seeded_noise(self, like: Float[Tensor, "b c h w"]) -> Float[Tensor, "1 c h w"]:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn((1, *like.shape[1:]), generator=generator).to(like)


def load(request: BackboneRequest) -> Backbone:
    """Load the U-Net of a latent diffusion pipeline, from a repository or a folder."""
    if request.tokens:
        raise no_tokens_error(request.name)
    if isinstance(request.pretrained, Path):
        raise OptionError(
            f"backbone '{request.name}' reads its weights from its own folder: name that folder "
            f"as {PREFIX}FOLDER instead of a file of weights"
        )
    parts = _load_pipeline_parts(request)
    return DiffusionBackbone(_unet_facts(request, parts), parts, request)


def _unet_facts(request: BackboneRequest, parts: Mapping[str, Any]) -> Facts:
    unet = parts["unet"]
    latent_stride = 2 ** (len(parts["vae"].config.block_out_channels) - 1)
    widths = unet.config.block_out_channels[::-1]
    coarsest_stride = latent_stride * 2 ** (len(widths) - 1)
    # Every up-block but the last doubles the size of its output.
    layers = [
        Layer(channels=width, stride=max(latent_stride, coarsest_stride // 2 ** (index + 1)))
        for index, width in enumerate(widths)
    ]
    # The encoder expects -1 to 1; Probe3D gives it ImageNet's normalisation, as every network.
    return make_facts(
        request,
        layers,
        IMAGENET if request.preset is Preset.PROBE3D else HALF,
        "none beyond the network's borders",
        patch=coarsest_stride,
        details=f"diffusers {version('diffusers')}, timestep {_TIMESTEP}, "
        f"noise of seed {request.seed}",
    )


def _load_pipeline_parts(request: BackboneRequest) -> Mapping[str, Any]:
    with needing(f"backbone '{request.name}'", _EXTRA):
        diffusers: Any = import_module("diffusers")
        transformers: Any = import_module("transformers")
    where = request.name.removeprefix(PREFIX)
    kinds = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.CLIPTextModel,
        "tokenizer": transformers.CLIPTokenizer,
        "scheduler": diffusers.DDIMScheduler,
    }
    try:
        parts = {part: _load_whole_part(kinds[part], where, part, request.name) for part in kinds}
        if request.pretrained is False:
            with temporary_torch_seed(request.seed):
                parts["unet"] = diffusers.UNet2DConditionModel.from_config(parts["unet"].config)
    except RilievoError:
        raise
    # Errors of the hub, its client, a configuration or a file of weights.
    except Exception as error:
        raise download_error(request.name, error) from error
    if parts["unet"].config.in_channels != parts["vae"].config.latent_channels:
        raise ModelError(
            f"backbone '{request.name}': its U-Net takes {parts['unet'].config.in_channels} "
            f"channels, but an image has {parts['vae'].config.latent_channels} latents: "
            "a U-Net that sees images alone is expected"
        )
    return parts


def _load_whole_part(kind: Any, where: str, part: str, name: str) -> Any:
    if part in ("tokenizer", "scheduler"):
        return kind.from_pretrained(where, subfolder=part)
    network, info = kind.from_pretrained(where, subfolder=part, output_loading_info=True)
    misshapen = sorted(str(mismatch[0]) for mismatch in info["mismatched_keys"])
    check_whole(f"backbone '{name}', {part}", sorted(info["missing_keys"]), misshapen)
    return network


def _encode_empty_prompt(parts: Mapping[str, Any]) -> Tensor:
    tokens = parts["tokenizer"](
        "",
        padding="max_length",
        max_length=parts["tokenizer"].model_max_length,
        return_tensors="pt",
    )
    with torch.no_grad():
        return parts["text_encoder"](tokens.input_ids).last_hidden_state.detach()
