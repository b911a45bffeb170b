"""KITTI's annotated depth: eleven accumulated laser scans, checked against stereo.

Uhrig, Schneider, Schneider, Franke, Brox and Geiger, "Sparsity Invariant CNNs", 3DV 2017.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.datasets.base import Request, checked_ids, own_card
from rilievo.datasets.files import read_counts
from rilievo.datasets.kitti_calibration import CAMERA_FILE, camera_of_shape, read_camera
from rilievo.datasets.kitti_lists import (
    DRIVE_NAME,
    DepthFiles,
    annotated_files,
    listed_files,
    paired_files,
)
from rilievo.datasets.photo_files import PhotoFiles
from rilievo.types import Camera, Truth

_STEPS_A_METRE = 256

# A new split needs one function in kitti_lists and one line here.
_SPLITS: Mapping[str, Callable[[Request], list[DepthFiles]]] = {
    "eigen_benchmark": listed_files,
    "val": annotated_files,
    "train": annotated_files,
    "pairs": paired_files,
}


class KittiDepth(PhotoFiles[DepthFiles]):
    """KITTI annotated depth; ``kitti_raw`` has the single scans that older papers score with."""

    card = own_card("kitti-depth")

    def __init__(self, request: Request) -> None:
        self.request = request
        files = _SPLITS[request.split](request)
        where = str(request.list_file or request.root)
        checked_ids([each.id for each in files], where)
        self._keep(
            {each.id: each for each in files},
            lambda each: (each.image, each.depth),
        )

    def truth(self, id: str) -> Truth:
        """Annotated depth, and the camera where it is known."""
        files = self._entry(id)
        stored = read_counts(files.depth)
        height, width = stored.shape
        return Truth(
            id=id,
            depth=stored.astype(np.float32) / _STEPS_A_METRE,
            depth_valid=stored > 0,
            camera=_camera(files, (height, width)),
            scene=drive[0] if (drive := DRIVE_NAME.search(id)) else None,
        )


def _camera(files: DepthFiles, shape: tuple[int, int]) -> Camera | None:
    if files.frame is not None and files.day is not None and (files.day / CAMERA_FILE).is_file():
        return read_camera(files.day, files.frame.camera).camera
    return camera_of_shape(shape)
