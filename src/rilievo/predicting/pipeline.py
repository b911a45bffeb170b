"""``rilievo.pipeline``: the interface of transformers' depth pipelines, for rilievo's models.

Code written for ``transformers.pipeline("depth-estimation")`` switches to rilievo by another
import. Results have the same keys; as there, values are of the model's own kind.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
from PIL import Image

from rilievo.errors import OptionError
from rilievo.foreign_names import ForeignNames
from rilievo.models import DEFAULT_MODEL
from rilievo.models.base import ImageLike, Model, as_list
from rilievo.models.functions.given_functions import DepthFunction
from rilievo.predicting.photographs.images import predict
from rilievo.prediction import Prediction

TASK = "depth-estimation"


class DepthEstimate(TypedDict):
    """Result for one image.

    Attributes:
        predicted_depth: Values of the model's kind, (h, w) float32 at the image's size; a tensor if
            torch has been imported, otherwise a numpy array. NaN where invalid.
        depth: The same as a grey picture, from black for the least value to white for the largest.
    """

    predicted_depth: Any
    depth: Image.Image


class DepthPipeline(ForeignNames):
    """A model with the interface of transformers' depth pipelines."""

    task = TASK

    def __init__(self, model: str | Path | Model | DepthFunction | None = None) -> None:
        """Wrap a model, given by name, file or as an object; the embedded one when None."""
        self.model = model

    def __repr__(self) -> str:
        """Describe in one line."""
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
        """Estimate the depth of an image, or of each image of a list.

        Args:
            inputs: Paths, URLs, Pillow images, or anything else that ``rilievo.predict`` accepts.
            images: Another name of ``inputs``, as in transformers.
            ignored: Options of transformers, such as ``batch_size``, that do not change the result.

        Raises:
            RilievoError: As for ``rilievo.predict``.
        """
        inputs = images if inputs is None else inputs
        if inputs is None:
            raise OptionError('there is no image; write estimate("photo.jpg")')
        answers = [_estimate(image) for image in predict(as_list(inputs), model=self.model)]
        return answers if isinstance(inputs, list | tuple) else answers[0]


def pipeline(
    task: str = TASK, model: str | Path | Model | DepthFunction | None = None, **ignored: object
) -> DepthPipeline:
    """Make a pipeline, as ``transformers.pipeline`` does.

    Args:
        task: "depth-estimation", the only one.
        model: A name in ``MODELS``, an ONNX file, or a loaded model; the embedded one when None.
        ignored: Options of transformers, such as ``device`` and ``use_fast``, which the model
            decides here.

    Raises:
        OptionError: If another task is requested.
    """
    if task != TASK:
        raise OptionError(f"no pipeline '{task}'; write rilievo.pipeline(\"{TASK}\")")
    return DepthPipeline(model)


def _estimate(prediction: Prediction) -> DepthEstimate:
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
