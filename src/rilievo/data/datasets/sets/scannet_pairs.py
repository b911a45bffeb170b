"""ScanNet's 1500 test pairs of views, as papers on matching score them."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Int64, Pixels, UInt8
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, ViewPair, ViewPairs
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.sets.scannet_files import read_pose_unless_lost
from rilievo.data.datasets.text_files import contents_text
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, camera_from_K
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers

_LIST_FILE = "test.npz"
_CAMERA_FILE = "intrinsics.npz"
_SIZE = (480, 640)  # (height, width) of the depth maps [px]
_STEPS_PER_METRE = 1000

_CARD = DatasetCard(
    name="scannet-pairs",
    title="ScanNet, 1500 test pairs of SuperGlue and LoFTR (Dai et al. 2017, Sarlin et al. 2020)",
    summary="pairs of views of rooms, with structured-light depth, cameras and poses",
    homepage="https://github.com/zju3dv/LoFTR",
    licence="ScanNet terms of use",
    commercial=False,
    layout=f"""\
{_LIST_FILE}                      from LoFTR's assets/scannet_test_1500: array 'name' with a row
                              (scene, scan, frame, frame) for each pair
{_CAMERA_FILE}                from the same folder: K of every scan, under 'scene0707_00'
scene0707_00/color/15.jpg     from LoFTR's scannet_test_1500.tar
scene0707_00/depth/15.png     16-bit millimetres; 0 is unknown
scene0707_00/pose/15.txt      world_T_cam [m], 4 x 4""",
    splits=("test",),
    caveats=(
        "Made for 'rilievo probe correspondence'. Neighbouring pairs share frames and scenes.",
        "The sensor fails on dark and shiny surfaces, and around edges.",
        "Photographs of another size are resized to 640x480, as in Probe3D's program.",
    ),
)


class ScanNetPairs(DepthSet):
    """Frames of ScanNet that occur in a list of pairs, and these pairs."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._listed_pairs = _read_pairs(request)
        ids = dict.fromkeys(
            image_id for pair in self._listed_pairs for image_id in (pair.first, pair.second)
        )
        files_by_id = {image_id: _files_of_frame(request.root, image_id) for image_id in ids}
        self._set_listed_images(files_by_id, request.list_file)

    def view_pairs(self) -> ViewPairs:
        """Pairs of the list, in its order."""
        reasons = {absent.id: absent.reason for absent in self.absent}
        present = set(self.ids)
        pairs: list[ViewPair] = []
        absent: list[Absent] = []
        for pair in self._listed_pairs:
            if {pair.first, pair.second} <= present:
                pairs.append(pair)
                continue
            missing = pair.second if pair.first in present else pair.first
            reason = reasons.get(missing, f"'{missing}' is not in the list of images")
            absent.append(Absent(id=f"{pair.first} {pair.second}", reason=reason))
        return ViewPairs(pairs=tuple(pairs), absent=tuple(absent))


def _read_pairs(request: Request) -> tuple[ViewPair, ...]:
    """Read the list of pairs; ``InputError`` if the folder or the list is something else."""
    path = request.root / _LIST_FILE
    if not path.is_file():
        raise InputError(
            f"{printable(request.root)}: expected {_LIST_FILE} beside the folders of the scenes, "
            f"found {contents_text(request.root)}"
        )
    rows = read_numbers(path, name="name")
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "ui":
        raise InputError(
            f"{printable(path)}: the array 'name' has {rows.dtype} values of shape {rows.shape}; "
            "expected rows of four integers: scene, scan, frame and frame"
        )
    return tuple(_pair_of_row(row) for row in rows.astype(np.int64))


def _pair_of_row(row: Int64[np.ndarray, "4"]) -> ViewPair:
    scene, scan, first, second = row
    folder = f"scene{scene:04d}_{scan:02d}"
    return ViewPair(first=f"{folder}/{first}", second=f"{folder}/{second}")


def _files_of_frame(root: Path, image_id: str) -> DepthFiles:
    scan, frame = image_id.split("/")
    pose = root / scan / "pose" / f"{frame}.txt"
    return DepthFiles(
        image=root / scan / "color" / f"{frame}.jpg",
        depth=root / scan / "depth" / f"{frame}.png",
        read_depth=partial(read_steps, steps=_STEPS_PER_METRE),
        camera=partial(_read_camera, root / _CAMERA_FILE, scan),
        required_files=(pose,),
        pose=partial(read_pose_unless_lost, pose),
        scene=scan,
        crop_image=_resize_to_depth,
    )


def _read_camera(path: Path, scan: str, size: tuple[int, int]) -> Camera:
    """Read the camera of a scan, which is that of its depth maps."""
    if size != _SIZE:
        raise InputError(
            f"{printable(path.parent / scan)}: its depth maps have {size[1]}x{size[0]} pixels, but "
            f"the cameras in {_CAMERA_FILE} are for {_SIZE[1]}x{_SIZE[0]}"
        )
    K = read_numbers(path, name=scan)
    if K.shape != (3, 3):
        raise InputError(
            f"{printable(path)}: the array '{scan}' has the shape {K.shape}; expected K with the "
            "shape (3, 3)"
        )
    return camera_from_K(K.astype(np.float64), path)


def _resize_to_depth(image: Pixels) -> UInt8[np.ndarray, "480 640 3"]:
    height, width = _SIZE
    if image.shape[:2] == _SIZE:
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
