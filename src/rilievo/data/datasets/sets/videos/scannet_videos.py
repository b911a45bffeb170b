"""Videos of ScanNet's test scenes (Dai et al., CVPR 2017), as its SensReader exports them."""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from rilievo.data.datasets.files import numbers_of, text_lines
from rilievo.data.datasets.sets.videos.downloads import (
    Download,
    Frames,
    Videos,
    folder_of_videos,
    stems,
)
from rilievo.data.datasets.sets.videos.extracted_lists import stored_depth
from rilievo.data.datasets.sets.videos.video_frame import VideoFrame, View
from rilievo.errors import InputError
from rilievo.io.camera_file import camera_of
from rilievo.io.files.limits import is_whole, printable

_STEPS_A_METRE = 1000.0
INSIDE = slice(8, -8), slice(11, -11)
"""Rows and columns inside the margins, where colour is black; of depth as of photographs."""
_NAMES = tuple(f"scene{number:04}_00" for number in range(707, 807))


def without_margins(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture without its margins."""
    return image[INSIDE]


def _open(root: Path, _: str) -> Videos:
    folder = folder_of_videos(root, _NAMES, "exported scenes of ScanNet such as scene0707_00")

    def frames(video: str, taken: slice) -> Frames:
        scene = folder / video
        numbers = filter(is_whole, stems(scene / "color", ".jpg"))
        for number in sorted(numbers, key=int)[taken]:
            frame = VideoFrame(
                image=scene / "color" / f"{number}.jpg",
                depth=scene / "depth" / f"{number}.png",
                scene=video,
                read_depth=partial(stored_depth, factor=_STEPS_A_METRE),
                read_view=partial(_view, scene, number),
                cut=without_margins,
            )
            yield f"{video}/color/{number}", frame

    return frames


def _view(scene: Path, number: str) -> View:
    """Camera of the depth maps, and the pose, which is infinite where tracking was lost."""
    intrinsics, pose = (
        scene / "intrinsic" / "intrinsic_depth.txt",
        scene / "pose" / f"{number}.txt",
    )
    K = _matrix(intrinsics)
    world_T_cam = _matrix(pose)
    lost = world_T_cam is not None and not np.isfinite(world_T_cam).all()
    return View(
        camera=None if K is None else camera_of(K[:3, :3], intrinsics),
        world_T_cam=None if lost else world_T_cam,
    )


def _matrix(path: Path) -> Float64[np.ndarray, "4 4"] | None:
    """Matrix of a text file; None where there is no such file."""
    if not path.is_file():
        return None
    numbers = numbers_of(" ".join(line.text for line in text_lines(path)))
    if numbers is None or len(numbers) != 16:
        raise InputError(f"{printable(path)}: expected the 16 numbers of a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)


SCANNET = Download(videos=_NAMES, open=_open)
