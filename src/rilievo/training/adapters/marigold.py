"""Models from pipelines of diffusers with Marigold's interface (Ke et al. 2025).

Depth is in [0, 1] up to scale and shift; 0 is the nearest surface, and valid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from rilievo.arrays.shapes import Field, Float32, Vectors
from rilievo.errors import InputError, ModelError, OptionError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.hub.diffusion_cards import DiffusionSettings
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from rilievo.training.adapters.torch_model import ENGINE, torch_device, torch_dtype
from rilievo.training.networks.features import is_out_of_memory

_UNCERTAINTY_AT_HALF = 0.1
"""Uncertainty at which confidence is one half. The members of an ensemble then differ by a tenth of
the depth's range, or of half a turn."""


class DiffusionModel(Model):
    """Model from a pipeline of diffusers that predicts depth or normals.

    Attributes:
        pipeline: Pipeline, whose output has ``prediction`` and, of an ensemble, ``uncertainty``.
        device: Device that it runs on.
    """

    def __init__(
        self,
        card: ModelCard,
        pipeline: Any,
        options: LoadOptions,
        settings: DiffusionSettings,
        *,
        weights_sha256: str,
        recorded: Mapping[str, Setting] | None = None,
    ) -> None:
        """Move a pipeline to its device; the number of threads applies to the whole process.

        ``recorded`` are further settings to record with each prediction.
        """
        options = resolve_engine(options, engines=(ENGINE,), what=f"model '{card.name}'")
        self.card = replace(card, confidence=settings.ensemble > 1)
        self.weights_sha256 = weights_sha256
        self.device = torch_device(options.device)
        # On a CPU the weights stay fp32 when the arithmetic is bf16.
        dtype = torch_dtype(options, self.device)
        self._uses_autocast = dtype is not weight_dtype(options, self.device)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.pipeline: Any = pipeline.to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self._ensemble = settings.ensemble
        self._seed = settings.seed
        self._steps = self._number_or_pipeline_default(
            "steps", settings.steps, "default_denoising_steps"
        )
        self._resolution = self._number_or_pipeline_default(
            "resolution", settings.resolution, "default_processing_resolution"
        )
        multiple = getattr(pipeline, "vae_scale_factor", 1)
        if self._resolution % multiple:
            raise OptionError(
                f"model '{card.name}': resolution is a multiple of {multiple}, got "
                f"{self._resolution}"
            )
        self.settings = {
            "engine": ENGINE,
            "precision": options.precision,
            "device": str(self.device),
            "pipeline": type(self.pipeline).__name__,
            "scheduler": type(getattr(self.pipeline, "scheduler", None)).__name__,
            "steps": self._steps,
            "ensemble": self._ensemble,
            "seed": self._seed,
            "resolution": self._resolution,
            **(recorded or {}),
        }

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs one by one, each from the same noise."""
        return [self._infer_photo(photo) for photo in photos]

    def _number_or_pipeline_default(self, name: str, number: int | None, attribute: str) -> int:
        """Number of a setting; the pipeline's own, in an attribute of it, if the user set none."""
        value = getattr(self.pipeline, attribute, None) if number is None else number
        if not isinstance(value, int):
            raise OptionError(
                problem=Text(
                    f"model '{self.card.name}' has no {name} of its own: give ",
                    OptionName("set", f"{name}=..."),
                )
            )
        return value

    def _infer_photo(self, photo: Photo) -> Inference:
        height, width = photo.shape
        # The shorter side would have less than one pixel at the resolution of the longer one.
        if self._resolution and min(photo.shape) * self._resolution < max(photo.shape):
            raise InputError(
                f"{photo.name}: too narrow ({width} x {height}) for a resolution "
                f"of {self._resolution} pixels: crop it, or give a larger resolution"
            )
        # Noise is drawn on the CPU, so that it is the same on every device.
        generator = torch.Generator("cpu").manual_seed(self._seed)
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._uses_autocast):
                output = self.pipeline(
                    photo.pixels,
                    num_inference_steps=self._steps,
                    ensemble_size=self._ensemble,
                    processing_resolution=self._resolution,
                    match_input_resolution=False,
                    # Members of an ensemble go through the network one at a time.
                    batch_size=1,
                    generator=generator,
                    output_type="np",
                    output_uncertainty=self._ensemble > 1,
                )
        except (MemoryError, RuntimeError, ValueError, TypeError) as error:
            model = f"model '{self.card.name}'"
            if isinstance(error, MemoryError) or is_out_of_memory(error):
                raise ModelError(
                    f"{model}: too little memory:",
                    problem=Text(
                        "give a smaller ", OptionName("set", "resolution"), " or ensemble"
                    ),
                ) from error
            raise ModelError(
                f"{model}: the pipeline failed on {width} x {height} pixels: {first_line(error)}"
            ) from error
        return self._inference_from_output(output)

    def _inference_from_output(self, output: Any) -> Inference:
        """Check the output of the pipeline for a photograph, and convert it."""
        values = self._predicted_values(output)
        uncertainty = getattr(output, "uncertainty", None)
        for array in (values, uncertainty):
            if array is not None and not np.isfinite(array).all():
                raise ModelError(
                    f"model '{self.card.name}' returned NaN or infinite values at precision "
                    f"{self.settings['precision']}; fp32 is the safest"
                )

        confidence = None if uncertainty is None else ensemble_confidence(uncertainty[0, ..., 0])
        if values.shape[-1] == 3:
            return Inference(normals=from_viewer_axes(values), confidence=confidence)
        if self.card.kind is None:
            raise ModelError(
                problem=Text(
                    f"model '{self.card.name}' returned depth of an unknown kind: give ",
                    OptionName("kind", "..."),
                    f": {', '.join(DepthKind)}",
                )
            )
        return Inference(depth=values[..., 0], confidence=confidence)

    def _predicted_values(self, output: Any) -> Float32[np.ndarray, "h w c"]:
        """Depth (one channel) or normals (three) in the output of the pipeline."""
        prediction = getattr(output, "prediction", None)
        if not isinstance(prediction, np.ndarray):
            raise ModelError(
                f"model '{self.card.name}' returned a {type(output).__name__}, which has no "
                "prediction: expected is a pipeline of depth or normals, such as Marigold's"
            )
        if prediction.ndim != 4 or len(prediction) != 1 or prediction.shape[-1] not in (1, 3):
            raise ModelError(
                f"model '{self.card.name}' returned {prediction.shape}, expected (1, height, "
                "width, 1) for depth or (1, height, width, 3) for normals"
            )
        return prediction[0].astype(np.float32)


def from_viewer_axes(normals: Float32[np.ndarray, "h w 3"]) -> Vectors:
    """Convert normals from axes with y up and z towards the viewer to those of rilievo."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([x, -y, -z])


def ensemble_confidence(uncertainty: Field) -> Field:
    """Confidence from the uncertainty of an ensemble: 1 without any, 0.5 at 0.1."""
    return (1 / (1 + uncertainty / _UNCERTAINTY_AT_HALF)).astype(np.float32)


def weight_dtype(options: LoadOptions, device: torch.device) -> torch.dtype:
    """Type of the weights, which on a CPU stay fp32 when the arithmetic is bf16."""
    dtype = torch_dtype(options, device)
    return torch.float32 if device.type == "cpu" else dtype
