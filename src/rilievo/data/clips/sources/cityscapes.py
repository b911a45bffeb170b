"""Cityscapes: ``leftImg8bit_sequence`` with ``camera`` (Cordts et al., CVPR 2016).

The car fills the lowest quarter, which is left out.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import NO_TARGETS, Clip, OtherEye, first_photo
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.limits import read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_json

_LEFT, _RIGHT = "leftImg8bit", "rightImg8bit"
_NAME = re.compile(r"(?P<city>[a-z\-]+)_(?P<drive>\d{6})_(?P<frame>\d{6})_(left|right)Img8bit\.png")
_BONNET_FRACTION = 0.25
"""Fraction of the height, at the bottom, that shows the car."""
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snippet:
    """Numbers of consecutive frames of a drive through a city."""

    city: str
    drive: str
    numbers: tuple[int, ...]

    def file_name(self, number: int, ending: str) -> str:
        return f"{self.city}_{self.drive}_{number:06d}_{ending}"


def sequences(data: VideoData) -> list[Clip]:
    """List a clip for each camera of each snippet of the split, ``train`` by default."""
    root, split = Path(data.roots[0]), data.split or "train"
    if split not in _SPLITS:
        raise OptionError(f"cityscapes has no split '{split}'; choose one of {', '.join(_SPLITS)}")
    if data.poses is not None:
        raise OptionError(
            "poses are not supported for cityscapes; of the named datasets, only kitti-odometry "
            "has poses"
        )
    cities = root / f"{_LEFT}_sequence" / split
    snippets = [
        snippet
        for city in sorted(names_in(cities))
        for snippet in _snippets_without_gaps(cities / city)
    ]
    if not snippets:
        raise InputError(
            f"{printable(root)}: is not the root folder of the Cityscapes sequences: expected "
            f"{_LEFT}_sequence/{split}/CITY, found {contents_text(root)}"
        )
    sides = (_LEFT, _RIGHT) if data.stereo else (_LEFT,)
    return [
        _clip_of_snippet(root, split, snippet, side, data) for snippet in snippets for side in sides
    ]


def _snippets_without_gaps(city: Path) -> Iterator[_Snippet]:
    """Split the frames of each drive wherever the frame numbers are not consecutive."""
    numbers_by_drive: dict[str, list[int]] = {}
    for name in names_in(city):
        match = _NAME.fullmatch(name)
        if match:
            numbers_by_drive.setdefault(match["drive"], []).append(int(match["frame"]))
    for drive, numbers in sorted(numbers_by_drive.items()):
        numbers.sort()
        gaps = [k for k in range(1, len(numbers)) if numbers[k] != numbers[k - 1] + 1]
        for start, end in itertools.pairwise([0, *gaps, len(numbers)]):
            yield _Snippet(city=city.name, drive=drive, numbers=tuple(numbers[start:end]))


def _clip_of_snippet(root: Path, split: str, snippet: _Snippet, side: str, data: VideoData) -> Clip:
    """Describe the clip of one camera; the name of its folder begins with ``side``."""
    folder = root / f"{side}_sequence" / split / snippet.city
    files = tuple(folder / snippet.file_name(number, f"{side}.png") for number in snippet.numbers)
    snippet_id = f"{split}/{snippet.city}/{snippet.drive}_{snippet.numbers[0]:06d}"
    photo = first_photo(files, folder)
    entries = _read_camera_entries(root / "camera" / split / snippet.city, snippet)
    calibration = _calibration_of_entries(entries)
    other_eye = None
    if data.stereo:
        baseline = entries["baseline"]
        other_eye = OtherEye(
            sequence=f"{snippet_id}/{_RIGHT if side == _LEFT else _LEFT}",
            x_offset=-baseline if side == _LEFT else baseline,
        )
    return Clip(
        id=f"{snippet_id}/{side}",
        files=files,
        frame_numbers=snippet.numbers,
        shape=photo.shape,
        camera=choose_camera(data, photo.shape, snippet_id, file_calibration=calibration),
        other_eye=other_eye,
        listed_targets=None if side == _LEFT else NO_TARGETS,
        measures_motion=side == _LEFT,
        stride=data.stride or 1,
        bonnet_fraction=_BONNET_FRACTION,
    )


def _calibration_of_entries(entries: Mapping[str, float]) -> FrameCalibration:
    K = pinhole_K(*(entries[name] for name in ("fx", "fy", "u0", "v0")))
    return FrameCalibration(K=K)


def _read_camera_entries(folder: Path, snippet: _Snippet) -> Mapping[str, float]:
    """Read fx, fy, u0, v0 [px] and baseline [m] from the camera file of any frame of a snippet."""
    names = names_in(folder)
    candidates: Sequence[str] = [
        snippet.file_name(number, "camera.json") for number in snippet.numbers
    ]
    path = folder / next((name for name in candidates if name in names), candidates[-1])
    text = read_text(path)
    try:
        record: Any = parse_json(text)
        return {
            "baseline": float(record["extrinsic"]["baseline"]),
            **{name: float(record["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0")},
        }
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise InputError(
            f"{printable(path)}: is not a Cityscapes camera file ({reason(error)}); expected "
            "'intrinsic' with fx, fy, u0, v0 and 'extrinsic' with baseline"
        ) from error
