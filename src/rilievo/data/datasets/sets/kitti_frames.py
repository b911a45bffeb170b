"""Frames of KITTI by lists of papers (Geiger et al., IJRR 2013)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rilievo.data.datasets.base import Request
from rilievo.data.datasets.files import Line, text_lines
from rilievo.errors import InputError
from rilievo.frozen import frozen

Names = Callable[[Path], frozenset[str]]
"""Function that lists a folder, possibly cached."""

CAMERAS: Mapping[str, str] = {"l": "image_02", "r": "image_03"}
"""Folder of a colour camera by side."""

DRIVE_NAME = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")
"""Folder of a rectified drive."""

_PLACE = r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>(?P=date)_drive_\d{4}_sync)"
_SIDED = re.compile(rf"{_PLACE}\s+(?P<index>\d{{1,10}})(\s+(?P<side>[lr]))?")
_PICTURED = re.compile(
    rf"/?{_PLACE}/(?P<camera>image_0[23])/data/(?P<index>\d{{10}})\.(png|jpg)(\s+(?P<depth>\S+).*)?"
)

_LISTS: Mapping[str, tuple[str, ...]] = {
    "eigen": (
        "splits/eigen/test_files.txt",
        "eigen/test_files.txt",
        "eigen_test_files.txt",
        "test_files_eigen.txt",
        "eigen_test_files_with_gt.txt",
        "test_files.txt",
    ),
    "eigen_benchmark": (
        "splits/eigen_benchmark/test_files.txt",
        "eigen_benchmark/test_files.txt",
        "eigen_benchmark_test_files.txt",
        "eigen_test_files_with_gt.txt",
        "test_files.txt",
    ),
}


@frozen
class KittiFrame:
    """Picture ``index`` of ``image_02`` (left) or ``image_03`` (right) of a drive."""

    drive: str
    camera: str
    index: str

    @property
    def date(self) -> str:
        """Folder above the drive, with calibration."""
        return self.drive[:10]

    @property
    def id(self) -> str:
        """Relative path without suffix."""
        return f"{self.date}/{self.drive}/{self.camera}/data/{self.index}"


def picture_of(frame: KittiFrame, raw: Path, names: Names) -> Path:
    """Published PNG, or converted JPEG."""
    folder = raw / frame.date / frame.drive / frame.camera / "data"
    jpg = f"{frame.index}.jpg"
    png = f"{frame.index}.png"
    there = names(folder)
    return folder / (jpg if jpg in there and png not in there else png)


def listed_frames(request: Request, counts: Mapping[str, int]) -> list[KittiFrame]:
    """Frames of the user's list, or of the split's: ``eigen`` (2014) or ``eigen_benchmark``."""
    root, split = request.root, request.split
    if request.list_file is not None:
        return _read_list(request.list_file, annotated=split == "eigen_benchmark")
    places = _LISTS[split]
    path = next((root / place for place in places if (root / place).is_file()), None)
    if path is None:
        raise InputError(
            f"{root}: has no list of the split '{split}' (looked for {', '.join(places)}); put it "
            "there, or name a list file of your own"
        )
    frames = _read_list(path, annotated=split == "eigen_benchmark")
    if len(frames) != counts[split]:
        raise InputError(
            f"{path}: lists {len(frames)} frames, but the split '{split}' has {counts[split]}; "
            "name it as a list file of your own if it is what you mean"
        )
    return frames


def _read_list(path: Path, *, annotated: bool) -> list[KittiFrame]:
    frames: list[KittiFrame] = []
    for line in text_lines(path):
        parts = _PICTURED.fullmatch(line.text)
        if annotated and parts is not None and parts["depth"] == "None":
            continue
        frames.append(_frame(line, path))
    return frames


def _frame(line: Line, path: Path) -> KittiFrame:
    if parts := _PICTURED.fullmatch(line.text):
        return KittiFrame(drive=parts["drive"], camera=parts["camera"], index=parts["index"])
    if parts := _SIDED.fullmatch(line.text):
        camera = CAMERAS[parts["side"] or "l"]
        return KittiFrame(drive=parts["drive"], camera=camera, index=parts["index"].zfill(10))
    raise InputError(
        f"{path}: line {line.number} is '{line.text[:80]}'; expected "
        "'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l' or "
        "'2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png'"
    )
