"""ETH3D: photographs with depth from laser scans."""

from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.colmap import ColmapImage, read_cameras, read_images
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, MaskedValues
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.limits import check_regular
from rilievo.io.photographs.photo import read_rgb

_CARD = DatasetCard(
    name="eth3d",
    title="ETH3D, high-resolution multi-view, training (2017)",
    summary="13 indoor and outdoor scenes, 24 megapixels, laser scans, about 1 to 60 m",
    homepage="https://www.eth3d.net/datasets",
    licence="CC-BY-NC-SA-4.0",
    commercial=False,
    gigabytes=23.0,
    layout="""\
courtyard/                        one folder per scene
  images/dslr_images/*.JPG        photographs, distorted as the lens made them
  ground_truth_depth/dslr_images/*.JPG  raw float32 [m], row by row; inf is unknown
  dslr_calibration_jpg/cameras.txt, images.txt  COLMAP's model and poses
from multi_view_training_dslr_jpg.7z and multi_view_training_dslr_depth.7z""",
    splits=("train",),
    counts={"train": 454},
    caveats=(
        (
            "The images are distorted (THIN_PRISM_FISHEYE): K is taken from the camera model "
            "without its distortion, so surfaces bend towards the edges."
        ),
        "Only a tenth of the pixels have depth; thin objects often have none.",
    ),
)

_CALIBRATION = "dslr_calibration_jpg"
_PICTURES = Path("images", "dslr_images")
_DEPTHS = Path("ground_truth_depth", "dslr_images")


class Eth3d(DepthSet):
    """Scenes of the high-resolution multi-view training set."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        folders = _scene_folders(request.root)
        if not folders:
            raise InputError(
                f"{request.root}: contains no ETH3D scene, which has {_CALIBRATION}/, images/ and "
                f"ground_truth_depth/; found {contents_text(request.root)}"
            )
        views: dict[str, DepthFiles] = {}
        for folder in folders:
            views |= _views_by_id(folder)
        self._set_listed_images(views, request.list_file)

    def image(self, id: str) -> Pixels:
        """Read the photograph as stored, without EXIF's rotation, as depth and K are."""
        return np.array(read_rgb(self._entry(id).image, turn_upright=False))

    def photo_file(self, id: str) -> Path | None:
        """Return None, because other programs would rotate the photographs by EXIF."""
        return None


def _scene_folders(root: Path) -> list[Path]:
    folders = [root, *root.glob("*/"), *root.glob("multi_view_training_dslr_jpg/*/")]
    return sorted(folder for folder in folders if (folder / _CALIBRATION).is_dir())


def _views_by_id(scene: Path) -> dict[str, DepthFiles]:
    """List the photographs of a scene, with K and poses from its COLMAP reconstruction."""
    calibration = scene / _CALIBRATION
    cameras = read_cameras(calibration / "cameras.txt")
    depth_folder = _depth_folder(scene)
    scene_name = scene.resolve().name
    views = {}
    images: list[ColmapImage] = sorted(
        read_images(calibration / "images.txt"), key=lambda image: image.name
    )
    for image in images:
        if image.camera_id not in cameras:
            raise InputError(
                f"{calibration}: images.txt refers to camera {image.camera_id}, which is missing "
                "from cameras.txt"
            )
        name, camera = Path(image.name).name, cameras[image.camera_id]
        views[f"{scene_name}/{Path(name).stem}"] = DepthFiles(
            image=scene / _PICTURES / name,
            depth=depth_folder / name,
            read_depth=partial(_read_raw_depth, height=camera.height, width=camera.width),
            camera=Camera(K=camera.K),
            pose=image.world_T_cam,
            scene=scene_name,
        )
    return views


def _depth_folder(scene: Path) -> Path:
    """Folder of depth inside the scene; if there is none, in the unmerged download of depth."""
    merged = scene / _DEPTHS
    separate = scene.parent.parent / "multi_view_training_dslr_depth" / scene.name / _DEPTHS
    return separate if not names_in(merged) and names_in(separate) else merged


def _read_raw_depth(path: Path, *, height: int, width: int) -> MaskedValues:
    """Read depth [m] from a file of float32 without header."""
    size_bytes, expected_bytes = check_regular(path), 4 * height * width
    if size_bytes != expected_bytes:
        raise InputError(
            f"{path}: has {size_bytes} bytes, expected {expected_bytes} (float32 for {width} x "
            f"{height} pixels); download it again"
        )
    depth = np.fromfile(path, "<f4").astype(np.float32).reshape(height, width)
    valid = np.isfinite(depth) & (depth > 0)
    return MaskedValues(np.where(valid, depth, np.float32(0)), valid)
