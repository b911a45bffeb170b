"""The camera that the user names, given to a photograph."""

from dataclasses import replace

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.options.camera_forms import matrix_of
from rilievo.options.given_camera import GivenCamera
from rilievo.types import Camera, CameraSource, Photo


def with_camera(photo: Photo, view: GivenCamera) -> Photo:
    """The photograph with the camera that the user named, if any."""
    named = view.given_camera
    if view.fov is not None:
        named = Camera(K=K_from_fov(view.fov, photo.shape), source=CameraSource.FOV)
    if named is None:
        return photo
    camera = matrix_of(named, photo.shape)
    height, width = photo.shape
    cx, cy = camera.project(np.array([0.0, 0.0, 1.0]))
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"{photo.name}: the camera's centre ({cx:g}, {cy:g}) lies outside its {width}x{height} "
            "pixels: are the intrinsics for another resolution?"
        )
    return replace(photo, camera=camera)
