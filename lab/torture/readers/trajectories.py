"""Poses of a clip: files of trackers, models of COLMAP, transforms.json."""

from pathlib import Path

from lab.torture.reader import sample, sample_file
from rilievo.data.clips.pose_files import read_poses
from rilievo.data.clips.sequences import ClipFrame

_FRAMES = [ClipFrame(index=place, name=f"{place}.png", seconds=float(place)) for place in range(3)]


def _read(path: Path) -> object:
    found = read_poses(path)
    return found.poses_of_frames(_FRAMES, len(_FRAMES)), found.camera, found.notes


READERS = (
    *(
        sample_file(f"poses of a clip: {kind}", _read, 0.7)
        for kind in ("KITTI", "TUM", "transforms.json")
    ),
    sample(
        "poses of a clip: model of COLMAP",
        _read,
        victims="sparse/0/images.txt sparse/0/cameras.txt",
    ),
)
