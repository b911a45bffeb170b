"""Models with refinements around them; trimming and cameras.

Borders mislead networks, so they are hidden and have no depth.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from rilievo.depth_map import DepthMap
from rilievo.errors import UnknownCameraError
from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.messages import Note
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.options.photo_options import Mirroring, Refine
from rilievo.prediction import Prediction
from rilievo.sample import Photo
from rilievo.shapes import Float64, Pixels

_WORTH_A_WORD = 0.97
SIDE = 512


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Refine a model by tiles, mirror image, camera and borders."""
    if refine.tile is not None:
        from rilievo.models.tiling import Tiled

        model = Tiled(model, refine.tile)
    if refine.flip or refine.mirrors:
        model = mirrored(model, refine)
    if vanishing_points:
        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if refine.trim and model.card.kind is not None else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Refine a model by the mirror image alone, if asked."""
    from rilievo.models.tiling import FlipAveraged, MirrorConfidence

    model = FlipAveraged(model) if mirroring.flip else model
    return MirrorConfidence(model) if mirroring.mirrors else model


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

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict the insides."""
        answers = self.model.infer([seen_by(self, photo) for photo in photos])
        return [
            answer
            if answer.camera is None
            else replace(answer, camera=self.margins(photo).uncropped(answer.camera))
            for answer, photo in zip(answers, photos, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize an output to the photograph, without depth in borders."""
        margins = self.margins(photo)
        if not margins:
            return self.model.finish(inference, photo).but(made_by=self.made_by)
        if inference.camera is not None:
            inference = replace(inference, camera=margins.cropped(inference.camera))
        inner = self.model.finish(inference, _inside(photo, margins))
        return _embedded(inner, photo, margins).but(made_by=self.made_by)


def with_margins(model: Model, margins: Margins) -> Model:
    """Let a model trim these borders."""
    return Trimmed(model.model, margins) if isinstance(model, Trimmed) else model


def margins_of(model: Model, photo: Photo) -> Margins:
    """Borders that a model leaves out of a photograph."""
    return model.margins(photo) if isinstance(model, Trimmed) else Margins()


def border_note(model: Model, photo: Photo) -> str | None:
    """Note on a border that is left out."""
    return margins_note(margins_of(model, photo), photo.shape)


def margins_note(margins: Margins, size: tuple[int, int]) -> str | None:
    """Note on a border that was left out."""
    if not is_worth_a_word(margins, size):
        return None
    return Note(
        f"its uniform border ({margins} px) was left out and has no depth: {{trim=off}} keeps it"
    )


def is_worth_a_word(margins: Margins, size: tuple[int, int]) -> bool:
    """Whether borders are worth a note."""
    rows, columns = margins.inside(size)
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return inside < _WORTH_A_WORD * size[0] * size[1]


def seen_by(model: Model, photo: Photo) -> Photo:
    """Part of a photograph that the network sees."""
    margins = margins_of(model, photo)
    return _inside(photo, margins) if margins else photo


def within(model: Model) -> Model:
    """Model that predicts the result of ``seen_by``."""
    return model.model if isinstance(model, Trimmed) else model


def _inside(photo: Photo, margins: Margins) -> Photo:
    rows, columns = margins.inside(photo.shape)
    camera = None if photo.camera is None else margins.cropped(photo.camera)
    hidden = None if photo.transparent is None else photo.transparent[rows, columns]
    pixels = photo.pixels[rows, columns]
    return Photo(pixels=pixels, camera=camera, transparent=hidden, name=photo.name)


def _embedded(inner: Prediction, photo: Photo, margins: Margins) -> Prediction:
    place = margins.inside(photo.shape)
    depth = inner.depth_or_none
    if depth is not None:
        values, valid = np.zeros(photo.shape, np.float32), np.zeros(photo.shape, bool)
        values[place], valid[place] = depth.values, depth.valid
        depth = DepthMap(values=values, kind=depth.kind, valid=valid)
    camera = None if inner.camera is None else margins.uncropped(inner.camera)
    whole = Prediction(depth_or_none=depth, camera=camera, photo=photo, made_by=inner.made_by)

    for name in ("normals", "confidence", "sky"):
        if inner.has(name):
            whole.defer(name, partial(_placed, inner, name, photo.shape, place))
    return whole


def _placed(
    inner: Prediction, name: str, shape: tuple[int, int], place: tuple[slice, slice]
) -> np.ndarray:
    part = getattr(inner, name)
    empty = np.nan if name == "normals" else 0
    field = np.full((*part.shape[:-2], *shape), empty, part.dtype)
    field[..., *place] = part
    return field


def with_vanishing_points(prediction: Prediction) -> Prediction:
    """Replace an assumed camera, if vanishing points are clear."""
    camera, photo = prediction.camera, prediction.photo
    if photo is None or camera is None or camera.source is not CameraSource.ASSUMED:
        return prediction
    estimate = vanishing_camera(photo)
    return prediction if estimate is None else prediction.but(camera=estimate)


def vanishing_camera(photo: Photo) -> Camera | None:
    """Camera from clear vanishing points."""
    from rilievo.geometry.focal import find_vanishing

    picture = grey_picture(photo.pixels)
    estimate = find_vanishing(picture)
    if estimate is None or not estimate.is_clear:
        return None
    focal = estimate.focal * max(photo.shape) / max(picture.shape)
    K = K_from_focal(focal, focal, photo.shape)
    return Camera(K=K, source=CameraSource.VANISHING_POINTS)


def grey_picture(pixels: Pixels) -> Float64[np.ndarray, "a b"]:
    """Grey values, reduced to a longer side of ``SIDE``."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = Image.fromarray(pixels).resize(
        (max(1, round(scale * width)), max(1, round(scale * height))),
        Image.Resampling.BOX,
        reducing_gap=2.0,
    )
    return np.asarray(small.convert("L"), np.float64)


class VanishingCamera(WrappedModel):
    """Model whose cameras come from vanishing points."""

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the model, which may need a camera."""
        try:
            return self.model.infer(photos)
        except UnknownCameraError:
            return [self._infer_one(photo) for photo in photos]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Replace an assumed camera of the result."""
        return with_vanishing_points(self.model.finish(inference, photo))

    def _infer_one(self, photo: Photo) -> Inference:
        try:
            return self.model.infer([photo])[0]
        except UnknownCameraError as error:
            camera = vanishing_camera(photo)
            if camera is None:
                raise UnknownCameraError(
                    problem=(
                        f"model '{self.card.name}' needs the focal length, and "
                        "the vanishing points of this photograph are not "
                        "clear: give {fov=...} or {camera=...}"
                    )
                ) from error
        [answer] = self.model.infer([replace(photo, camera=camera)])
        return replace(answer, camera=camera)
