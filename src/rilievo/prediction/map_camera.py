"""The camera of a photograph whose depth is a given map."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Size
from rilievo.calibration.camera_checks import (
    check_lens,
    exif_note,
    fov_note,
    lens_notes,
    pixel_notes,
    require_centre_inside,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens, read_spelling
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov, pinhole_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.crops import DepthCrop
from rilievo.io.depth.statements import DepthStatement
from rilievo.io.photographs.exif import assumed_camera
from rilievo.records.sample import Photo

_EXPECTED_CAMERA = "a rilievo.Camera, a focal length, fx,fy,cx,cy, a 3x3 matrix or a file of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCamera:
    """Camera of the photograph, and how it was chosen.

    Attributes:
        camera: Camera for the pixels of the photograph.
        notes: Warnings about the camera, such as numbers that are hardly in pixels.
        is_named: Whether the user named it or a field of view.
        stated: Camera that the depth file states, for the pixels of the photograph.
    """

    camera: Camera
    notes: tuple[str, ...] = ()
    is_named: bool = False
    stated: Camera | None = None

    @property
    def unused_notes(self) -> tuple[str, ...]:
        """Note that the camera in the depth file is not used, because the user names another."""
        if not self.is_named or self.stated is None or self.stated.lens == self.camera.lens:
            return ()
        return ("the camera that it states is not used: another one is named",)


def choose_camera(
    photo: Photo,
    camera: object,
    fov: float | None,
    statement: DepthStatement,
    map_size: Size,
    crop: DepthCrop,
) -> ChosenCamera:
    """Choose the camera that the user names, or else that of the file, of EXIF, or a guess.

    Args:
        photo: Photograph.
        camera: Camera that the user names, in any form that ``Prediction.from_depth`` takes.
        fov: Horizontal field of view that the user names [degrees].
        statement: What the depth file states.
        map_size: Height and width of the depth map, before it was resized.
        crop: Part of the photograph that the map covers.

    Raises:
        OptionError: If ``camera`` is no camera, or if both ``camera`` and ``fov`` are given.
        InputError: If the camera cannot be that of the photograph.
    """
    if camera is not None and fov is not None:
        raise OptionError(
            option="camera",
            problem=Text("and ", OptionName("fov"), " say the same; give one of them"),
        )
    stated = _camera_of_file(statement, map_size, crop)
    if camera is not None:
        named = _check_camera(photo, _read_camera(camera, photo))
        return replace(named, is_named=True, stated=stated)
    if fov is not None:
        angle_note = fov_note(fov)
        return ChosenCamera(
            camera=Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV),
            notes=() if angle_note is None else (angle_note,),
            is_named=True,
            stated=stated,
        )
    if stated is not None:
        notes = _notes_on_camera_of_file(photo, statement, map_size, stated)
        return ChosenCamera(camera=stated, notes=tuple(notes), stated=stated)
    return ChosenCamera(
        camera=assumed_camera(photo.shape) if photo.camera is None else photo.camera
    )


def _camera_of_file(statement: DepthStatement, map_size: Size, crop: DepthCrop) -> Camera | None:
    """Camera of the photograph by the one that a depth file states for its own pixels."""
    if statement.camera is None:
        return None
    resized = statement.camera.resized(size=map_size, new_size=crop.shape)
    return resized.cropped(top=-crop.top, left=-crop.left)


def _notes_on_camera_of_file(
    photo: Photo, statement: DepthStatement, map_size: Size, camera: Camera
) -> list[str]:
    """Warnings about the camera that a depth file states, which is ``camera`` in the photograph.

    There are none about the camera in rilievo's own record, which was checked when it was named.

    Raises:
        InputError: If its centre lies outside of the photograph.
    """
    origin = statement.origin
    is_recorded = origin is not None and statement.camera == origin.camera
    if origin is not None and is_recorded and not origin.is_changed:
        return []
    if isinstance(camera.lens, Pinhole):
        require_centre_inside(photo, camera)

    notes = pixel_notes(statement.camera, map_size, ())
    by_exif = exif_note(photo.camera, camera)
    if by_exif is not None:
        notes.append(by_exif)
    if origin is not None and not is_recorded:
        notes.append("its array 'K' is not the camera of its record, and 'K' is used")
    return notes


def _check_camera(photo: Photo, chosen: ChosenCamera) -> ChosenCamera:
    """Check that a camera can be that of the photograph, and add warnings about its numbers.

    Raises:
        InputError: If its lens folds inside the picture, or its centre lies outside.
    """
    camera = chosen.camera
    if isinstance(camera.lens, Pinhole):
        require_centre_inside(photo, camera)
    else:
        # A fisheye keeps its limit: depth at hand may reach beyond the circle of the photograph.
        check_lens(photo, camera.lens)

    notes = [*chosen.notes, *pixel_notes(camera, photo.shape, ())]
    by_exif = exif_note(photo.camera, camera)
    if by_exif is not None:
        notes.append(by_exif)
    return replace(chosen, notes=tuple(notes))


def _read_camera(camera: object, photo: Photo) -> ChosenCamera:
    """Read the camera that the user names: a ``Camera``, a file, a text or numbers."""
    if isinstance(camera, Camera):
        return ChosenCamera(camera=camera)
    if isinstance(camera, Path) or (isinstance(camera, str) and Path(camera).is_file()):
        return _camera_of_spelling(read_lens(Path(camera).expanduser()), photo)
    if isinstance(camera, str) and not re.fullmatch(r"[\d\s.,]+", camera):
        return _camera_of_spelling(read_spelling(camera, "camera"), photo)
    return ChosenCamera(camera=_camera_from_numbers(camera, photo.shape))


def _camera_of_spelling(spelling: SpelledLens, photo: Photo) -> ChosenCamera:
    """Camera of a lens that a text or a file describes, for the size of a photograph."""
    camera = Camera(lens=spelling.lens(photo.shape, photo.name))
    return ChosenCamera(camera=camera, notes=tuple(lens_notes(spelling, photo.shape)))


def _camera_from_numbers(camera: object, shape: Size) -> Camera:
    """Pinhole camera of one number (focal length), four (fx, fy, cx, cy) or nine (K) [px].

    Raises:
        OptionError: If they are no numbers, or of another count.
    """
    try:
        parts = camera.replace(",", " ").split() if isinstance(camera, str) else camera
        numbers = np.asarray(parts, np.float64)
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
    """Pixels that a lens sees; a fisheye may end before the corners of its picture."""
    if isinstance(lens, Pinhole):
        return np.ones(shape, bool)
    height, width = shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.isfinite(lens.rays(np.stack([u, v]))[0])
