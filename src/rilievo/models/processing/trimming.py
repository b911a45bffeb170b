"""Photographs without their borders: the network sees the inside, and the border has no depth.

Black bars and white margins mislead a network about distance and field of view, and the frame of a
scan would become a ridge around the surface.
"""

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.processing.margins import Margins, find_black_bars, find_margins
from rilievo.models.speeds import infer_timed
from rilievo.prediction import Prediction
from rilievo.types import DepthMap, Photo

_FRAMES = 24
"""Number of frames of a video that are searched for borders, evenly spread."""
_FRAME_STEP = 10
"""Step between these frames where the length of a video is unknown."""
_WORTH_A_WORD = 0.97
"""Share of a photograph inside its border below which the user is told."""

_FOUND: dict[int, tuple[weakref.ref[np.ndarray], Margins]] = {}
"""Borders of photographs that exist now: inference, enlargement and notes all ask for them, and 12
megapixels take 40 ms."""


class Trimmed(WrappedModel):
    """A model that receives photographs without their uniform borders (``find_margins``).

    Inferences are of the inside, with cameras of the whole photograph.
    """

    def __init__(self, model: Model, margins: Margins | None = None) -> None:
        super().__init__(model, {"trim": True})
        self.same_margins = margins

    def margins(self, photo: Photo) -> Margins:
        """Borders that are trimmed from a photograph."""
        if self.same_margins is not None:
            return self.same_margins
        # Transparent pixels are known to be no part of the picture, and look like bars.
        return _found(photo.pixels) if photo.transparent is None else Margins()

    def seen(self, photo: Photo) -> Photo:
        """Part of a photograph that the network sees."""
        margins = self.margins(photo)
        return _inside(photo, margins) if margins else photo

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict the insides, at the network's resolution."""
        every = [self.margins(photo) for photo in photos]
        answers = infer_timed(
            self.model,
            [
                _inside(photo, each) if each else photo
                for photo, each in zip(photos, every, strict=True)
            ],
        )
        return [
            replace(answer, camera=margins.uncropped(answer.camera))
            if margins and answer.camera is not None
            else answer
            for answer, margins in zip(answers, every, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize an output to the photograph; its borders are not valid."""
        margins = self.margins(photo)
        if not margins:
            return self.model.finish(inference, photo).but(made_by=self.made_by)
        if inference.camera is not None:
            inference = replace(inference, camera=margins.cropped(inference.camera))
        inner = self.model.finish(inference, _inside(photo, margins))
        return _embedded(inner, photo, margins).but(made_by=self.made_by)


def _found(pixels: np.ndarray) -> Margins:
    key = id(pixels)
    known = _FOUND.get(key)
    if known is None or known[0]() is not pixels:
        known = weakref.ref(pixels, lambda gone: _forget(key, gone)), find_margins(pixels)
        _FOUND[key] = known
    return known[1]


def _forget(key: int, gone: "weakref.ref[np.ndarray]") -> None:
    """Forget an array, unless another one lies at its place by now."""
    known = _FOUND.get(key)
    if known is not None and known[0] is gone:
        _FOUND.pop(key, None)


def for_frames(model: Model, frames: Iterable[Photo], count: int | None) -> Model:
    """Make the model trim the same borders from all frames of a video, if it trims any.

    Only black borders are searched for (``find_black_bars``), in frames from the whole video: it
    may begin with a narrower shot, or a logo on black.

    Args:
        model: Model that trims, or any other, which is returned as it is.
        frames: Every frame; read to the end only where there are borders.
        count: Expected number of frames; None if it is unknown.
    """
    if not isinstance(model, Trimmed):
        return model
    step = _FRAME_STEP if count is None else max(1, count // _FRAMES)
    pixels = (
        frame.pixels
        if frame.transparent is None
        else np.where(frame.transparent[..., None], np.uint8(255), frame.pixels)
        for frame in islice(frames, 0, None, step)
    )
    return Trimmed(model.model, find_black_bars(pixels))


def border_note(model: Model, photo: Photo) -> str | None:
    """Note on the border that a model leaves out; None if it is hardly one."""
    return _note(model.margins(photo), photo.shape) if isinstance(model, Trimmed) else None


def frames_note(model: Model, size: tuple[int, int]) -> str | None:
    """Note on the border that a model of ``for_frames`` leaves out of frames of this size."""
    same = model.same_margins if isinstance(model, Trimmed) else None
    return None if same is None else _note(same, size)


def seen_by(model: Model, photo: Photo) -> Photo:
    """Part of a photograph that a model's network sees."""
    return model.seen(photo) if isinstance(model, Trimmed) else photo


def within(model: Model) -> Model:
    """The model that predicts the result of ``seen_by``."""
    return model.model if isinstance(model, Trimmed) else model


def _note(margins: Margins, size: tuple[int, int]) -> str | None:
    rows, columns = margins.inside(size)
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    if inside >= _WORTH_A_WORD * size[0] * size[1]:
        return None
    return (
        f"its uniform border ({margins} px) was left out and has no depth: --trim off "
        "(trim=False) keeps it"
    )


def _inside(photo: Photo, margins: Margins) -> Photo:
    rows, columns = margins.inside(photo.shape)
    camera = None if photo.camera is None else margins.cropped(photo.camera)
    hidden = None if photo.transparent is None else photo.transparent[rows, columns]
    pixels = photo.pixels[rows, columns]
    return Photo(pixels=pixels, camera=camera, transparent=hidden, name=photo.name)


def _embedded(inner: Prediction, photo: Photo, margins: Margins) -> Prediction:
    """Embed a prediction of the inside into the whole photograph."""
    place = margins.inside(photo.shape)
    depth = inner.depth_or_none
    if depth is not None:
        values, valid = np.zeros(photo.shape, np.float32), np.zeros(photo.shape, bool)
        values[place], valid[place] = depth.values, depth.valid
        depth = DepthMap(values=values, kind=depth.kind, valid=valid)
    camera = None if inner.camera is None else margins.uncropped(inner.camera)
    whole = Prediction(depth_or_none=depth, camera=camera, photo=photo, made_by=inner.made_by)

    def normals() -> Float32[np.ndarray, "3 h w"]:
        field = np.zeros((3, *photo.shape), np.float32)
        field[2] = -1  # pixels without surface face the camera
        assert inner.normals is not None, "asked for only where there are some"
        field[:, *place] = inner.normals
        return field

    def confidence() -> Float32[np.ndarray, "h w"]:
        field = np.zeros(photo.shape, np.float32)
        assert inner.confidence is not None, "asked for only where there is some"
        field[place] = inner.confidence
        return field

    def sky() -> Bool[np.ndarray, "h w"]:
        field = np.zeros(photo.shape, bool)
        assert inner.sky is not None, "asked for only where there is some"
        field[place] = inner.sky
        return field

    for name, make in (("normals", normals), ("confidence", confidence), ("sky", sky)):
        if inner.has(name):
            whole.defer(name, make)
    return whole
