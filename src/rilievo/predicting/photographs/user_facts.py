"""The user's camera of a photograph."""

from dataclasses import replace

from rilievo.calibration.camera_checks import (
    check_lens,
    exif_note,
    film_note,
    lens_notes,
    require_centre_inside,
)
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.photographs.exif_crops import is_exif_focal_note
from rilievo.options.camera_forms import NamedCamera, camera_of_size
from rilievo.records.sample import Photo


def with_camera(photo: Photo, named: NamedCamera | None, fov: float | None) -> Photo:
    """Photograph with the user's camera or field of view [degrees]."""
    chosen = _with_named_camera(photo, named, fov)
    if (named is None and fov is None) or chosen.camera is None:
        return chosen
    note = exif_note(photo.camera, chosen.camera)
    return chosen if note is None else replace(chosen, notes=(*chosen.notes, note))


def _with_named_camera(photo: Photo, named: NamedCamera | None, fov: float | None) -> Photo:
    if named is not None or fov is not None:
        notes = tuple(note for note in photo.notes if not is_exif_focal_note(note))
        photo = replace(photo, notes=notes)
    if isinstance(named, SpelledLens):
        return _with_spelled_lens(photo, named)
    if fov is not None:
        named = Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV)
    if named is None:
        if photo.camera is None or isinstance(photo.camera.lens, Pinhole):
            return photo
        lens = check_lens(photo, photo.camera.lens)
        return replace(photo, camera=Camera(lens=lens, source=photo.camera.source))
    short_note = film_note(named)
    if short_note is not None:
        photo = replace(photo, notes=(*photo.notes, short_note))
    camera = camera_of_size(named, photo.shape)
    if not isinstance(camera.lens, Pinhole):
        return replace(photo, camera=Camera(lens=check_lens(photo, camera.lens)))
    require_centre_inside(photo, camera)
    return replace(photo, camera=camera)


def _with_spelled_lens(photo: Photo, named: SpelledLens) -> Photo:
    if named.is_bare_pinhole:
        is_round = photo.camera is not None and not isinstance(photo.camera.lens, Pinhole)
        return replace(photo, camera=None) if is_round else photo
    lens = check_lens(photo, named.lens(photo.shape, photo.name))
    notes = (*photo.notes, *lens_notes(named, photo.shape))
    camera = Camera(lens=lens)
    if isinstance(lens, Pinhole):
        require_centre_inside(photo, camera)
    return replace(photo, camera=camera, notes=notes)
