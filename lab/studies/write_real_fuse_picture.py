"""Write docs/pictures/fuse-real.jpg from a real clip.

    RILIEVO_DATA=... python lab/studies/write_real_fuse_picture.py

Three of the frames, and what ``rilievo fuse`` makes of all of them with their measured poses. They
are freiburg1_desk of the TUM RGB-D benchmark (Sturm et al. 2012, CC BY 4.0).
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageChops, ImageOps
from write_fuse_picture import PICTURE, QUALITY, beside, seen_from_behind

import rilievo
from rilievo.data.clips.pose_files import read_poses_of_files

_CLIP, _CAMERA, _SHOWN = "tum_fr1_desk_9", (517.3, 516.5, 318.6, 255.3), (0, 4, 8)
_HEIGHT = 480


def main() -> None:
    """Write the picture."""
    if "RILIEVO_DATA" not in os.environ:
        sys.exit(f"RILIEVO_DATA is not set: name the folder that holds {_CLIP}")
    clip = Path(os.environ["RILIEVO_DATA"]) / _CLIP
    paths, truth = sorted((clip / "rgb").iterdir()), clip / "groundtruth.txt"
    with TemporaryDirectory() as name:
        place = Path(name) / "place.ply"
        rilievo.fuse_clip(clip / "rgb", place, rilievo.FuseOptions(poses=truth, camera=_CAMERA))
        surface = seen_from_behind(place, read_poses_of_files(truth, paths))
    box = ImageChops.invert(surface).getbbox()
    surface = ImageOps.contain(surface.crop(box), (_HEIGHT * 2, _HEIGHT), Image.Resampling.LANCZOS)
    whole = beside(surface, [paths[number] for number in _SHOWN])
    whole.save(PICTURE.with_name("fuse-real.jpg"), quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
