"""Poses of a clip: files of trackers, models of COLMAP, transforms.json."""

import json
from pathlib import Path

from lab.torture.reader import Reader, row, write_text
from rilievo.data.clips.pose_files import read_poses
from rilievo.data.clips.sequences import ClipFrame

_KITTI = "1 0 0 {0} 0 1 0 0.5 0 0 1 {0}.25\n"
_TUM = "# path\n0.0 1 2 3 0 0 0 1\n1.0 4 5 6 0 0 0.7071 0.7071\n2.0 4 5 6 0 0 0 1\n"
_IMAGES = "# images\n" + "".join(
    f"{number + 1} 1 0 0 0 {number} 0 5 1 {number}.png\n12.5 30.2 -1 4 2.5 7\n"
    for number in range(3)
)
_CAMERAS = "# cameras\n1 OPENCV 96 64 80.5 81 48 32 -0.1 0.01 0 0.001\n"
_POINTS = "# points\n7 1 2 3 255 0 0 0.5 1 0 2 0\n"
_FRAMES = [ClipFrame(index=place, name=f"{place}.png", seconds=float(place)) for place in range(3)]


def _transforms() -> str:
    lens = {"w": 96, "h": 64, "fl_x": 80.5, "fl_y": 81.0, "cx": 48, "cy": 32, "k1": -0.1, "p1": 0}
    rows = [[1, 0, 0, 0.5], [0, 1, 0, 1], [0, 0, 1, 2], [0, 0, 0, 1]]
    frames = [{"file_path": f"images/{i}.png", "transform_matrix": rows} for i in range(3)]
    return json.dumps({**lens, "camera_model": "OPENCV", "frames": frames})


def _read(path: Path) -> object:
    found = read_poses(path)
    return found.of(_FRAMES, len(_FRAMES)), found.camera, found.notes


def _write_colmap(folder: Path) -> None:
    model = folder / "sparse" / "0"
    write_text(model / "images.txt", _IMAGES)
    write_text(model / "cameras.txt", _CAMERAS)
    write_text(model / "points3D.txt", _POINTS)


def _reader(kind: str, file: str, form: str, text: str) -> Reader:
    return row(
        f"poses of a clip: {kind}",
        {file: text},
        {file: form},
        lambda folder: _read(folder / file),
        0.7,
    )


READERS = (
    _reader("KITTI", "poses.txt", "text", "".join(map(_KITTI.format, range(3)))),
    _reader("TUM", "groundtruth.txt", "text", _TUM),
    _reader("transforms.json", "transforms.json", "json", _transforms()),
    row(
        "poses of a clip: model of COLMAP",
        _write_colmap,
        "sparse/0/images.txt sparse/0/cameras.txt",
        _read,
    ),
)
