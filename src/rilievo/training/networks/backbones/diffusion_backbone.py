"""The U-Net of a Stable Diffusion as a backbone (DIFT, L. Tang et al. 2023)."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.errors import ModelError, OptionError, RilievoError, explain_missing_extra
from rilievo.training.networks.backbones.backbone import (
    HALF,
    IMAGENET,
    Backbone,
    BackboneProperties,
    BackboneRequest,
    Layer,
    LayerOutputs,
    LayerRecorder,
    Preset,
    make_properties,
    no_class_token_error,
)
from rilievo.training.networks.backbones.weights import (
    check_complete_weights,
    download_error,
    temporary_torch_seed,
)

PREFIX = "diffusers/"
_EXTRA = "models"
"""Extra of the package that installs diffusers."""
_TIMESTEP = 1
"""Time of the noise, as in Probe3D."""


class DiffusionBackbone(Backbone):
    """Up-blocks of the U-Net of Stable Diffusion, which denoises latents with an empty prompt."""

    prompt: Tensor
    resampling = "nearest"

    def __init__(
        self,
        properties: BackboneProperties,
        pipeline_parts: Mapping[str, Any],
        request: BackboneRequest,
    ) -> None:
        """Take the U-Net and the VAE's encoder from the parts of a pipeline."""
        super().__init__(properties)
        # The names of these three modules are part of stored weights.
        self.unet = pipeline_parts["unet"]
        self.vae = pipeline_parts["vae"].encoder
        self.quantise = pipeline_parts["vae"].quant_conv  # None in some pipelines
        self.latent_scale = float(pipeline_parts["vae"].config.scaling_factor)
        self.seed = request.seed
        # noisy = sqrt(alpha_bar) * latents + sqrt(1 - alpha_bar) * noise
        alpha_bar = float(pipeline_parts["scheduler"].alphas_cumprod[_TIMESTEP])
        self.signal_scale = alpha_bar**0.5
        self.noise_scale = (1 - alpha_bar) ** 0.5
        self.register_buffer("prompt", _encode_empty_prompt(pipeline_parts), persistent=False)
        self.recorder = LayerRecorder(
            {layer: self.unet.up_blocks[layer] for layer in properties.layers}
        )

    def layer_outputs(self, pixels: Float[Tensor, "b 3 h w"]) -> LayerOutputs:
        """Encode pixels, add noise of the seed, and run the U-Net once."""
        moments = self.vae(pixels)
        if self.quantise is not None:
            moments = self.quantise(moments)
        mean, _log_variance = moments.chunk(2, dim=1)
        latents = mean * self.latent_scale
        noise = self._seeded_noise(latents)
        noisy = self.signal_scale * latents + self.noise_scale * noise
        output_by_layer = self.recorder.record_outputs(self._run_unet, noisy)
        return LayerOutputs(maps=tuple(output_by_layer[layer] for layer in self.properties.layers))

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
        raise no_class_token_error(request.name)
    if isinstance(request.pretrained, Path):
        raise OptionError(
            f"backbone '{request.name}' reads its weights from its own folder: pass that folder as "
            f"{PREFIX}FOLDER instead of a weights file"
        )
    parts = _load_pipeline_parts(request)
    return DiffusionBackbone(_unet_properties(request, parts), parts, request)


def _unet_properties(request: BackboneRequest, parts: Mapping[str, Any]) -> BackboneProperties:
    """Properties of a U-Net, whose layers are its up-blocks, the coarsest first."""
    latent_stride = 2 ** (len(parts["vae"].config.block_out_channels) - 1)
    up_block_channels = parts["unet"].config.block_out_channels[::-1]
    coarsest_stride = latent_stride * 2 ** (len(up_block_channels) - 1)
    # Every up-block but the last doubles the size; the last one stays at the size of the latents.
    layers = [
        Layer(channels=channels, stride=max(latent_stride, coarsest_stride // 2 ** (index + 1)))
        for index, channels in enumerate(up_block_channels)
    ]
    # The encoder expects -1 to 1. Probe3D uses ImageNet's normalisation for every network.
    return make_properties(
        request,
        layers,
        IMAGENET if request.preset is Preset.PROBE3D else HALF,
        positions="none beyond the network's borders",
        patch=coarsest_stride,
        details=f"diffusers {version('diffusers')}, timestep {_TIMESTEP}, "
        f"noise of seed {request.seed}",
    )


def _load_pipeline_parts(request: BackboneRequest) -> Mapping[str, Any]:
    """Load the parts of a pipeline by name; the U-Net has random weights if that was requested."""
    with explain_missing_extra(f"backbone '{request.name}'", _EXTRA):
        diffusers: Any = import_module("diffusers")
        transformers: Any = import_module("transformers")
    source = request.name.removeprefix(PREFIX)
    part_classes = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.CLIPTextModel,
        "tokenizer": transformers.CLIPTokenizer,
        "scheduler": diffusers.DDIMScheduler,
    }
    try:
        parts = {
            part: _load_part(part_class, source, part, request.name)
            for part, part_class in part_classes.items()
        }
        if request.pretrained is False:
            with temporary_torch_seed(request.seed):
                parts["unet"] = diffusers.UNet2DConditionModel.from_config(parts["unet"].config)
    except RilievoError:
        raise
    except Exception as error:  # errors of the hub, its client, a configuration or the weights
        raise download_error(request.name, error) from error
    unet_channels = parts["unet"].config.in_channels
    latent_channels = parts["vae"].config.latent_channels
    if unet_channels != latent_channels:
        raise ModelError(
            f"backbone '{request.name}': its U-Net takes {unet_channels} channels; expected "
            f"{latent_channels}, the number of channels of an image's latents"
        )
    return parts


def _load_part(part_class: Any, source: str, part: str, name: str) -> Any:
    """Load a part; ``ModelError`` if the weights of a network are incomplete."""
    if part in ("tokenizer", "scheduler"):
        return part_class.from_pretrained(source, subfolder=part)
    network, info = part_class.from_pretrained(source, subfolder=part, output_loading_info=True)
    misshapen = sorted(str(mismatch[0]) for mismatch in info["mismatched_keys"])
    check_complete_weights(f"backbone '{name}', {part}", sorted(info["missing_keys"]), misshapen)
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
