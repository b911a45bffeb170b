"""Give a photograph the camera that the user names, checked and scaled to its size."""

from dataclasses import replace

from rilievo.calibration.camera_checks import (
    check_camera,
    exif_note,
    film_note,
    lens_notes,
)
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.photographs.photo import notes_without_exif_focal
from rilievo.options.camera_forms import NamedCamera, camera_for_size
from rilievo.records.sample import Photo


def with_camera(photo: Photo, named: NamedCamera | None, fov: float | None) -> Photo:
    """Give a photograph the camera or the horizontal field of view [degrees] that the user names.

    If the user names neither, the camera of the photograph stays, and its lens is checked.

    Raises:
        InputError: If the camera does not fit the photograph.
    """
    if named is None and fov is None:
        return _with_checked_lens(photo)

    without_exif_notes = replace(photo, notes=notes_without_exif_focal(photo))
    if isinstance(named, SpelledLens):
        with_new_camera = _with_spelled_lens(without_exif_notes, named)
    elif fov is not None:
        fov_camera = Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV)
        with_new_camera = _with_named_camera(without_exif_notes, fov_camera)
    else:
        assert named is not None, "checked above"
        with_new_camera = _with_named_camera(without_exif_notes, named)

    new_camera = with_new_camera.camera
    contradiction = None if new_camera is None else exif_note(photo.camera, new_camera)
    if contradiction is None:
        return with_new_camera
    return replace(with_new_camera, notes=(*with_new_camera.notes, contradiction))


def _with_checked_lens(photo: Photo) -> Photo:
    """Check the lens of a photograph's own camera; a fisheye is narrowed to its circle."""
    if photo.camera is None or isinstance(photo.camera.lens, Pinhole):
        return photo
    return replace(photo, camera=check_camera(photo, photo.camera))


def _with_spelled_lens(photo: Photo, named: SpelledLens) -> Photo:
    """Give a photograph a lens that the user spells, such as "fisheye:180"."""
    if named.is_bare_pinhole:
        # The word "pinhole" without numbers only removes another lens that the file states.
        has_other_lens = photo.camera is not None and not isinstance(photo.camera.lens, Pinhole)
        return replace(photo, camera=None) if has_other_lens else photo
    camera = check_camera(photo, Camera(lens=named.lens(photo.shape, photo.name)))
    notes = (*photo.notes, *lens_notes(named, photo.shape))
    return replace(photo, camera=camera, notes=notes)


def _with_named_camera(photo: Photo, named: NamedCamera) -> Photo:
    """Give a photograph a camera that the user names in any other form."""
    note = film_note(named)
    if note is not None:
        photo = replace(photo, notes=(*photo.notes, note))
    camera = check_camera(photo, camera_for_size(named, photo.shape))
    if not isinstance(camera.lens, Pinhole):
        camera = Camera(lens=camera.lens)  # Its source is that the user gives it.
    return replace(photo, camera=camera)
