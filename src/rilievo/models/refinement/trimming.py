"""Trim uniform borders, because they mislead networks.

The network does not see them, and they have no depth.
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

_WORTH_A_WORD = 0.97


class Trimmed(WrappedModel):
    """Model that sees photographs without uniform borders.

    Inferences are of the inside, with cameras of the whole.
    """

    def __init__(self, model: Model, margins: Margins | None = None) -> None:
        super().__init__(model, {"trim": True})
        self.same_margins = margins

    def margins(self, photo: Photo) -> Margins:
        """Borders to trim."""
        return photo.margins if self.same_margins is None else self.same_margins

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict the insides."""
        answers = self.model.infer([visible_part(self, photo) for photo in photos])
        return [
            answer
            if answer.camera is None
            else replace(answer, camera=self.margins(photo).uncrop_camera(answer.camera))
            for answer, photo in zip(answers, photos, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize an output to the photograph, without depth in borders."""
        margins = self.margins(photo)
        if not margins:
            return self.model.finish(inference, photo).but(made_by=self.made_by)
        if inference.camera is not None:
            inference = replace(inference, camera=margins.cropped(inference.camera))
        inner = self.model.finish(inference, _crop_margins(photo, margins))
        return _uncrop_prediction(inner, photo, margins).but(made_by=self.made_by)


def with_margins(model: Model, margins: Margins) -> Model:
    """Replace a ``Trimmed`` model's borders; keep others."""
    return Trimmed(model.model, margins) if isinstance(model, Trimmed) else model


def model_margins(model: Model, photo: Photo) -> Margins:
    """Borders that a model leaves out of a photograph."""
    return model.margins(photo) if isinstance(model, Trimmed) else Margins()


def border_note(model: Model, photo: Photo) -> str | None:
    """Note on a border that is left out."""
    return margins_note(model_margins(model, photo), photo.shape)


def margins_note(margins: Margins, size: tuple[int, int]) -> str | None:
    """Note on a border that was left out."""
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
    """Whether borders cover over 3 % of pixels."""
    rows, columns = margins.inside(size)
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return inside < _WORTH_A_WORD * size[0] * size[1]


def visible_part(model: Model, photo: Photo) -> Photo:
    """Part of a photograph that the network sees."""
    margins = model_margins(model, photo)
    return _crop_margins(photo, margins) if margins else photo


def without_trimming(model: Model) -> Model:
    """Model inside ``Trimmed``; another is itself."""
    return model.model if isinstance(model, Trimmed) else model


def _crop_margins(photo: Photo, margins: Margins) -> Photo:
    rows, columns = margins.inside(photo.shape)
    camera = None if photo.camera is None else margins.cropped(photo.camera)
    hidden = None if photo.transparent is None else photo.transparent[rows, columns]
    pixels = photo.pixels[rows, columns]
    return Photo(pixels=pixels, camera=camera, transparent=hidden, name=photo.name)


def _uncrop_prediction(inner: Prediction, photo: Photo, margins: Margins) -> Prediction:
    place = margins.inside(photo.shape)
    depth = inner.depth_or_none
    if depth is not None:
        values, valid = np.zeros(photo.shape, np.float32), np.zeros(photo.shape, bool)
        values[place], valid[place] = depth.values, depth.valid
        depth = DepthMap(values=values, kind=depth.kind, valid=valid)
    camera = None if inner.camera is None else margins.uncrop_camera(inner.camera)
    whole = Prediction(depth_or_none=depth, camera=camera, photo=photo, made_by=inner.made_by)

    for name in ("normals", "confidence", "sky"):
        if inner.has(name):
            whole.defer(name, partial(_uncrop_field, inner, name, photo.shape, place))
    return whole


def _uncrop_field(
    inner: Prediction, name: str, shape: tuple[int, int], place: tuple[slice, slice]
) -> np.ndarray:
    part = getattr(inner, name)
    empty = np.nan if name == "normals" else 0
    field = np.full((*part.shape[:-2], *shape), empty, part.dtype)
    field[..., *place] = part
    return field
