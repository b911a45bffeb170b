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

_MOST_RANKED = 2**24
_QUANTILES = (0.02, 0.98)
_STRENGTH = 0.9
_MOST_RESOLUTIONS = 10


class LatentNetwork(nn.Module):
    """U-Net of a pipeline; copies share the parts that do not learn."""

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
        self._text: Tensor | None = None

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
        """Compute the error over latent pixels whose whole patch is valid; RGB in 0..255."""
        labels = valid.flatten(1).any(dim=1)
        image, target, valid = image[labels], target[labels], valid[labels]
        pixels = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            photo = self._encode_to_latents(pixels)
            answer = self._encode_to_latents(
                _scale_percentiles_to_one(target, valid)[:, None].expand(-1, 3, -1, -1)
            )
            last = self._noising.config.num_train_timesteps
            times = torch.randint(0, last, (len(image),), device=image.device)
            noise = layered_noise(answer, _STRENGTH * times / last)
            noisy = self._noising.add_noise(answer, noise, times)
            words = self._encode_empty_prompt().to(image.device).expand(len(image), -1, -1)
        predicted = self.unet(torch.cat([photo, noisy], dim=1), times, words).sample.float()
        goal = self._denoising_target(answer, noise, times)
        patch = tuple(a // b for a, b in zip(valid.shape[1:], answer.shape[2:], strict=True))
        whole = ~F.max_pool2d((~valid)[:, None].float(), patch).bool().expand_as(answer)
        if not bool(whole.any()):
            return 0 * predicted.sum()
        return F.mse_loss(predicted[whole], goal[whole])

    def _encode_to_latents(self, pixels: Images) -> Tensor:
        vae = self._pipeline.vae
        return vae.encode(pixels).latent_dist.mode().float() * vae.config.scaling_factor

    def _encode_empty_prompt(self) -> Tensor:
        if self._text is None:
            tokenizer, encoder = self._pipeline.tokenizer, self._pipeline.text_encoder
            tokens = tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
            self._text = encoder(tokens.to(next(encoder.parameters()).device))[0].float()
        return self._text

    def _denoising_target(self, answer: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        kind = self._noising.config.prediction_type
        if kind == "v_prediction":
            return self._noising.get_velocity(answer, noise, times)
        choices = {"sample": answer, "epsilon": noise}
        if kind not in choices:
            raise ModelError(f"its scheduler predicts '{kind}', which cannot be trained further")
        return choices[kind]


def _scale_percentiles_to_one(target: Maps, valid: Masks) -> Maps:
    maps = []
    for values, mask in zip(target, valid, strict=True):
        depths = values[mask]
        # PyTorch's quantiles take no more numbers.
        depths = depths[:: 1 + len(depths) // _MOST_RANKED]
        low, high = torch.quantile(depths, values.new_tensor(_QUANTILES)).unbind()
        spread = (high - low).clamp(min=torch.finfo(values.dtype).tiny)
        maps.append(((values - low) / spread * 2 - 1).clamp(-1, 1))
    return torch.stack(maps)


def layered_noise(like: Float[Tensor, "b c h w"], strength: Float[Tensor, "b"]) -> Tensor:
    """Make noise of several resolutions, of unit deviation (Whitaker 2023).

    Each is weaker by ``strength``.
    """
    height, width = size = like.shape[2:]
    noise, strength = torch.randn_like(like), strength.reshape(-1, 1, 1, 1)
    for number in range(_MOST_RESOLUTIONS):
        ratio = (2 + 2 * float(torch.rand(1))) ** number
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse = torch.randn(*like.shape[:2], height, width, device=like.device)
        noise = noise + F.interpolate(coarse, size, mode="bilinear") * strength**number
        if min(height, width) == 1:
            break
    return noise / noise.std()
