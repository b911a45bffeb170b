"""Correct the depth of rooms and corridors so that it agrees with their lines.

If most lines of a photograph run along three axes at right angles, floors and walls are very
probably at right angles to these axes. A tilt and a power of log depth, which networks often get
wrong, are then found from the depth itself: they bring its surfaces to the axes.

The camera has to be known, because the axes would be wrong with an assumed focal length.
"""

from dataclasses import replace

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.manhattan_depth import LogDepthChange, fit_to_manhattan_frame
from rilievo.geometry.manhattan_frame import find_manhattan_frame
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import visible_part
from rilievo.models.refinement.vanishing_points import grey_picture
from rilievo.records.sample import Photo

_MAX_SIDE = 384
"""Longer side of the picture in which lines are sought [px].

With 512, the same photographs are corrected in half as much time again.
"""


def correct_by_lines(
    model: Model, inference: Inference, photo: Photo
) -> tuple[Inference, LogDepthChange | None]:
    """Correct the depth of a photograph if its camera is known and its lines form a clear frame.

    The card of the model has to allow it. A photograph with transparent pixels is not corrected,
    because the outline of what was cut out would count as lines, and what the network predicts at
    these pixels as surfaces. The normals of the network stay as they are, because those of the
    default model became worse when they were turned with the depth.

    Returns:
        The inference, and the change; the same inference and None if its depth is not changed.
    """
    visible_photo = visible_part(model, photo)
    depth, camera = inference.depth, visible_photo.camera
    if depth is None or camera is None:
        return inference, None
    can_be_corrected = model.card.corrected_by_lines and inference.valid is None
    if not can_be_corrected or not _can_show_axes(visible_photo, camera):
        return inference, None
    picture = _picture_with_lines(inference, visible_photo)
    picture_camera = camera.resized(size=visible_photo.shape, new_size=picture.shape)
    frame = find_manhattan_frame(picture, picture_camera.K)
    if frame is None or not frame.is_clear:
        return inference, None
    depth_K = camera.resized(size=visible_photo.shape, new_size=depth.shape).K
    is_land = None if inference.sky is None else inference.sky < 0.5
    change = fit_to_manhattan_frame(depth, depth_K, frame.rotation, is_land)
    if change is None:
        return inference, None
    return replace(inference, depth=change.apply(depth, depth_K)), change


def _can_show_axes(photo: Photo, camera: Camera) -> bool:
    """Whether lines of a photograph tell the axes: its camera is a known pinhole, and it is opaque.

    Outlines of transparent pixels would count as lines.
    """
    has_known_pinhole = camera.source is not CameraSource.ASSUMED and not photo.is_wide
    return has_known_pinhole and photo.transparent is None


def _picture_with_lines(inference: Inference, photo: Photo) -> Float64[np.ndarray, "a b"]:
    """Grey values of the photograph, from the network's smaller copy if that is large enough."""
    copy = inference.network_image
    if copy is None or max(copy.shape) < _MAX_SIDE:
        return grey_picture(photo.pixels, _MAX_SIDE)
    return grey_picture(copy, _MAX_SIDE)


def correction_note(change: LogDepthChange) -> str:
    """Note for the user that depth was corrected, with the numbers of the change."""
    return Note(
        Text(
            "depth was corrected so that floors and walls agree with the lines of the photograph "
            f"(tilt {change.tilt_x:+.2f} and {change.tilt_y:+.2f}, power {change.power:.2f}): ",
            OptionName("manhattan", "off"),
            " keeps the depth of the network",
        )
    )
