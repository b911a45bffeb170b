"""KITTI raw: pictures from a car's cameras, with single laser scans as true depth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rilievo.datasets.base import DatasetCard, Request, checked_ids
from rilievo.datasets.files import found_in, names_in
from rilievo.datasets.kitti_calibration import (
    CAMERA_FILE,
    LASER_FILE,
    image_from_laser,
    read_camera,
)
from rilievo.datasets.kitti_lists import (
    CAMERAS,
    COUNTS,
    DRIVE_NAME,
    KittiFrame,
    listed_frames,
    picture_of,
)
from rilievo.datasets.photo_files import PhotoFiles
from rilievo.datasets.velodyne import PROJECTIONS, read_velodyne
from rilievo.errors import InputError
from rilievo.types import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Files of one image.

    Attributes:
        frame: The frame.
        image: File of the picture.
        scan: File of the laser scan of the same moment.
        day: Folder with the calibration.
    """

    frame: KittiFrame
    image: Path
    scan: Path
    day: Path


class KittiRaw(PhotoFiles[_Files]):
    """KITTI raw, synchronised and rectified; ``kitti_depth`` has denser depth made from it."""

    card = DatasetCard(
        name="kitti-raw",
        title="KITTI raw data, synchronised and rectified (Geiger et al. 2013)",
        summary="Roads and towns from a car; depth by single turns of a 64-beam laser, to 80 m.",
        homepage="https://www.cvlibs.net/datasets/kitti/raw_data.php",
        licence="CC-BY-NC-SA-3.0",
        commercial=False,
        gigabytes=175.0,
        layout="""\
2011_09_26/                              one folder a date, five in all
  calib_cam_to_cam.txt                   cameras: P_rect_02, R_rect_00, S_rect_02, ...
  calib_velo_to_cam.txt                  laser to camera 0: R, T
  2011_09_26_drive_0002_sync/
    image_02/data/0000000069.png         left colour picture (or .jpg); image_03 is the right
    velodyne_points/data/0000000069.bin  x y z reflectance, float32 [m]
splits/eigen/test_files.txt              the list of a split (of Monodepth2's repository); also
                                         eigen_test_files_with_gt.txt, or a list file you name""",
        splits=("eigen", "eigen_benchmark", "all", "all_right"),
        counts=COUNTS,
        variants=tuple(PROJECTIONS),
        caveats=(
            "A scan covers about 4 % of the pixels, and none in the upper third.",
            "The laser stands beside the camera and sees behind foreground: near edges some pixels "
            "have the depth of what is hidden.",
            "Moving things are up to 0.05 s off: a turn takes 0.1 s, the picture is taken once.",
            "'monodepth2' lays depth one pixel up and left of 'nearest', which counts them from 0.",
            "'monodepth2_vel_depth' stores the laser's x, 0.27 m more than the camera's z: the "
            "tables of Monodepth2 and its successors were scored with it.",
            "'all' and 'all_right' are every scan, seen from the left or the right camera.",
        ),
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = _frames(request)
        where = str(request.list_file or request.root)
        self._listed = checked_ids([frame.id for frame in frames], where)
        names = cache(names_in)
        files = {}
        for frame in frames:
            day = request.root / frame.date
            scans = day / frame.drive / "velodyne_points" / "data"
            files[frame.id] = _Files(
                frame=frame,
                image=picture_of(frame, request.root, names),
                scan=scans / f"{frame.index}.bin",
                day=day,
            )
        absent = self._keep_present(
            files,
            lambda each: (each.image, each.scan, each.day / CAMERA_FILE, each.day / LASER_FILE),
            names,
        )
        self.ids, self.absent = tuple(self._files), tuple(absent)

    @property
    def listed(self) -> tuple[str, ...]:
        """Ids of the whole list, in its order."""
        return self._listed

    def truth(self, id: str) -> Truth:
        """Depth of the scan, projected by the variant's rule, and the camera.

        Raises:
            InputError: If the scan or a calibration is broken.
        """
        files = self._entry(id)
        camera = read_camera(files.day, files.frame.camera)
        project = PROJECTIONS[self.request.variant]
        points = read_velodyne(files.scan)
        depth = project(points, image_from_laser(files.day, camera), camera.shape)
        return Truth(
            id=id,
            depth=depth.astype(np.float32),
            depth_valid=depth > 0,
            camera=camera.camera,
            scene=files.frame.drive,
        )


def _frames(request: Request) -> list[KittiFrame]:
    """Frames of the split, in its order.

    Raises:
        InputError: If the root has no dates, or the list is missing or invalid.
    """
    root = request.root
    drives = list(_drives(root))
    if not drives:
        raise InputError(
            f"{root}: is no KITTI raw: folders such as 2011_09_26/2011_09_26_drive_0002_sync are "
            f"expected in it, found {found_in(root)}"
        )
    if request.list_file is not None or not request.split.startswith("all"):
        return listed_frames(root, request.split, request.list_file)
    camera = CAMERAS["r" if request.split == "all_right" else "l"]
    return [
        KittiFrame(drive=drive.name, camera=camera, index=name.removesuffix(".bin"))
        for drive in drives
        for name in sorted(names_in(drive / "velodyne_points" / "data"))
        if name.endswith(".bin")
    ]


def _drives(root: Path) -> Iterator[Path]:
    """Folders of drives, each in the folder of its date, sorted."""
    for day in sorted(names_in(root)):
        for drive in sorted(names_in(root / day)):
            found = DRIVE_NAME.fullmatch(drive)
            if found is not None and found[1] == day:
                yield root / day / drive
