"""SUN RGB-D (Song et al. 2015): the original tree of four sensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, UInt16
from rilievo.data.datasets.dataset import Absent, Request, checked_ids, evenly_spread, own_card
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthSet,
    MaskedValues,
    file_camera,
    read_grey_integers,
    read_if_present,
)
from rilievo.data.datasets.mat_file import read_mat
from rilievo.data.datasets.text_files import contents_text, names_in, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable

_SENSORS = ("kv1", "kv2", "realsense", "xtion")
_DEPTH_FOLDERS = {"bfx": "depth_bfx", "raw": "depth"}
_SPLIT_VARIABLES = {"test": "alltest", "train": "alltrain"}
_SPLIT_FILE = "allsplit.mat"
_SPLIT_FOLDERS = ("", "traintestSUNRGBD", "SUNRGBDtoolbox/traintestSUNRGBD")
_MAX_FOLDER_DEPTH = 9
"""Levels below the root in which frames are looked for. The deepest frames are six levels below the
tree, and the root may be a folder above the tree."""
_MAX_PARENTS = 8
"""Folders above the root in which the file of the splits is looked for."""
_SAMPLED_FILES = 15
"""Files that decide how most files of a tree are stored."""


def is_rotated(stored: UInt16[np.ndarray, "h w"]) -> bool:
    """Whether millimetres seem to be rotated left by three bits, as the authors publish them.

    If so, the three low bits are 0 below 8.192 m. In millimetres they are 0 in one pixel of eight.
    """
    numbers = stored[stored > 0]
    has_low_bits = np.count_nonzero(numbers & 7) > numbers.size / 2
    return not (numbers.size > 0 and has_low_bits)


def decode_metres(stored: UInt16[np.ndarray, "h w"], *, rotated: bool) -> Field:
    """Convert stored millimetres, which may be rotated left by three bits, to depth [m]."""
    if rotated:
        stored = (stored >> np.uint16(3)) | (stored << np.uint16(13))
    return stored.astype(np.float32) / np.float32(1000)


class _DepthReader:
    """Reads the depth files of a tree in the way in which most of them are stored.

    Args:
        frames: Folders of the frames by id.
        folder: Name of the folder of depth in each.
    """

    def __init__(self, frames: Mapping[str, Path], folder: str) -> None:
        self._frames, self._folder = frames, folder

    def read(self, path: Path) -> MaskedValues:
        """Read depth [m], where 0 is unknown."""
        stored = read_grey_integers(path)
        return MaskedValues(decode_metres(stored, rotated=self.is_rotated), stored > 0)

    @cached_property
    def is_rotated(self) -> bool:
        """Whether most of a sample of the files are rotated."""
        votes: list[bool] = []
        for id in evenly_spread(sorted(self._frames), _SAMPLED_FILES):
            folder = self._frames[id] / self._folder
            # A broken file is refused when its own depth is read.
            with suppress(InputError):
                for name in _names_with_suffix(folder)[:1]:
                    votes.append(is_rotated(read_grey_integers(folder / name)))
        return 2 * sum(votes) >= len(votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """Folders of the frames by id, and the files of the splits."""

    frames: Mapping[str, Path]
    splits: Sequence[Path]


class SunRgbd(DepthSet):
    """Frames of SUN RGB-D, of all of its tree or of a part of it."""

    card = own_card("sunrgbd")

    def __init__(self, request: Request) -> None:
        self.request = request
        tree = _find_tree(request.root)
        if not tree.frames:
            raise InputError(
                f"{request.root}: holds no frame of SUN RGB-D, which is a folder with image/ and "
                f"depth/ or depth_bfx/; found {contents_text(request.root)}"
            )
        depth = _DEPTH_FOLDERS[request.variant]
        ids, reader = _ids_of_request(request, tree), _DepthReader(tree.frames, depth)
        self._set_entries(
            {id: _files_of_frame(id, tree.frames.get(id), depth, reader) for id in ids}
        )


def _find_tree(root: Path) -> _Tree:
    frames: dict[str, Path] = {}
    splits: list[Path] = []
    above = [root.absolute(), *root.absolute().parents][: _MAX_PARENTS + 1]
    for base in above:
        paths = (base / folder / _SPLIT_FILE for folder in _SPLIT_FOLDERS)
        splits += [path for path in paths if path.is_file()]
    for folder in _frame_folders(root, _MAX_FOLDER_DEPTH, splits):
        id = _id_of_folder(folder, root)
        if id in frames:
            raise InputError(
                f"{folder}: is there twice, also as {frames[id]}; give the one tree as the root"
            )
        frames[id] = folder
    return _Tree(frames=frames, splits=splits)


def _frame_folders(folder: Path, max_depth: int, splits: list[Path]) -> Iterator[Path]:
    """Yield the folders of frames, and append files of splits on the way to ``splits``."""
    names = names_in(folder)
    if "image" in names and names & set(_DEPTH_FOLDERS.values()):
        yield folder
        return
    if _SPLIT_FILE in names:
        splits.append(folder / _SPLIT_FILE)
    if not max_depth:
        return
    for name in sorted(names):
        if (folder / name).is_dir():
            yield from _frame_folders(folder / name, max_depth - 1, splits)


def _id_of_folder(folder: Path, root: Path) -> str:
    sensor_path = _path_from_sensor(folder.absolute().parts)
    if sensor_path is not None:
        return sensor_path
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def sun3d_recording(id: str) -> str | None:
    """Recording of SUN3D that an id names; None for other parts of the dataset."""
    _, separator, rest = id.partition("sun3ddata/")
    return rest.split("/")[0] if separator else None


def _path_from_sensor(parts: Sequence[str]) -> str | None:
    """Path from the last folder of a sensor on, such as "kv1/NYUdata/NYU0001"; None without one.

    Only folders below the last "SUNRGBD" count, if there is one.
    """
    starts = [index + 1 for index, part in enumerate(parts) if part == "SUNRGBD"]
    if starts:
        parts = parts[starts[-1] :]
    sensors = [index for index, part in enumerate(parts) if part in _SENSORS]
    return "/".join(parts[sensors[-1] :]) if sensors else None


def _ids_of_request(request: Request, tree: _Tree) -> tuple[str, ...]:
    """Sorted ids of the user's list or of the split, also of frames that are missing."""
    if request.list_file is not None:
        return _ids_of_list(request.list_file, tree)
    if request.split == "all":
        return tuple(sorted(tree.frames))
    official = _ids_of_official_split(request, tree)
    # For a part of the tree, only its part of the split counts.
    part = _path_from_sensor(request.root.absolute().parts)
    ids = official
    if part is not None:
        ids = tuple(id for id in official if id == part or id.startswith(f"{part}/"))
    if tree.frames.keys().isdisjoint(ids):
        raise InputError(
            f"{request.root}: none of its {len(tree.frames)} frames is in the official "
            f"'{request.split}' split; take 'all', or give a list"
        )
    return tuple(sorted(ids))


