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

_HALF_CONFIDENCE_UNCERTAINTY = 0.1
"""Uncertainty at which confidence is 0.5: the members of an ensemble differ by a tenth of the
depth's range, or of 180° for normals."""


class DiffusionModel(Model):
    """Model from a pipeline of diffusers that predicts depth or normals.

    The output of ``pipeline`` has ``prediction`` and, for an ensemble, ``uncertainty``.
    """

    def __init__(
        self,
        card: ModelCard,
        pipeline: Any,
        options: LoadOptions,
        settings: DiffusionSettings,
        *,
        weights_sha256: str,
        extra_settings: Mapping[str, Setting] | None = None,
    ) -> None:
        """Move a pipeline to its device; the number of threads applies to the whole process.

        ``extra_settings`` are recorded with each prediction in addition to those set here.
        """
        options = resolve_engine(options, engines=(ENGINE,), what=f"model '{card.name}'")
        self.card = replace(card, confidence=settings.ensemble > 1)
        self.weights_sha256 = weights_sha256
        self.device = torch_device(options.device)
        # On a CPU, weights stay fp32, so bf16 needs autocast.
        dtype = torch_dtype(options, self.device)
        self._uses_autocast = dtype is not weight_dtype(options, self.device)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.pipeline: Any = pipeline.to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self._ensemble = settings.ensemble
        self._seed = settings.seed
        self._steps = self._resolve_setting("steps", settings.steps, "default_denoising_steps")
        self._resolution = self._resolve_setting(
            "resolution", settings.resolution, "default_processing_resolution"
        )
        multiple = getattr(pipeline, "vae_scale_factor", 1)
        if self._resolution % multiple:
            raise OptionError(
                f"model '{card.name}': resolution must be a multiple of {multiple}, got "
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
            **(extra_settings or {}),
        }

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs one by one, each from the same noise."""
        return [self._infer_photo(photo) for photo in photos]

    def _resolve_setting(self, name: str, user_value: int | None, default_attribute: str) -> int:
        """The user's value of a setting; by default that of an attribute of the pipeline."""
        value = user_value
        if user_value is None:
            value = getattr(self.pipeline, default_attribute, None)
        if not isinstance(value, int):
            raise OptionError(
                problem=Text(
                    f"model '{self.card.name}' has no default for the setting '{name}': give a "
                    "value with ",
                    OptionName("set", f"{name}=..."),
                )
            )
        return value

    def _infer_photo(self, photo: Photo) -> Inference:
        """Run the pipeline on a photograph; a resolution of 0 keeps its size."""
        height, width = photo.shape
        # After resizing, the shorter side would have less than one pixel.
        if self._resolution and min(photo.shape) * self._resolution < max(photo.shape):
            raise InputError(
                f"{photo.name}: one side of the photograph is too short ({width} x {height} "
                f"pixels) for a resolution of {self._resolution} pixels: crop the photograph, or "
                "choose a larger resolution"
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
            raise self._pipeline_error(error, photo) from error
        return self._inference_from_output(output)

    def _pipeline_error(self, error: Exception, photo: Photo) -> ModelError:
        """Error of the pipeline on a photograph, with advice if the memory was too small."""
        model = f"model '{self.card.name}'"
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            return ModelError(
                f"{model}: not enough memory:",
                problem=Text(
                    "use smaller values for ",
                    OptionName("set", "resolution=..."),
                    " or ",
                    OptionName("set", "ensemble=..."),
                ),
            )
        height, width = photo.shape
        size = f"{width} x {height} pixels"
        return ModelError(
            f"{model}: the pipeline failed on a photograph of {size}: {first_line(error)}"
        )

    def _inference_from_output(self, output: Any) -> Inference:
        """Check the output of the pipeline, and convert it to rilievo's conventions."""
        values = self._predicted_values(output)
        self._check_finite(values)
        confidence = None
        uncertainty = getattr(output, "uncertainty", None)
        if uncertainty is not None:
            self._check_finite(uncertainty)
            confidence = ensemble_confidence(uncertainty[0, ..., 0])

        has_normals = values.shape[-1] == 3
        if has_normals:
            return Inference(normals=from_viewer_axes(values), confidence=confidence)
        if self.card.kind is None:
            raise ModelError(
                problem=Text(
                    f"model '{self.card.name}' returned depth of an unknown kind: state the kind "
                    "with ",
                    OptionName("kind", "..."),
                    f" ({', '.join(DepthKind)})",
                )
            )
        return Inference(depth=values[..., 0], confidence=confidence)

    def _check_finite(self, values: np.ndarray) -> None:
        """Raise ``ModelError`` for NaN or infinite values."""
        if np.isfinite(values).all():
            return
        precision = self.settings["precision"]
        hint = "its weights may be broken" if precision == "fp32" else "use fp32"
        raise ModelError(
            f"model '{self.card.name}' returned NaN or infinite values at precision {precision}: "
            f"{hint}"
        )

    def _predicted_values(self, output: Any) -> Float32[np.ndarray, "h w c"]:
        """Depth (one channel) or normals (three) in the output of the pipeline."""
        prediction = getattr(output, "prediction", None)
        if not isinstance(prediction, np.ndarray):
            raise ModelError(
                f"model '{self.card.name}' returned a {type(output).__name__}, which has no "
                "prediction; expected a pipeline for depth or normals, such as Marigold"
            )
        if prediction.ndim != 4 or len(prediction) != 1 or prediction.shape[-1] not in (1, 3):
            raise ModelError(
                f"model '{self.card.name}' returned an array of shape {prediction.shape}; expected "
                "(1, height, width, 1) for depth or (1, height, width, 3) for normals"
            )
        return prediction[0].astype(np.float32)


def from_viewer_axes(normals: Float32[np.ndarray, "h w 3"]) -> Vectors:
    """Convert normals from axes with y up and z towards the viewer to rilievo's camera frame."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([x, -y, -z])


def ensemble_confidence(uncertainty: Field) -> Field:
    """Confidence from the uncertainty of an ensemble: 1 for none, 0.5 for 0.1."""
    return (1 / (1 + uncertainty / _HALF_CONFIDENCE_UNCERTAINTY)).astype(np.float32)


def weight_dtype(options: LoadOptions, device: torch.device) -> torch.dtype:
    """Type of the weights, which on a CPU stay fp32 when the arithmetic is bf16."""
    dtype = torch_dtype(options, device)
    return torch.float32 if device.type == "cpu" else dtype
