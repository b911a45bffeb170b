"""Leave out uniform borders of photographs, because they mislead networks.

The network sees the part inside the borders, and the borders have no depth.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.borders import Margins
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_MIN_INSIDE_WITHOUT_NOTE = 0.97
"""Fraction of the pixels inside the borders from which on no note is needed."""


class Trimmed(WrappedModel):
    """Model that sees photographs without their uniform borders.

    Its inferences are for the part inside the borders, but with the camera of the whole photograph.
    """

    def __init__(self, model: Model, margins: Margins | None = None) -> None:
        """Wrap a model.

        ``margins`` are borders that all photographs share, such as the frames of a video; None
        finds the borders of each photograph.
        """
        super().__init__(model, {"trim": True})
        self._common_margins = margins

    def margins(self, photo: Photo) -> Margins:
        """Borders that are left out of a photograph."""
        return photo.margins if self._common_margins is None else self._common_margins

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the model on the part inside the borders."""
        inferences = self.model.infer([visible_part(self, photo) for photo in photos])
        return [
            self._uncrop_inferred_camera(inference, photo)
            for inference, photo in zip(inferences, photos, strict=True)
        ]

    def _uncrop_inferred_camera(self, inference: Inference, photo: Photo) -> Inference:
        """Replace the camera of the part inside the borders by that of the whole photograph."""
        if inference.camera is None:
            return inference
        return replace(inference, camera=self.margins(photo).uncrop_camera(inference.camera))

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize an inference to the part inside the borders, and leave the borders empty."""
        margins = self.margins(photo)
        if not margins:
            return self.model.finish(inference, photo).but(made_by=self.made_by)
        if inference.camera is not None:
            inference = replace(inference, camera=margins.cropped(inference.camera))
        inner = self.model.finish(inference, _crop_margins(photo, margins))
        return _uncrop_prediction(inner, photo, margins).but(made_by=self.made_by)


def with_margins(model: Model, margins: Margins) -> Model:
    """A ``Trimmed`` model with these borders for all photographs; other models as they are."""
    return Trimmed(model.model, margins) if isinstance(model, Trimmed) else model


def model_margins(model: Model, photo: Photo) -> Margins:
    """Borders that a model leaves out of a photograph; empty for a model that is not trimmed."""
    return model.margins(photo) if isinstance(model, Trimmed) else Margins()


def border_note(model: Model, photo: Photo) -> str | None:
    """Note on the border of a photograph that a model leaves out; None if it is small."""
    return margins_note(model_margins(model, photo), photo.shape)


def margins_note(margins: Margins, size: tuple[int, int]) -> str | None:
    """Note on borders that were left out of a photograph of ``size``; None if they are small."""
    if not is_worth_a_note(margins, size):
        return None
    return Note(
        Text(
            f"its uniform border ({margins} px) was left out and has no depth: ",
            OptionName("trim", "off"),
            " keeps it",
        )
    )


def is_worth_a_note(margins: Margins, size: tuple[int, int]) -> bool:
    """Whether borders cover more than 3% of the pixels."""
    rows, columns = margins.inside(size)
    pixels_inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return pixels_inside < _MIN_INSIDE_WITHOUT_NOTE * size[0] * size[1]


def visible_part(model: Model, photo: Photo) -> Photo:
    """Part of a photograph that the network sees."""
    margins = model_margins(model, photo)
    return _crop_margins(photo, margins) if margins else photo


def without_trimming(model: Model) -> Model:
    """The model inside a ``Trimmed`` one; other models as they are."""
    return model.model if isinstance(model, Trimmed) else model


def _crop_margins(photo: Photo, margins: Margins) -> Photo:
    """Crop a photograph, its camera and its transparent pixels to the part inside its margins."""
    rows, columns = margins.inside(photo.shape)
    camera = None if photo.camera is None else margins.cropped(photo.camera)
    transparent = None if photo.transparent is None else photo.transparent[rows, columns]
    pixels = photo.pixels[rows, columns]
    return Photo(pixels=pixels, camera=camera, transparent=transparent, name=photo.name)


def _uncrop_prediction(inner: Prediction, photo: Photo, margins: Margins) -> Prediction:
    """Extend the prediction of the part inside the borders to the whole photograph."""
    inside = margins.inside(photo.shape)
    depth = inner.depth_or_none
    if depth is not None:
        values = np.zeros(photo.shape, np.float32)
        values[inside] = depth.values
        valid = np.zeros(photo.shape, bool)
        valid[inside] = depth.valid
        depth = DepthMap(values=values, kind=depth.kind, valid=valid)
    camera = None if inner.camera is None else margins.uncrop_camera(inner.camera)
    whole = Prediction(depth_or_none=depth, camera=camera, photo=photo, made_by=inner.made_by)

    for name in ("normals", "confidence", "sky"):
        if inner.has(name):
            whole.defer(name, partial(_uncrop_field, inner, name, photo.shape, inside))
    return whole


def _uncrop_field(
    inner: Prediction, name: str, shape: tuple[int, int], inside: tuple[slice, slice]
) -> np.ndarray:
    """Field of the whole photograph, with NaN (normals) or 0 in the borders."""
    inner_field = getattr(inner, name)
    border_value = np.nan if name == "normals" else 0
    field = np.full((*inner_field.shape[:-2], *shape), border_value, inner_field.dtype)
    field[..., *inside] = inner_field
    return field
