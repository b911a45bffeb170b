"""SUN RGB-D (Song et al. 2015): the original tree of four sensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, UInt16
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, checked_ids, evenly_spread
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

_CARD = DatasetCard(
    name="sunrgbd",
    title="SUN RGB-D (Song, Lichtenberg and Xiao 2015)",
    summary="10335 indoor frames by Kinect v1 and v2, Xtion and RealSense, to about 8 m",
    homepage="https://rgbd.cs.princeton.edu",
    licence="none stated; by convention for research, and NYU's, B3DO's and SUN3D's own terms",
    commercial=False,
    gigabytes=6.9,
    layout="""\
SUNRGBD/                       from SUNRGBD.zip; any part of it works, even one frame
  kv1|kv2|realsense|xtion/.../FRAME/
    image/*.jpg                the photograph
    depth/*.png                as measured; 16 bits, millimetres rotated left by 3 bits, 0 = hole
    depth_bfx/*.png            the same with holes filled
    intrinsics.txt             K, nine numbers
    extrinsics/*.txt           tilt of the camera, which is not read
SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat   the official split: under the root or beside it""",
    splits=("test", "train", "all"),
    counts={"test": 5050, "train": 5285, "all": 10335},
    variants=("bfx", "raw"),
    extra="evaluate",
    caveats=(
        (
            "depth_bfx is filled in where the sensor saw nothing: this part is not measured, but "
            "papers score it."
        ),
        (
            "Depth is read as stored: the toolbox clips depth to 8 m, but rilievo does not and "
            "leaves this to the benchmark's cap."
        ),
        (
            "Files whose three lowest bits are used have already been decoded, and are read as "
            "millimetres."
        ),
        (
            "kv1/NYUdata contains the 1449 images of NYUv2, cropped to 561 x 427, so models "
            "trained on NYUv2 have seen some of the test split."
        ),
        "Each sensor has its own noise and range; the RealSense has the shortest range.",
    ),
)

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

    Rotated numbers below 8.192 m have three low bits of 0. Plain millimetres have them in one pixel
    of eight. A map without depth counts as rotated.
    """
    numbers = stored[stored > 0]
    mostly_has_low_bits = np.count_nonzero(numbers & 7) > numbers.size / 2
    return not (numbers.size > 0 and mostly_has_low_bits)


def decode_metres(stored: UInt16[np.ndarray, "h w"], *, rotated: bool) -> Field:
    """Convert stored millimetres, which may be rotated left by three bits, to depth [m]."""
    if rotated:
        stored = (stored >> np.uint16(3)) | (stored << np.uint16(13))
    return stored.astype(np.float32) / np.float32(1000)


class _DepthReader:
    """Reads depth files, all of them in the way in which most files of the tree are stored.

    Args:
        frames: Folders of the frames by id.
        depth_folder: Name of the subfolder of depth in each.
    """

    def __init__(self, frames: Mapping[str, Path], depth_folder: str) -> None:
        self._frames, self._depth_folder = frames, depth_folder

    def read(self, path: Path) -> MaskedValues:
        """Read depth [m], where 0 is unknown."""
        stored = read_grey_integers(path)
        return MaskedValues(decode_metres(stored, rotated=self.is_rotated), stored > 0)

    @cached_property
    def is_rotated(self) -> bool:
        """Whether most of a sample of the files are rotated."""
        votes: list[bool] = []
        for image_id in evenly_spread(sorted(self._frames), _SAMPLED_FILES):
            folder = self._frames[image_id] / self._depth_folder
            # A broken file has no vote here. Its error appears when its own depth is read.
            with suppress(InputError):
                for name in _names_with_suffix(folder)[:1]:
                    votes.append(is_rotated(read_grey_integers(folder / name)))
        return 2 * sum(votes) >= len(votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """Folders of the frames by id, and the files that list the splits."""

    frames: Mapping[str, Path]
    split_files: Sequence[Path]


class SunRgbd(DepthSet):
    """Frames of SUN RGB-D, of all of its tree or of a part of it."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        tree = _find_tree(request.root)
        if not tree.frames:
            raise InputError(
                f"{request.root}: contains no SUN RGB-D frames, which are folders with image/ and "
                f"either depth/ or depth_bfx/; found {contents_text(request.root)}"
            )
        depth = _DEPTH_FOLDERS[request.variant]
        ids, reader = _ids_of_request(request, tree), _DepthReader(tree.frames, depth)
        self._set_images(
            {
                image_id: _files_of_frame(image_id, tree.frames.get(image_id), depth, reader)
                for image_id in ids
            }
        )


def _find_tree(root: Path) -> _Tree:
    """Find the frames below the root, and split files above, in and below it."""
    frames: dict[str, Path] = {}
    split_files: list[Path] = []
    root_and_parents = [root.absolute(), *root.absolute().parents][: _MAX_PARENTS + 1]
    for parent in root_and_parents:
        paths = (parent / folder / _SPLIT_FILE for folder in _SPLIT_FOLDERS)
        split_files += [path for path in paths if path.is_file()]
    for folder in _frame_folders(root, _MAX_FOLDER_DEPTH, split_files):
        image_id = _id_of_folder(folder, root)
        if image_id in frames:
            raise InputError(
                f"{folder}: this frame exists twice, also as {frames[image_id]}; choose a root "
                "that contains only one of the two"
            )
        frames[image_id] = folder
    return _Tree(frames=frames, split_files=split_files)


def _frame_folders(folder: Path, max_depth: int, split_files: list[Path]) -> Iterator[Path]:
    """Yield the folders of frames, and append split files found on the way to ``split_files``."""
    names = names_in(folder)
    if "image" in names and names & set(_DEPTH_FOLDERS.values()):
        yield folder
        return
    if _SPLIT_FILE in names:
        split_files.append(folder / _SPLIT_FILE)
    if not max_depth:
        return
    for name in sorted(names):
        if (folder / name).is_dir():
            yield from _frame_folders(folder / name, max_depth - 1, split_files)


def _id_of_folder(folder: Path, root: Path) -> str:
    """Official path of a frame from its sensor on; without a sensor, its path below the root."""
    sensor_path = _path_from_sensor(folder.absolute().parts)
    if sensor_path is not None:
        return sensor_path
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def sun3d_recording(image_id: str) -> str | None:
    """Recording of SUN3D that an id names; None for other parts of the dataset."""
    _, separator, recording_path = image_id.partition("sun3ddata/")
    return recording_path.split("/")[0] if separator else None


def _path_from_sensor(path_parts: Sequence[str]) -> str | None:
    """Part of a path from its last sensor on, such as "kv1/NYUdata/NYU0001"; None without sensor.

    Only folders below the last "SUNRGBD" count, if there is one.
    """
    after_root = [index + 1 for index, part in enumerate(path_parts) if part == "SUNRGBD"]
    if after_root:
        path_parts = path_parts[after_root[-1] :]
    sensor_indices = [index for index, part in enumerate(path_parts) if part in _SENSORS]
    return "/".join(path_parts[sensor_indices[-1] :]) if sensor_indices else None


def _ids_of_request(request: Request, tree: _Tree) -> tuple[str, ...]:
    """List the ids of the user's list or of the split, sorted, including missing frames."""
    if request.list_file is not None:
        return _ids_of_list(request.list_file, tree)
    if request.split == "all":
        return tuple(sorted(tree.frames))
    official_ids = _ids_of_official_split(request, tree)
    # If the root is a part of the tree, only that part of the split is expected.
    root_path = _path_from_sensor(request.root.absolute().parts)
    if root_path is None:
        ids = official_ids
    else:
        ids = tuple(
            image_id
            for image_id in official_ids
            if image_id == root_path or image_id.startswith(f"{root_path}/")
        )
    if tree.frames.keys().isdisjoint(ids):
        raise InputError(
            f"{request.root}: none of its frames ({len(tree.frames):,}) is in the official "
            f"'{request.split}' split; choose the split 'all', or give a list file"
        )
    return tuple(sorted(ids))


def _ids_of_official_split(request: Request, tree: _Tree) -> tuple[str, ...]:
    """Read the ids of a split from the authors' MATLAB file, which has a path in each cell."""
    if not tree.split_files:
        raise InputError(
            f"{request.root}: {_SPLIT_FILE} is neither in this folder nor beside it, so rilievo "
            f"does not know which frames are in the split '{request.split}'; download "
            "SUNRGBDtoolbox.zip, give a list file, or choose the split 'all'"
        )
    path, name = tree.split_files[0], _SPLIT_VARIABLES[request.split]
    ids: list[str] = []
    for cell in read_mat(path, name)[name].ravel():
        text = str(np.asarray(cell).ravel()[0]) if np.size(cell) else ""
        image_id = _path_from_sensor([part for part in text.split("/") if part])
        if image_id is None:
            raise InputError(
                f"{path}: '{name}' contains '{text}', expected a path such as "
                ".../SUNRGBD/kv1/NYUdata/NYU0001"
            )
        ids.append(image_id)
    return checked_ids(ids, printable(path))


def _ids_of_list(list_file: Path, tree: _Tree) -> tuple[str, ...]:
    """Read a list of ids, or of paths that contain them."""
    ids: list[str] = []
    for line in text_lines(list_file):
        word = line.text.split()[0].rstrip("/")
        sensor_path = _path_from_sensor([part for part in word.split("/") if part])
        image_id = word if word in tree.frames else sensor_path
        if image_id is None:
            raise InputError(
                f"{list_file}:{line.number}: there is no frame '{word}'; lines look like "
                "kv1/NYUdata/NYU0001"
            )
        ids.append(image_id)
    return tuple(sorted(checked_ids(ids, printable(list_file))))


def _names_with_suffix(folder: Path, suffixes: tuple[str, ...] = (".png",)) -> list[str]:
    return [name for name in names_in(folder) if name.lower().endswith(suffixes)]


def _files_of_frame(
    image_id: str, folder: Path | None, depth_folder: str, reader: _DepthReader
) -> DepthFiles | Absent:
    """Find the one picture and the one depth map of a frame, or say why it is absent."""
    if folder is None:
        return Absent(id=image_id, reason="there is no such folder in the root")
    paths: list[Path] = []
    for name, suffixes in (("image", (".jpg", ".jpeg", ".png")), (depth_folder, (".png",))):
        files = _names_with_suffix(folder / name, suffixes)
        if len(files) != 1:
            found = f"{len(files)} pictures" if files else "no picture"
            reason = f"{printable(folder / name)} has {found}, expected one"
            return Absent(id=image_id, reason=reason)
        paths.append(folder / name / files[0])
    return DepthFiles(
        image=paths[0],
        depth=paths[1],
        read_depth=reader.read,
        camera=partial(read_if_present, file_camera, folder / "intrinsics.txt"),
        scene=sun3d_recording(image_id),
    )
