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
from rilievo.data.clips.sequences import SOURCE_ALONE, Clip, OtherEye, first_photo
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.limits import read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_json

_LEFT, _RIGHT = "leftImg8bit", "rightImg8bit"
_NAME = re.compile(r"(?P<city>[a-z\-]+)_(?P<drive>\d{6})_(?P<frame>\d{6})_(left|right)Img8bit\.png")
_BONNET = 0.25
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snippet:
    city: str
    drive: str
    numbers: tuple[int, ...]

    def file_name(self, number: int, ending: str) -> str:
        return f"{self.city}_{self.drive}_{number:06d}_{ending}"


def sequences(data: VideoData) -> list[Clip]:
    """List a sequence for each snippet (and camera) of the split, ``train`` by default."""
    root, split = Path(data.roots[0]), data.split or "train"
    if split not in _SPLITS:
        raise OptionError(f"cityscapes has the splits {', '.join(_SPLITS)}, got '{split}'")
    if data.poses is not None:
        raise OptionError("poses of cityscapes are not read; kitti-odometry has them")
    cities = root / f"{_LEFT}_sequence" / split
    snippets = [
        snippet
        for city in sorted(names_in(cities))
        for snippet in _snippets_without_gaps(cities / city)
    ]
    if not snippets:
        raise InputError(
            f"{printable(root)}: is no Cityscapes with sequences: {_LEFT}_sequence/{split}/CITY "
            f"is expected, found {contents_text(root)}"
        )
    eyes = (_LEFT, _RIGHT) if data.stereo else (_LEFT,)
    return [
        _clip_of_snippet(root, split, snippet, eye, data) for snippet in snippets for eye in eyes
    ]


def _snippets_without_gaps(city: Path) -> Iterator[_Snippet]:
    drive_frames = sorted(
        (match["drive"], int(match["frame"]))
        for match in map(_NAME.fullmatch, names_in(city))
        if match
    )
    for drive, group in itertools.groupby(drive_frames, key=lambda frame: frame[0]):
        numbers = [number for _, number in group]
        starts = [0] + [
            place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1
        ]
        for first, last in itertools.pairwise([*starts, len(numbers)]):
            yield _Snippet(city=city.name, drive=drive, numbers=tuple(numbers[first:last]))


def _clip_of_snippet(root: Path, split: str, snippet: _Snippet, eye: str, data: VideoData) -> Clip:
    folder = root / f"{eye}_sequence" / split / snippet.city
    files = tuple(folder / snippet.file_name(number, f"{eye}.png") for number in snippet.numbers)
    place = f"{split}/{snippet.city}/{snippet.drive}_{snippet.numbers[0]:06d}"
    photo = first_photo(files, folder)
    entries = _read_camera_entries(root / "camera" / split / snippet.city, snippet)
    other = _RIGHT if eye == _LEFT else _LEFT
    baseline = entries["baseline"]
    return Clip(
        id=f"{place}/{eye}",
        files=files,
        numbers=snippet.numbers,
        shape=photo.shape,
        camera=choose_camera(data, photo.shape, place, beside=_calibration_of_entries(entries)),
        other_eye=OtherEye(
            sequence=f"{place}/{other}", shift=-baseline if eye == _LEFT else baseline
        )
        if data.stereo
        else None,
        listed=None if eye == _LEFT else SOURCE_ALONE,
        measured=eye == _LEFT,
        stride=data.stride or 1,
        hood=_BONNET,
    )


def _calibration_of_entries(entries: Mapping[str, float]) -> FrameCalibration:
    K = pinhole_K(*(entries[name] for name in ("fx", "fy", "u0", "v0")))
    return FrameCalibration(K=K)


def _read_camera_entries(folder: Path, snippet: _Snippet) -> Mapping[str, float]:
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
            f"{printable(path)}: is no camera of Cityscapes ({reason(error)}); intrinsic with fx, "
            "fy, u0, v0 and extrinsic with baseline are expected"
        ) from error
