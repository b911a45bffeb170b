"""Drives of KITTI with annotated depth."""

from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import names_in
from rilievo.data.datasets.photo_files import DepthFiles, read_steps
from rilievo.data.datasets.sets.kitti_depth import annotated_folder, camera_of_day, raw_folder
from rilievo.data.datasets.sets.kitti_frames import CAMERAS, KittiFrame, picture_of
from rilievo.data.datasets.sets.videos.downloads import Download, Frames, Videos, stems
from rilievo.shapes import Pixels, UInt8
from rilievo.types import Camera

_LEFT = CAMERAS["l"]
_STEPS_A_METRE = 256.0


def even_sides(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Picture without an odd last row or column."""
    height, width = image.shape[:2]
    return image[: height - height % 2, : width - width % 2]


def _open(root: Path, _: str) -> Videos:
    annotated, raw, names = annotated_folder(root), raw_folder(root), cache(names_in)

    def frames(video: str, taken: slice) -> Frames:
        parts = (annotated / part / video / "proj_depth" for part in ("val", "train", ""))
        there = next((part for part in parts if part.is_dir()), annotated / video)
        depths = there / "groundtruth" / _LEFT
        for stem in stems(depths, ".png")[taken]:
            frame = KittiFrame(drive=video, camera=_LEFT, index=stem)
            files = DepthFiles(
                image=picture_of(frame, raw, names),
                depth=depths / f"{stem}.png",
                scene=video,
                read=partial(read_steps, steps=_STEPS_A_METRE),
                camera=partial(_camera, day=raw / frame.date),
                cut=even_sides,
            )
            yield f"{video}/rgb/{stem}", files

    return frames


def _camera(_: tuple[int, int], *, day: Path) -> Camera | None:
    return camera_of_day(day, _LEFT)


KITTI = Download(
    videos=(
        "2011_09_26_drive_0002_sync",
        "2011_09_26_drive_0005_sync",
        "2011_09_26_drive_0013_sync",
        "2011_09_26_drive_0020_sync",
        "2011_09_26_drive_0023_sync",
        "2011_09_26_drive_0036_sync",
        "2011_09_26_drive_0079_sync",
        "2011_09_26_drive_0095_sync",
        "2011_09_26_drive_0113_sync",
        "2011_09_28_drive_0037_sync",
        "2011_09_29_drive_0026_sync",
        "2011_09_30_drive_0016_sync",
        "2011_10_03_drive_0047_sync",
    ),
    open=_open,
)
