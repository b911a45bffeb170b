"""Write docs/pictures/fuse-real.jpg from a real clip.

    RILIEVO_DATA=... python lab/studies/write_real_fuse_picture.py

Three of the frames, and what ``rilievo fuse`` makes of all of them with their measured poses. They
are freiburg1_desk of the TUM RGB-D benchmark (Sturm et al. 2012, CC BY 4.0).
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageChops, ImageOps
from scipy.spatial.transform import Rotation
from write_fuse_picture import PICTURE, seen_from_behind

import rilievo

_CLIP, _CAMERA, _SHOWN = "tum_fr1_desk_9", (517.3, 516.5, 318.6, 255.3), (0, 4, 8)
_HEIGHT, _GAP, _QUALITY = 480, 4, 80


def poses_at(times: np.ndarray, path: Path) -> np.ndarray:
    """Poses (world_T_cam) of a file of TUM that are nearest in time."""
    rows = np.loadtxt(path)
    rows = rows[abs(rows[:, :1] - times).argmin(axis=0)]
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:8]).as_matrix()
    poses[:, :3, 3] = rows[:, 1:4]
    return poses


def sheet(surface: Image.Image, paths: Sequence[Path]) -> Image.Image:
    """Frames above one another, and the surface beside them without its white margin."""
    box = ImageChops.invert(surface).getbbox()
    surface = ImageOps.contain(surface.crop(box), (_HEIGHT * 2, _HEIGHT), Image.Resampling.LANCZOS)
    height = (_HEIGHT - (len(_SHOWN) - 1) * _GAP) // len(_SHOWN)
    width = height * 4 // 3
    whole = Image.new("RGB", (width + _GAP + surface.width, _HEIGHT), "white")
    for row, number in enumerate(_SHOWN):
        small = Image.open(paths[number]).resize((width, height), Image.Resampling.LANCZOS)
        whole.paste(small, (0, row * (height + _GAP)))
    whole.paste(surface, (width + _GAP, 0))
    return whole


def main() -> None:
    """Write the picture."""
    if "RILIEVO_DATA" not in os.environ:
        sys.exit(f"RILIEVO_DATA is not set: name the folder that holds {_CLIP}")
    clip = Path(os.environ["RILIEVO_DATA"]) / _CLIP
    paths, truth = sorted((clip / "rgb").iterdir()), clip / "groundtruth.txt"
    with TemporaryDirectory() as name:
        place = Path(name) / "place.ply"
        rilievo.fuse_clip(clip / "rgb", place, rilievo.FuseOptions(poses=truth, camera=_CAMERA))
        poses = poses_at(np.array([float(path.stem) for path in paths]), truth)
        surface = seen_from_behind(place, poses)
    whole = sheet(surface, paths)
    whole.save(PICTURE.with_name("fuse-real.jpg"), quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
