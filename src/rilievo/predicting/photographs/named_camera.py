"""The camera that the user names, given to a photograph."""

from dataclasses import replace

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.pinhole import Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.options.camera_forms import matrix_of
from rilievo.options.given_camera import GivenCamera
from rilievo.predicting.photographs.panorama_signs import check_lens
from rilievo.types import Camera, CameraSource, Photo


def with_camera(photo: Photo, view: GivenCamera) -> Photo:
    """The photograph with the camera that the user named, if any."""
    named = view.given_camera
    if isinstance(named, SpelledLens):
        return _with_lens(photo, named)
    if view.fov is not None:
        named = Camera(K=K_from_fov(view.fov, photo.shape), source=CameraSource.FOV)
    if named is None:
        if photo.camera is None or isinstance(photo.camera.lens, Pinhole):
            return photo
        lens = check_lens(photo, photo.camera.lens)
        return replace(photo, camera=Camera(lens=lens, source=photo.camera.source))
    camera = matrix_of(named, photo.shape)
    if not isinstance(camera.lens, Pinhole):
        return replace(photo, camera=Camera(lens=check_lens(photo, camera.lens)))
    height, width = photo.shape
    cx, cy = camera.project(np.array([0.0, 0.0, 1.0]))
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"{photo.name}: the camera's centre ({cx:g}, {cy:g}) lies outside its {width}x{height} "
            "pixels: are the intrinsics for another resolution?"
        )
    return replace(photo, camera=camera)


def _with_lens(photo: Photo, named: SpelledLens) -> Photo:
    """The photograph with a lens in words."""
    if named.is_plain:
        is_round = photo.camera is not None and not isinstance(photo.camera.lens, Pinhole)
        return replace(photo, camera=None) if is_round else photo
    lens = check_lens(photo, named.lens(photo.shape, photo.name))
    return replace(photo, camera=Camera(lens=lens))
