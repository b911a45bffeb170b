"""Cameras from vanishing points, for photographs whose camera is not known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from rilievo.errors import UnknownCameraError
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference, WrappedModel
from rilievo.models.speeds import infer_timed
from rilievo.prediction import Prediction
from rilievo.types import Camera, CameraSource, Photo

SIDE = 512
"""Longer side of the picture whose edges are read [px]."""


def with_vanishing_points(prediction: Prediction) -> Prediction:
    """Replace an assumed camera by one from vanishing points, if they are clear.

    Edges at right angles, as in rooms and houses, meet in points that determine the focal length;
    docs/measure.md gives the accuracy.
    """
    camera, photo = prediction.camera, prediction.photo
    if photo is None or camera is None or camera.source is not CameraSource.ASSUMED:
        return prediction
    found = vanishing_camera(photo)
    return prediction if found is None else prediction.but(camera=found)


def vanishing_camera(photo: Photo) -> Camera | None:
    """The camera that the vanishing points of a photograph tell; None where they are not clear."""
    from rilievo.geometry.vanishing import find_vanishing

    picture = grey_picture(photo.pixels)
    found = find_vanishing(picture)
    if found is None or not found.is_clear:
        return None
    focal = found.focal * max(photo.shape) / max(picture.shape)
    K = K_from_focal(focal, focal, photo.shape)
    return Camera(K=K, source=CameraSource.VANISHING_POINTS)


def grey_picture(pixels: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "a b"]:
    """Grey values of a photograph, reduced to a longer side of ``SIDE``."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = Image.fromarray(pixels).resize(
        (max(1, round(scale * width)), max(1, round(scale * height))),
        Image.Resampling.BOX,
        reducing_gap=2.0,
    )
    return np.asarray(small.convert("L"), np.float64)


class VanishingCamera(WrappedModel):
    """A model whose cameras come from vanishing points where nothing else tells them.

    A model that cannot do without a camera is given that one; an assumed camera is replaced.
    """

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the wrapped model; its speed is that model's."""
        try:
            return infer_timed(self.model, photos)
        except UnknownCameraError:
            return [self._infer_one(photo) for photo in photos]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Finish as the wrapped model does, then replace an assumed camera."""
        return with_vanishing_points(self.model.finish(inference, photo))

    def _infer_one(self, photo: Photo) -> Inference:
        try:
            return self.model.infer([photo])[0]
        except UnknownCameraError as error:
            camera = vanishing_camera(photo)
            if camera is None:
                raise UnknownCameraError(
                    f"model '{self.card.name}' needs the focal length, and the vanishing points of "
                    "this photograph are not clear: give --fov (fov=...) or --camera (camera=...)"
                ) from error
        [answer] = self.model.infer([replace(photo, camera=camera)])
        return replace(answer, camera=camera)
