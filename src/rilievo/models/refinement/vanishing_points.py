"""Find the camera of a photograph by its vanishing points, if it is not known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Pixels
from rilievo.errors import UnknownCameraError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference, WrappedModel
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

MAX_SIDE = 512
"""Longer side of the picture in which vanishing points are sought [px]."""


def with_vanishing_points(prediction: Prediction) -> Prediction:
    """Replace an assumed camera by that of the vanishing points, if these are clear."""
    camera, photo = prediction.camera, prediction.photo
    if photo is None or camera is None or camera.source is not CameraSource.ASSUMED:
        return prediction
    estimate = vanishing_camera(photo)
    return prediction if estimate is None else prediction.but(camera=estimate)


def vanishing_camera(photo: Photo) -> Camera | None:
    """Camera from the vanishing points of a photograph; None if they are not clear."""
    from rilievo.geometry.vanishing import find_vanishing

    picture = grey_picture(photo.pixels, MAX_SIDE)
    estimate = find_vanishing(picture)
    if estimate is None or not estimate.is_clear:
        return None
    focal = estimate.focal * max(photo.shape) / max(picture.shape)
    K = K_from_focal(focal, focal, photo.shape)
    return Camera(K=K, source=CameraSource.VANISHING_POINTS)


def grey_picture(pixels: Pixels, max_side: int) -> Float64[np.ndarray, "a b"]:
    """Grey values from 0 to 255, reduced to a longer side of at most ``max_side`` pixels."""
    height, width = pixels.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    small = Image.fromarray(pixels).resize(
        (max(1, round(scale * width)), max(1, round(scale * height))),
        Image.Resampling.BOX,
        reducing_gap=2.0,
    )
    return np.asarray(small.convert("L"), np.float64)


class VanishingCamera(WrappedModel):
    """Model that finds unknown cameras by vanishing points."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the model; if it needs a camera that is not known, find one by vanishing points."""
        try:
            return self.model.infer(photos)
        except UnknownCameraError:
            # The error does not say for which photographs, so they are run one by one.
            return [self._infer_with_camera(photo) for photo in photos]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Replace the camera of the prediction if it was only assumed."""
        return with_vanishing_points(self.model.finish(inference, photo))

    def _infer_with_camera(self, photo: Photo) -> Inference:
        """Run one photograph, and find its camera only if the model needs it."""
        try:
            return self.model.infer([photo])[0]
        except UnknownCameraError as error:
            camera = vanishing_camera(photo)
            if camera is None:
                raise UnknownCameraError(
                    problem=Text(
                        f"model '{self.card.name}' needs the focal length, and the "
                        "vanishing points of this photograph are not clear: give ",
                        OptionName("fov", "..."),
                        " or ",
                        OptionName("camera", "..."),
                    )
                ) from error
        [inference] = self.model.infer([replace(photo, camera=camera)])
        return replace(inference, camera=camera)
