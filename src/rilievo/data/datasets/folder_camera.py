"""Cameras of the images in a user's folder, and of depth maps that lie in its photographs."""

from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.data.datasets.folder_layout import CameraLayout
from rilievo.data.datasets.id_patterns import expected_path
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.placement import MapPlacement


def read_image_camera(layout: CameraLayout, folder: Path, image_id: str, size: Size) -> Camera:
    """Read the camera of an image: the numbers, the lens or the camera file that the YAML names.

    ``size`` is that of the upright photograph [px].
    """
    camera = Camera(lens=_read_lens_of_layout(layout, folder, image_id, size))
    if layout.lens is not None or layout.width is None or layout.height is None:
        return camera
    stated_size = (layout.height, layout.width)
    return camera if stated_size == size else camera.resized(size=stated_size, new_size=size)


def _read_lens_of_layout(layout: CameraLayout, folder: Path, image_id: str, size: Size) -> Lens:
    if layout.lens is not None:
        return read_spelling(layout.lens).lens(size, image_id)
    if layout.file is not None:
        stated_size = (layout.height or size[0], layout.width or size[1])
        return read_lens(expected_path(folder, layout.file, image_id)).lens(stated_size, image_id)
    assert layout.fx is not None, "a layout is checked when it is read"
    assert layout.cx is not None, "fx comes with cx"
    assert layout.cy is not None, "fx comes with cy"
    fy = layout.fx if layout.fy is None else layout.fy
    return Pinhole(pinhole_K(layout.fx, fy, layout.cx, layout.cy))


def camera_of_photograph(map_camera: Camera, map_size: Size, placement: MapPlacement) -> Camera:
    """Derive the camera of a photograph from the camera of a map that lies in it."""
    crop = placement.crop
    resized = map_camera.resized(size=map_size, new_size=crop.shape)
    return resized.cropped(top=-crop.top, left=-crop.left)


def camera_of_map(photo_camera: Camera, map_size: Size, placement: MapPlacement) -> Camera:
    """Derive the camera of a map that lies in a photograph from the photograph's camera."""
    crop = placement.crop
    camera = photo_camera
    if (crop.top, crop.left) != (0, 0):
        camera = camera.cropped(top=crop.top, left=crop.left)
    return camera if crop.shape == map_size else camera.resized(size=crop.shape, new_size=map_size)