def _ids_of_official_split(request: Request, tree: _Tree) -> tuple[str, ...]:
    if not tree.splits:
        raise InputError(
            f"{request.root}: {_SPLIT_FILE} is neither under it nor beside it, so which frames are "
            f"'{request.split}' is not known: get SUNRGBDtoolbox.zip, give a list, or take the "
            "split 'all'"
        )
    path, name = tree.splits[0], _SPLIT_VARIABLES[request.split]
    ids: list[str] = []
    for cell in read_mat(path, name)[name].ravel():
        text = str(np.asarray(cell).ravel()[0]) if np.size(cell) else ""
        id = _path_from_sensor([part for part in text.split("/") if part])
        if id is None:
            raise InputError(
                f"{path}: '{name}' names '{text}', expected a path as "
                ".../SUNRGBD/kv1/NYUdata/NYU0001"
            )
        ids.append(id)
    return checked_ids(ids, printable(path))


def _ids_of_list(list_file: Path, tree: _Tree) -> tuple[str, ...]:
    ids: list[str] = []
    for line in text_lines(list_file):
        word = line.text.split()[0].rstrip("/")
        sensor_path = _path_from_sensor([part for part in word.split("/") if part])
        id = word if word in tree.frames else sensor_path
        if id is None:
            raise InputError(
                f"{list_file}:{line.number}: there is no frame '{word}'; lines are as "
                "kv1/NYUdata/NYU0001"
            )
        ids.append(id)
    return tuple(sorted(checked_ids(ids, printable(list_file))))


def _names_with_suffix(folder: Path, suffixes: tuple[str, ...] = (".png",)) -> list[str]:
    return [name for name in names_in(folder) if name.lower().endswith(suffixes)]


def _files_of_frame(
    id: str, folder: Path | None, depth_folder: str, reader: _DepthReader
) -> DepthFiles | Absent:
    if folder is None:
        return Absent(id=id, reason="there is no such folder under the root")
    paths: list[Path] = []
    for name, suffixes in (("image", (".jpg", ".jpeg", ".png")), (depth_folder, (".png",))):
        files = _names_with_suffix(folder / name, suffixes)
        if len(files) != 1:
            count = f"{len(files)} pictures" if files else "no picture"
            reason = f"{printable(folder / name)} has {count}, where one is expected"
            return Absent(id=id, reason=reason)
        paths.append(folder / name / files[0])
    return DepthFiles(
        image=paths[0],
        depth=paths[1],
        read=reader.read,
        camera=partial(read_if_present, file_camera, folder / "intrinsics.txt"),
        scene=sun3d_recording(id),
    )
