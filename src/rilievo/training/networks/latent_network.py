"""U-Net of a Marigold pipeline (Ke et al. 2024), which learns in its autoencoder's latent space.

Depth between its 2nd and 98th percentile becomes -1 to 1. The noise is that of the start's own
scheduler, as in the paper's program (commit 766e74a); the later one leaves no signal at the last
time.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Shaped
from rilievo.errors import ModelError, OptionError
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.training.tensors import Images, Maps, Masks, Scalar

_MAX_RANKED = 2**24
"""Most numbers that torch's quantiles take."""
_QUANTILES = (0.02, 0.98)
"""Quantiles of depth that become -1 and 1."""
_NOISE_STRENGTH = 0.9
"""Weight of coarser noise at the last time, relative to the next finer one."""
_MAX_RESOLUTIONS = 10
"""Most resolutions of noise."""


class LatentNetwork(nn.Module):
    """U-Net of a Marigold pipeline, for training; copies share the parts that do not learn.

    Attributes:
        unet: Network that learns.
        preparation: How photographs are resized and normalised.
    """

    outputs = ("depth",)

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        from diffusers import DDPMScheduler

        if "LCM" in type(pipeline.scheduler).__name__:
            problem = "names a model that was distilled to few steps: start from its teacher"
            raise OptionError(option="start", problem=problem)
        self.unet, self._pipeline = pipeline.unet, pipeline
        multiple = pipeline.vae_scale_factor
        longest = pipeline.default_processing_resolution
        sizing = Sizing(rule=Rule.LONGEST_EDGE, height=longest, width=longest, multiple=multiple)
        if not longest:
            sizing = Sizing(rule=Rule.FLOOR, area=10**8, multiple=multiple)
        self.preparation = Preparation(
            sizing=sizing, resampling=Resampling.BILINEAR, mean=(0.5,) * 3, std=(0.5,) * 3
        )
        self._noising: Any = DDPMScheduler.from_config(pipeline.scheduler.config)
        self._empty_prompt: Tensor | None = None

    def __deepcopy__(self, memo: Any) -> "LatentNetwork":
        return LatentNetwork(self._copy_pipeline_with(copy.deepcopy(self.unet, memo)))

    def _copy_pipeline_with(self, unet: nn.Module) -> Any:
        pipeline = copy.copy(self._pipeline)
        pipeline.unet = unet
        return pipeline

    @property
    def pipeline(self) -> Any:
        """Pipeline with the current U-Net."""
        return self._pipeline

    def forward(self, image: Shaped[Tensor, "b h w 3"], target: Maps, valid: Masks) -> Scalar:
        """Compute the squared error of a denoising step, over latent pixels of known depth.

        Args:
            image: RGB in 0..255.
            target: Depth.
            valid: Pixels whose depth is known. Images without any are left out.
        """
        has_depth = valid.flatten(1).any(dim=1)
        image, target, valid = image[has_depth], target[has_depth], valid[has_depth]
        pixels = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            image_latents = self._encode_to_latents(pixels)
            scaled_depth = _scale_percentiles_to_one(target, valid)
            depth_latents = self._encode_to_latents(scaled_depth[:, None].expand(-1, 3, -1, -1))
            time_count = self._noising.config.num_train_timesteps
            times = torch.randint(0, time_count, (len(image),), device=image.device)
            noise = layered_noise(depth_latents, _NOISE_STRENGTH * times / time_count)
            noisy = self._noising.add_noise(depth_latents, noise, times)
            prompt = self._encode_empty_prompt().to(image.device).expand(len(image), -1, -1)
        unet_input = torch.cat([image_latents, noisy], dim=1)
        predicted = self.unet(unet_input, times, prompt).sample.float()
        goal = self._denoising_target(depth_latents, noise, times)

        # A latent pixel counts if all pixels of its patch have depth.
        patch = tuple(
            side // latent_side
            for side, latent_side in zip(valid.shape[1:], depth_latents.shape[2:], strict=True)
        )
        is_invalid = F.max_pool2d((~valid)[:, None].float(), patch).bool()
        is_whole = ~is_invalid.expand_as(depth_latents)
        if not bool(is_whole.any()):
            return 0 * predicted.sum()
        return F.mse_loss(predicted[is_whole], goal[is_whole])

    def _encode_to_latents(self, pixels: Images) -> Tensor:
        vae = self._pipeline.vae
        return vae.encode(pixels).latent_dist.mode().float() * vae.config.scaling_factor

    def _encode_empty_prompt(self) -> Tensor:
        if self._empty_prompt is None:
            tokenizer, encoder = self._pipeline.tokenizer, self._pipeline.text_encoder
            tokens = tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
            self._empty_prompt = encoder(tokens.to(next(encoder.parameters()).device))[0].float()
        return self._empty_prompt

    def _denoising_target(self, depth_latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the U-Net of this scheduler predicts; ``ModelError`` if it is not known."""
        kind = self._noising.config.prediction_type
        if kind == "v_prediction":
            return self._noising.get_velocity(depth_latents, noise, times)
        choices = {"sample": depth_latents, "epsilon": noise}
        if kind not in choices:
            raise ModelError(f"its scheduler predicts '{kind}', which cannot be trained further")
        return choices[kind]


def _scale_percentiles_to_one(target: Maps, valid: Masks) -> Maps:
    """Scale and shift the depth of each image from its quantiles to -1 and 1."""
    maps = []
    for values, mask in zip(target, valid, strict=True):
        depths = values[mask]
        depths = depths[:: 1 + len(depths) // _MAX_RANKED]
        low, high = torch.quantile(depths, values.new_tensor(_QUANTILES)).unbind()
        spread = (high - low).clamp(min=torch.finfo(values.dtype).tiny)
        maps.append(((values - low) / spread * 2 - 1).clamp(-1, 1))
    return torch.stack(maps)


def layered_noise(like: Float[Tensor, "b c h w"], strength: Float[Tensor, "b"]) -> Tensor:
    """Make noise that is the sum of several resolutions, of unit deviation (Whitaker 2023).

    Args:
        like: Tensor of the same shape and device.
        strength: Weight of a resolution relative to the next finer one, for each image.
    """
    size = like.shape[2:]
    height, width = size
    noise, strength = torch.randn_like(like), strength.reshape(-1, 1, 1, 1)
    for number in range(_MAX_RESOLUTIONS):
        ratio = (2 + 2 * float(torch.rand(1))) ** number
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse = torch.randn(*like.shape[:2], height, width, device=like.device)
        noise = noise + F.interpolate(coarse, size, mode="bilinear") * strength**number
        if min(height, width) == 1:
            break
    return noise / noise.std()
