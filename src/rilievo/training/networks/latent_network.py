"""Train the U-Net of a Marigold pipeline (Ke et al. 2024) in its autoencoder's latent space.

Depth from its 2nd to its 98th percentile becomes -1 to 1. Noise is added by the schedule of the
start model, as in the paper's program (commit 766e74a); its later schedule leaves no signal at the
last time step.
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
"""Weight of a noise resolution relative to the next finer one, at the last time step."""
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
            problem = "is a model that was distilled to a few steps: start from its teacher model"
            raise OptionError(option="start", problem=problem)
        self.unet = pipeline.unet
        self._pipeline = pipeline
        multiple = pipeline.vae_scale_factor
        side = pipeline.default_processing_resolution
        sizing = Sizing(rule=Rule.LONGEST_EDGE, height=side, width=side, multiple=multiple)
        if not side:  # photographs keep their own size
            sizing = Sizing(rule=Rule.FLOOR, pixel_count=10**8, multiple=multiple)
        self.preparation = Preparation(
            sizing=sizing, resampling=Resampling.BILINEAR, mean=(0.5,) * 3, std=(0.5,) * 3
        )
        self._noise_schedule: Any = DDPMScheduler.from_config(pipeline.scheduler.config)
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

        Images are RGB in 0..255. Those without any valid pixel are left out.
        """
        has_depth = valid.flatten(1).any(dim=1)
        used_valid = valid[has_depth]
        pixels = image[has_depth].permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            image_latents = self._encode_to_latents(pixels)
            scaled_depth = _scale_percentiles_to_one(target[has_depth], used_valid)
            depth_latents = self._encode_to_latents(scaled_depth[:, None].expand(-1, 3, -1, -1))
            num_images = len(depth_latents)
            step_count = self._noise_schedule.config.num_train_timesteps
            timesteps = torch.randint(0, step_count, (num_images,), device=image.device)
            # Multi-resolution noise, annealed: it becomes white towards time step 0.
            noise = layered_noise(depth_latents, _NOISE_STRENGTH * timesteps / step_count)
            noisy_latents = self._noise_schedule.add_noise(depth_latents, noise, timesteps)
            prompt = self._encode_empty_prompt().to(image.device).expand(num_images, -1, -1)
        unet_input = torch.cat([image_latents, noisy_latents], dim=1)
        predicted = self.unet(unet_input, timesteps, prompt).sample.float()
        denoising_target = self._denoising_target(depth_latents, noise, timesteps)

        valid_patches = _fully_valid_patches(used_valid, depth_latents.shape[2:])
        is_used = valid_patches.expand_as(depth_latents)
        if not bool(is_used.any()):
            return 0 * predicted.sum()  # a loss of 0, whose gradient is 0
        return F.mse_loss(predicted[is_used], denoising_target[is_used])

    def _encode_to_latents(self, pixels: Images) -> Tensor:
        vae = self._pipeline.vae
        return vae.encode(pixels).latent_dist.mode().float() * vae.config.scaling_factor

    def _encode_empty_prompt(self) -> Tensor:
        if self._empty_prompt is None:
            tokenizer = self._pipeline.tokenizer
            encoder = self._pipeline.text_encoder
            tokens = tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
            self._empty_prompt = encoder(tokens.to(next(encoder.parameters()).device))[0].float()
        return self._empty_prompt

    def _denoising_target(self, depth_latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the U-Net has to predict; ``ModelError`` if its prediction type is not known."""
        prediction_type = self._noise_schedule.config.prediction_type
        if prediction_type == "v_prediction":
            return self._noise_schedule.get_velocity(depth_latents, noise, times)
        if prediction_type == "sample":
            return depth_latents
        if prediction_type == "epsilon":
            return noise
        raise ModelError(
            f"the pipeline's scheduler predicts '{prediction_type}'; fine-tuning supports "
            "v_prediction, sample and epsilon"
        )


def _fully_valid_patches(valid: Masks, latent_size: torch.Size) -> Tensor:
    """Latent pixels whose whole patch of the image has depth, (b, 1, h, w)."""
    patch = tuple(
        side // latent_side for side, latent_side in zip(valid.shape[1:], latent_size, strict=True)
    )
    has_invalid = F.max_pool2d((~valid)[:, None].float(), patch).bool()
    return ~has_invalid


def _scale_percentiles_to_one(target: Maps, valid: Masks) -> Maps:
    """Scale and shift the depth of each image, so that its quantiles become -1 and 1."""
    scaled_maps = []
    for depth, mask in zip(target, valid, strict=True):
        known_depths = depth[mask]
        ranked_depths = known_depths[:: 1 + len(known_depths) // _MAX_RANKED]
        low, high = torch.quantile(ranked_depths, depth.new_tensor(_QUANTILES)).unbind()
        spread = (high - low).clamp(min=torch.finfo(depth.dtype).tiny)
        scaled_maps.append(((depth - low) / spread * 2 - 1).clamp(-1, 1))
    return torch.stack(scaled_maps)


def layered_noise(like: Float[Tensor, "b c h w"], strength: Float[Tensor, "b"]) -> Tensor:
    """Multi-resolution noise of unit standard deviation (Whitaker 2023).

    ``strength`` is the weight of a resolution relative to the next finer one, for each image.
    """
    size = like.shape[2:]
    height, width = size
    noise = torch.randn_like(like)
    image_strength = strength.reshape(-1, 1, 1, 1)
    for level in range(_MAX_RESOLUTIONS):
        # A random factor of 2 to 4, to the power of the level, as in the paper's program.
        shrinkage = (2 + 2 * float(torch.rand(1))) ** level
        height = max(1, int(height / shrinkage))
        width = max(1, int(width / shrinkage))
        coarse_noise = torch.randn(*like.shape[:2], height, width, device=like.device)
        upsampled_noise = F.interpolate(coarse_noise, size, mode="bilinear")
        noise = noise + upsampled_noise * image_strength**level
        if min(height, width) == 1:
            break
    return noise / noise.std()
