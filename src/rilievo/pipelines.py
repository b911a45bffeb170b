"""``rilievo.pipeline``: the call of transformers' pipelines for depth, on rilievo's models.

Code written for ``transformers.pipeline("depth-estimation")`` takes rilievo by another import. The
answers have the same keys, and what the models do not know is the same too: the numbers are of the
model's own kind.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
from PIL import Image

from rilievo.errors import OptionError
from rilievo.models.base import ImageLike, Model, as_list
from rilievo.predicting.images import predict
from rilievo.types import Prediction

TASK = "depth-estimation"


class DepthEstimate(TypedDict):
    """One answer.

    Attributes:
        predicted_depth: (h, w) float32 numbers of the model's kind, at the image's size; a tensor
            where torch has been imported, else an array of numpy. 0 where there is none.
        depth: The same as a grey picture, from the least number, black, to the largest, white.
    """

    predicted_depth: Any
    depth: Image.Image


class DepthPipeline:
    """A model behind the call that transformers' depth pipelines have."""

    task = TASK

    def __init__(self, model: str | Path | Model | None = None) -> None:
        """Take a model's name, file or the model itself; the embedded one when None."""
        self.model = model

    @overload
    def __call__(self, inputs: ImageLike) -> DepthEstimate: ...
    @overload
    def __call__(self, inputs: Sequence[ImageLike]) -> list[DepthEstimate]: ...
    def __call__(
        self, inputs: ImageLike | Sequence[ImageLike], **ignored: object
    ) -> DepthEstimate | list[DepthEstimate]:
        """Estimate the depth of an image, or of each of a list of them.

        Args:
            inputs: Paths, addresses, Pillow images, or whatever else ``rilievo.predict`` takes.
            ignored: Options of transformers, such as ``batch_size``, that change no numbers.

        Raises:
            RilievoError: As ``rilievo.predict``.
        """
        answers = [_estimate(each) for each in predict(as_list(inputs), model=self.model)]
        return answers if isinstance(inputs, list | tuple) else answers[0]


def pipeline(
    task: str = TASK, model: str | Path | Model | None = None, **ignored: object
) -> DepthPipeline:
    """Make a pipeline, as ``transformers.pipeline`` does.

    Args:
        task: "depth-estimation", the only one.
        model: A name in ``MODELS``, an ONNX file, or a loaded model; the embedded one when None.
        ignored: Options of transformers, such as ``device`` and ``use_fast``, that the model
            itself decides here.

    Raises:
        OptionError: If another task is asked for.
    """
    if task != TASK:
        raise OptionError(f"rilievo has the pipeline '{TASK}' alone, not '{task}'")
    return DepthPipeline(model)


def _estimate(prediction: Prediction) -> DepthEstimate:
    depth = prediction.depth
    values = np.where(depth.valid, depth.values, np.float32(0))
    low, high = float(values.min()), float(values.max())
    grey = (values - low) * (255 / (high - low) if high > low else 0.0)
    torch = sys.modules.get("torch")
    return DepthEstimate(
        predicted_depth=values if torch is None else torch.from_numpy(values),
        depth=Image.fromarray(grey.astype(np.uint8)),
    )
