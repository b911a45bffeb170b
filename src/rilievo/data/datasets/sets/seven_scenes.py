"""7-Scenes: rooms from a Kinect, with poses (Shotton et al., CVPR 2013)."""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform, UInt16
from rilievo.data.datasets.dataset import Absent, Request, checked_ids, own_card
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthSet,
    MaskedValues,
    read_grey_integers,
    read_if_present,
)
from rilievo.data.datasets.text_files import (
    contents_text,
    names_in,
    parse_numbers,
    scene_by_folders,
    text_lines,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.names import printable

_SHAPE = (480, 640)
_CENTRE = (320.0, 240.0)
_DEPTH_FOCAL, _COLOUR_FOCAL = 585.0, 535.0
_STEPS_A_METRE = 1000
_NO_DEPTH = (0, 65535)
_SPLIT_FILES = {"test": "TestSplit.txt", "train": "TrainSplit.txt"}
_SEQUENCE = re.compile(r"seq-\d+")
_FRAME_FILE = re.compile(r"(frame-\d+)\.(?:color\.png|color\.jpg|depth\.png)")
_SPLIT_LINE = re.compile(r"(?:sequence|seq-)\s*(\d{1,6})", re.IGNORECASE)


class SevenScenes(DepthSet):
    """All scenes, one, or a folder of frames."""

    card = own_card("seven-scenes")

    def __init__(self, request: Request) -> None:
        self.request = request
        names = cache(names_in)
        ids, absent = _ids_and_absent(request)
        wanted = checked_ids(ids, str(request.list_file or request.root))
        self._set_entries({id: _files_of_frame(request, id, names) for id in wanted})
        self.absent = (*absent, *self.absent)


def _read_depth(path: Path, *, registered: bool) -> MaskedValues:
    stored = read_grey_integers(path)
    if stored.shape != _SHAPE:
        raise InputError(f"{path}: is {stored.shape}, but 7-Scenes is {_SHAPE} (height, width)")
    stored = register_depth(stored) if registered else stored
    return MaskedValues(stored.astype(np.float32) / _STEPS_A_METRE, ~np.isin(stored, _NO_DEPTH))


def register_depth(stored: UInt16[np.ndarray, "480 640"]) -> UInt16[np.ndarray, "480 640"]:
    """Resample depth to the colour camera; 0 outside its view."""
    (cx, cy), ratio = _CENTRE, _DEPTH_FOCAL / _COLOUR_FOCAL
    height, width = _SHAPE
    v = np.rint(cy + (np.arange(height) - cy) * ratio).astype(np.int64)
    u = np.rint(cx + (np.arange(width) - cx) * ratio).astype(np.int64)
    rows, columns = (v >= 0) & (v < height), (u >= 0) & (u < width)
    registered = np.zeros_like(stored)
    registered[np.ix_(rows, columns)] = stored[np.ix_(v[rows], u[columns])]
    return registered


def _ids_and_absent(request: Request) -> tuple[list[str], list[Absent]]:
    sequences = list(_sequence_paths(request))
    if request.list_file is not None:
        return [line.text for line in text_lines(request.list_file)], []
    ids: list[str] = []
    absent: list[Absent] = []
    for sequence in sequences:
        folder = request.root / sequence
        stems = _frame_stems(folder)
        ids.extend((Path(sequence) / stem).as_posix() for stem in stems)
        if not stems:
            reason = f"{printable(folder)} has no frames; unpack its zip there"
            absent.append(Absent(id=sequence, reason=reason))
    return ids, absent


def _sequence_paths(request: Request) -> Iterator[str]:
    root = request.root
    if _frame_stems(root):
        if request.split != "all" and request.list_file is None:
            raise InputError(
                f"{root}: is a bare folder of frames, which has no split '{request.split}'; take "
                "the split 'all'"
            )
        yield ""
        return
    scenes = [name for name in ("", *sorted(names_in(root))) if _has_sequences(root / name)]
    if not scenes:
        raise InputError(
            f"{root}: scenes with folders such as seq-01, or frames such as "
            f"frame-000000.color.png, are expected in it, found {contents_text(root)}"
        )
    for scene in scenes:
        for sequence in _sequences_of_split(root / scene, request):
            yield (Path(scene) / sequence).as_posix()


def _sequences_of_split(scene: Path, request: Request) -> list[str]:
    if request.split == "all" or request.list_file is not None:
        return sorted(name for name in names_in(scene) if _SEQUENCE.fullmatch(name))
    path = scene / _SPLIT_FILES[request.split]
    sequences: list[str] = []
    for line in text_lines(path):
        sequence_match = _SPLIT_LINE.fullmatch(line.text)
        if sequence_match is None:
            raise InputError(
                f"{path}: line {line.number} is '{line.text[:80]}'; expected 'sequence1'"
            )
        sequences.append(f"seq-{int(sequence_match[1]):02d}")
    return sequences


def _has_sequences(folder: Path) -> bool:
    return any(_SEQUENCE.fullmatch(name) for name in names_in(folder))


def _frame_stems(folder: Path) -> list[str]:
    frame_matches = (_FRAME_FILE.fullmatch(name) for name in names_in(folder))
    return sorted({frame_match[1] for frame_match in frame_matches if frame_match is not None})


def _files_of_frame(
    request: Request, id: str, names: Callable[[Path], frozenset[str]]
) -> DepthFiles:
    folder, stem = (request.root / id).parent, Path(id).name
    png, jpg = f"{stem}.color.png", f"{stem}.color.jpg"
    there = names(folder)
    registered = request.variant == "registered"
    focal = _COLOUR_FOCAL if registered else _DEPTH_FOCAL
    return DepthFiles(
        image=folder / (jpg if jpg in there and png not in there else png),
        depth=folder / f"{stem}.depth.png",
        read=partial(_read_depth, registered=registered),
        camera=Camera(K=pinhole_K(focal, focal, *_CENTRE)),
        pose=partial(read_if_present, _read_pose, folder / f"{stem}.pose.txt"),
        scene=scene_by_folders(id, request.root),
    )


def _read_pose(path: Path) -> Transform:
    words = " ".join(line.text for line in text_lines(path))
    numbers = parse_numbers(words)
    if numbers is not None and len(numbers) == 16:
        pose = np.array(numbers).reshape(4, 4)
        R = pose[:3, :3]
        if np.isfinite(pose).all() and np.allclose(R @ R.T, np.eye(3), atol=1e-3):
            return pose
    raise InputError(
        f"{path}: says '{words[:60]}'; a pose, the 4x4 numbers of a rotation and a place, is "
        "expected"
    )
