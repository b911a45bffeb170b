"""The camera of a photograph whose depth is a given map."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Size
from rilievo.calibration.camera_checks import (
    check_camera,
    exif_note,
    fov_note,
    lens_notes,
    pixel_notes,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens, read_spelling
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov, pinhole_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.crops import DepthCrop
from rilievo.io.depth.depth_metadata import DepthMetadata
from rilievo.records.sample import Photo

_EXPECTED_CAMERA = (
    "a rilievo.Camera, a focal length in pixels, fx,fy,cx,cy, a 3x3 matrix, or a file with one of "
    "these"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCamera:
    """Camera of the photograph, and how it was chosen.

    Attributes:
        camera: Camera for the pixels of the photograph.
        notes: Warnings about the camera, such as numbers that are hardly in pixels.
        is_named: Whether the user named the camera or a field of view.
        file_camera: Camera that the depth file states, for the pixels of the photograph.
    """

    camera: Camera
    notes: tuple[str, ...] = ()
    is_named: bool = False
    file_camera: Camera | None = None

    @property
    def unused_notes(self) -> tuple[str, ...]:
        """Note that the camera in the depth file is not used, because the user names another."""
        if not self.is_named or self.file_camera is None:
            return ()
        if self.file_camera.lens == self.camera.lens:
            return ()
        return ("the camera in the depth file is not used, because you give another one",)


def choose_camera(
    photo: Photo,
    camera: object,
    fov: float | None,
    metadata: DepthMetadata,
    map_size: Size,
    crop: DepthCrop,
) -> ChosenCamera:
    """Choose the camera that the user names, or else the one in the file, in EXIF, or a guess.

    Args:
        photo: Photograph.
        camera: Camera that the user names, in any form that ``Prediction.from_depth`` accepts.
        fov: Horizontal field of view that the user names [degrees].
        metadata: What the depth file states.
        map_size: Height and width of the depth map, before it was resized.
        crop: Part of the photograph that the map covers.

    Raises:
        OptionError: If ``camera`` is no camera, or if both ``camera`` and ``fov`` are given.
        InputError: If the camera cannot be that of the photograph.
    """
    if camera is not None and fov is not None:
        raise OptionError(
            option="camera",
            problem=Text(
                "and ", OptionName("fov"), " both give the field of view; give only one of them"
            ),
        )
    file_camera = _camera_from_file(metadata, map_size, crop)
    if camera is not None:
        named = _check_camera(photo, _read_camera(camera, photo))
        return replace(named, is_named=True, file_camera=file_camera)
    if fov is not None:
        angle_note = fov_note(fov)
        return ChosenCamera(
            camera=Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV),
            notes=() if angle_note is None else (angle_note,),
            is_named=True,
            file_camera=file_camera,
        )
    if file_camera is not None:
        notes = _check_file_camera(photo, metadata, map_size, file_camera)
        return ChosenCamera(camera=file_camera, notes=tuple(notes), file_camera=file_camera)
    return ChosenCamera(
        camera=assumed_camera(photo.shape) if photo.camera is None else photo.camera
    )


def _camera_from_file(metadata: DepthMetadata, map_size: Size, crop: DepthCrop) -> Camera | None:
    """Convert the camera that a depth file states for its own pixels to those of the photograph."""
    if metadata.camera is None:
        return None
    resized = metadata.camera.resized(size=map_size, new_size=crop.shape)
    return resized.cropped(top=-crop.top, left=-crop.left)


def _check_file_camera(
    photo: Photo, metadata: DepthMetadata, map_size: Size, camera: Camera
) -> list[str]:
    """Check the camera that a depth file states, and return warnings about it.

    A camera that rilievo recorded was checked before it was saved, so it gets no warnings.
    ``camera`` is the stated camera, converted to the pixels of the photograph.

    Raises:
        InputError: If its centre lies outside the photograph.
    """
    origin = metadata.origin  # None if rilievo did not save the file
    has_recorded_camera = origin is not None and metadata.camera == origin.camera
    if origin is not None and has_recorded_camera and not origin.is_changed:
        return []
    if isinstance(camera.lens, Pinhole):
        check_camera(photo, camera)

    notes = pixel_notes(metadata.camera, map_size, sizes=())
    exif_contradiction = exif_note(photo.camera, camera)
    if exif_contradiction is not None:
        notes.append(exif_contradiction)
    if origin is not None and not has_recorded_camera:
        notes.append(
            "the array 'K' in the depth file differs from the camera in the file's record, so "
            "rilievo uses 'K'"
        )
    return notes


def _check_camera(photo: Photo, chosen: ChosenCamera) -> ChosenCamera:
    """Check that the chosen camera fits the photograph, and add warnings about its numbers."""
    camera = chosen.camera
    # Only the check is wanted. The returned lens is cropped to the image circle of a fisheye,
    # but the given depth may reach beyond it.
    check_camera(photo, camera)

    notes = [*chosen.notes, *pixel_notes(camera, photo.shape, sizes=())]
    exif_contradiction = exif_note(photo.camera, camera)
    if exif_contradiction is not None:
        notes.append(exif_contradiction)
    return replace(chosen, notes=tuple(notes))


def _read_camera(camera: object, photo: Photo) -> ChosenCamera:
    """Read the camera that the user names: a ``Camera``, a file, a text or numbers."""
    if isinstance(camera, Camera):
        return ChosenCamera(camera=camera)
    if isinstance(camera, Path) or (isinstance(camera, str) and Path(camera).is_file()):
        return _camera_from_spelling(read_lens(Path(camera).expanduser()), photo)
    if isinstance(camera, str) and not re.fullmatch(r"[\d\s.,]+", camera):
        return _camera_from_spelling(read_spelling(camera, "camera"), photo)
    return ChosenCamera(camera=_camera_from_numbers(camera, photo.shape))


def _camera_from_spelling(spelling: SpelledLens, photo: Photo) -> ChosenCamera:
    """Make the camera of a lens that a text or a file describes, for the size of a photograph."""
    camera = Camera(lens=spelling.lens(photo.shape, photo.name))
    return ChosenCamera(camera=camera, notes=tuple(lens_notes(spelling, photo.shape)))


def _camera_from_numbers(camera: object, shape: Size) -> Camera:
    """Make a pinhole camera from 1 number (focal length), 4 (fx, fy, cx, cy) or 9 (K) [px]."""
    try:
        values = camera.replace(",", " ").split() if isinstance(camera, str) else camera
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(option="camera", expected=_EXPECTED_CAMERA, value=camera) from error
    if numbers.size == 1:
        focal = float(numbers.reshape(-1)[0])
        return Camera(K=K_from_focal(focal, focal, shape))
    if numbers.size == 4:
        return Camera(K=pinhole_K(*numbers.reshape(-1).tolist()))
    if numbers.size == 9:
        return Camera(K=numbers.reshape(3, 3))
    raise OptionError(option="camera", expected=_EXPECTED_CAMERA, value=camera)


def seen_mask(lens: Lens, shape: Size) -> Mask:
    """Pixels that a lens sees; the circle of a fisheye may not reach the corners of its picture."""
    if isinstance(lens, Pinhole):
        return np.ones(shape, bool)
    height, width = shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.isfinite(lens.rays(np.stack([u, v]))[0])
