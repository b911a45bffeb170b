"""``rilievo.pipeline``: the interface of depth estimation in transformers."""

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
from rilievo.records.depth_map import DepthMap

TASK = "depth-estimation"


class DepthEstimate(TypedDict):
    """Depth of one image.

    Attributes:
        predicted_depth: (h, w) float32, NaN where there is no depth. It is a tensor if torch is
            imported, and an array otherwise.
        depth: Grey picture in which the largest value is white.
    """

    predicted_depth: Any
    depth: Image.Image


class DepthPipeline:
    """A depth model with the call interface of a transformers pipeline.

    Attributes:
        model: As for ``rilievo.predict``; None for the default model.
    """

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
        """Estimate the depth of an image, or of each in a list.

        Args:
            inputs: Image or images, as for ``rilievo.predict``.
            images: Another name for ``inputs``, as in transformers.
            ignored: Options of transformers' pipelines, such as ``batch_size``.

        Raises:
            RilievoError: As for ``rilievo.predict``.
        """
        if inputs is None:
            inputs = images
        if inputs is None:
            raise OptionError('no image was given; pass one, for example estimate("photo.jpg")')
        predictions = predict(as_list(inputs), model=self.model)
        estimates = [_depth_estimate(prediction) for prediction in predictions]
        return estimates if isinstance(inputs, list | tuple) else estimates[0]


def pipeline(
    task: str = TASK, model: str | Path | Model | DepthFunction | None = None, **ignored: object
) -> DepthPipeline:
    """Make a pipeline, as ``transformers.pipeline`` does.

    Options of ``transformers.pipeline`` besides the task and the model are ignored.

    Examples:
        >>> rilievo.pipeline("depth-estimation", "rilievo/small")("photo.jpg")["depth"].size
        (64, 48)

    Raises:
        OptionError: If another task is requested.
    """
    if task != TASK:
        raise OptionError(f"no pipeline '{task}'; the only one is rilievo.pipeline(\"{TASK}\")")
    return DepthPipeline(model)


def _depth_estimate(prediction: Prediction) -> DepthEstimate:
    """Convert a prediction to the output format of transformers."""
    depth = prediction.depth
    values = np.array(depth.values)
    torch = sys.modules.get("torch")
    return DepthEstimate(
        predicted_depth=values if torch is None else torch.from_numpy(values),
        depth=_grey_picture(depth),
    )


def _grey_picture(depth: DepthMap) -> Image.Image:
    """Scale depth to grey levels, from 0 for the smallest value and without depth, to 255."""
    valid_values = depth.values[depth.valid]
    if not valid_values.size:
        return Image.fromarray(np.zeros(depth.shape, np.uint8))
    low, high = float(valid_values.min()), float(valid_values.max())
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.where(depth.valid, (depth.values - low) * scale, 0)
    return Image.fromarray(grey.astype(np.uint8))
