"""ETH3D: high-resolution photographs with depth from laser scans."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from rilievo.data.datasets.base import Request, own_card
from rilievo.data.datasets.colmap import ColmapCamera, ColmapImage, read_cameras, read_images
from rilievo.data.datasets.files import found_in, names_in
from rilievo.data.datasets.photo_files import Listed
from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_PIXELS, check_regular, printable, reason
from rilievo.io.photographs.decode import decode
from rilievo.io.photographs.pixels import upright_pixels
from rilievo.types import Camera, Truth

_CALIBRATION = "dslr_calibration_jpg"
_PICTURES = Path("images", "dslr_images")
_DEPTHS = Path("ground_truth_depth", "dslr_images")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Files and calibration of one photograph."""

    image: Path
    depth: Path
    camera: ColmapCamera
    pose: Float64[np.ndarray, "4 4"]


class Eth3d(Listed[_View]):
    """ETH3D high-resolution multi-view, training set: the part with public depth."""

    card = own_card("eth3d")

    def __init__(self, request: Request) -> None:
        self.request = request
        folders = _scene_folders(request.root)
        if not folders:
            raise InputError(
                f"{request.root}: holds no scene with {_CALIBRATION}/, images/ and "
                f"ground_truth_depth/, as ETH3D's do; it holds {found_in(request.root)}"
            )
        found = {id: view for folder in folders for id, view in _views(folder).items()}
        self._choose(found, request.list_file)

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph without EXIF rotation, as depth and K are for the sensor's orientation."""
        path = self._entry(id).image
        size_bytes, name = check_regular(path), printable(path)
        try:
            with path.open("rb") as file:
                image = decode(file, name, size_bytes=size_bytes, max_pixels=MAX_PIXELS)
                return upright_pixels(image, orientation=1, name=name)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({reason(error)})") from error

    def truth(self, id: str) -> Truth:
        """Depth of the laser scans, K and the pose in the scene."""
        view = self._entry(id)
        depth = _read_raw(view.depth, view.camera)
        valid = np.isfinite(depth) & (depth > 0)
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)),
            depth_valid=valid,
            camera=Camera(K=view.camera.K),
            world_T_cam=view.pose,
            scene=id.rpartition("/")[0],
        )


def _scene_folders(root: Path) -> list[Path]:
    """Scene folders: the root itself, its subfolders, or those of the archive's folder."""
    places = [root, *root.glob("*/"), *root.glob("multi_view_training_dslr_jpg/*/")]
    return sorted(place for place in places if (place / _CALIBRATION).is_dir())


def _views(scene: Path) -> dict[str, _View]:
    """Files and calibration of every photograph that the calibration lists, by id."""
    calibration = scene / _CALIBRATION
    cameras = read_cameras(calibration / "cameras.txt")
    depths = _depth_folder(scene)
    views = {}
    images: list[ColmapImage] = sorted(
        read_images(calibration / "images.txt"), key=lambda each: each.name
    )
    for listed in images:
        if listed.camera_id not in cameras:
            raise InputError(
                f"{calibration}: images.txt names camera {listed.camera_id}, which cameras.txt has "
                "not"
            )
        name = Path(listed.name).name
        views[f"{scene.resolve().name}/{Path(name).stem}"] = _View(
            image=scene / _PICTURES / name,
            depth=depths / name,
            camera=cameras[listed.camera_id],
            pose=listed.world_T_cam,
        )
    return views


def _depth_folder(scene: Path) -> Path:
    """Folder of depth: beside the images, or in the folder of the depth archive."""
    beside = scene / _DEPTHS
    apart = scene.parent.parent / "multi_view_training_dslr_depth" / scene.name / _DEPTHS
    return apart if not names_in(beside) and names_in(apart) else beside


def _read_raw(path: Path, camera: ColmapCamera) -> Float32[np.ndarray, "h w"]:
    size, expected = check_regular(path), 4 * camera.height * camera.width
    if size != expected:
        raise InputError(
            f"{path}: has {size} bytes, expected {expected}: float32 of {camera.width} x "
            f"{camera.height} pixels; fetch it again"
        )
    return np.fromfile(path, "<f4").astype(np.float32).reshape(camera.height, camera.width)
