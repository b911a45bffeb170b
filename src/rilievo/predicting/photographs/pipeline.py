"""``rilievo.pipeline``: transformers' interface, with the model's own values."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
from PIL import Image

from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.base import ImageLike, Model
from rilievo.models.requests import DepthFunction
from rilievo.predicting.photographs.images import as_list, predict
from rilievo.prediction import Prediction

TASK = "depth-estimation"


class DepthEstimate(TypedDict):
    """Result for one image.

    Attributes:
        predicted_depth: (h, w) float32, NaN where invalid; a tensor if torch is imported.
        depth: Grey picture, white the largest.
    """

    predicted_depth: Any
    depth: Image.Image


class DepthPipeline:
    """Model with transformers' interface."""

    task = TASK

    def __init__(self, model: str | Path | Model | DepthFunction | None = None) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"DepthPipeline({self.model or DEFAULT_MODEL})"

    @overload
    def __call__(self, inputs: ImageLike) -> DepthEstimate: ...
    @overload
    def __call__(self, inputs: Sequence[ImageLike]) -> list[DepthEstimate]: ...
    def __call__(
        self,
        inputs: ImageLike | Sequence[ImageLike] | None = None,
        *,
        images: ImageLike | Sequence[ImageLike] | None = None,
        **ignored: object,
    ) -> DepthEstimate | list[DepthEstimate]:
        """Estimate an image's depth, or each in a list; options such as ``batch_size`` are ignored.

        Raises:
            RilievoError: As for ``rilievo.predict``.
        """
        inputs = images if inputs is None else inputs
        if inputs is None:
            raise OptionError('there is no image; write estimate("photo.jpg")')
        answers = [_depth_estimate(image) for image in predict(as_list(inputs), model=self.model)]
        return answers if isinstance(inputs, list | tuple) else answers[0]


def pipeline(
    task: str = TASK, model: str | Path | Model | DepthFunction | None = None, **ignored: object
) -> DepthPipeline:
    """Make a pipeline, as ``transformers.pipeline`` does, which ignores its other options.

    Examples:
        >>> rilievo.pipeline("depth-estimation", "rilievo/small")("photo.jpg")["depth"].size
        (64, 48)

    Raises:
        OptionError: If another task is requested.
    """
    if task != TASK:
        raise OptionError(f"no pipeline '{task}'; write rilievo.pipeline(\"{TASK}\")")
    return DepthPipeline(model)


def _depth_estimate(prediction: Prediction) -> DepthEstimate:
    depth = prediction.depth
    values = np.array(depth.values)
    inside = values[depth.valid]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
    grey = (values - low) * (255 / (high - low) if high > low else 0.0)
    grey = np.where(depth.valid, grey, 0)
    torch = sys.modules.get("torch")
    return DepthEstimate(
        predicted_depth=values if torch is None else torch.from_numpy(values),
        depth=Image.fromarray(grey.astype(np.uint8)),
    )
