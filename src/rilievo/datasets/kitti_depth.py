"""KITTI's annotated depth: eleven accumulated laser scans, checked against stereo.

Uhrig, Schneider, Schneider, Franke, Brox and Geiger, "Sparsity Invariant CNNs", 3DV 2017.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.datasets.base import DatasetCard, Request, checked_ids
from rilievo.datasets.files import read_counts
from rilievo.datasets.kitti_calibration import CAMERA_FILE, camera_of_shape, read_camera
from rilievo.datasets.kitti_lists import (
    COUNTS,
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

    card = DatasetCard(
        name="kitti-depth",
        title="KITTI depth prediction and completion (Uhrig et al. 2017)",
        summary="Roads and towns from a car; depth of eleven laser scans laid together, to 85 m.",
        homepage="https://www.cvlibs.net/datasets/kitti/eval_depth.php?benchmark=depth_prediction",
        licence="CC-BY-NC-SA-3.0",
        commercial=False,
        gigabytes=14.0,
        layout="""\
data_depth_annotated/                      (or its train/ and val/ right here)
  val/2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000005.png
                                           uint16, metres * 256, 0 unknown; image_03 likewise
raw/2011_09_26/...                         KITTI raw, for the pictures and calib_cam_to_cam.txt
                                           (under any name, or its dates right here)
splits/eigen_benchmark/test_files.txt      the list of 'eigen_benchmark' (of Monodepth2's
                                           repository); also eigen_test_files_with_gt.txt, or a
                                           list file you name
rgb/NAME.png, depth/NAME.png               split 'pairs': both by one name, as demos have them""",
        splits=tuple(_SPLITS),
        counts={"eigen_benchmark": COUNTS["eigen_benchmark"], "val": 6852, "train": 85898},
        caveats=(
            "Depth covers 15 to 20 % of the pixels, and none in the upper third.",
            "Stereo removed what moves and what lies near edges: hard pixels have no truth.",
            "Eigen's test frames lie in both train and val of this download.",
            "Intrinsics are those of calib_cam_to_cam.txt; without it, of the date that has "
            "pictures of this size, and unknown for pictures that were cut.",
        ),
    )

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
