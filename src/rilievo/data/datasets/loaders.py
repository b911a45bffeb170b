"""Base classes and helpers of datasets, which hold only paths, so that processes can share them."""

import os
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float32, Mask, Pixels, Shaped, Transform, UInt, UInt8, Vectors
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth_numbers import NumberReading
from rilievo.io.files.limits import check_regular, reason, unreadable
from rilievo.io.files.names import printable
from rilievo.io.lens_files import read_K
from rilievo.io.numbers import read_map, read_numbers
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Sample, Truth

Entry = TypeVar("Entry")

_LONGEST_LINE = 4 * 2**20
_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Numbered line of a text file, without outer white space."""

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """Yield lines that are neither empty nor comments ("#")."""
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text in UTF-8 (byte {error.start}); a text file is expected"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{path}: line {number} has {len(line):,} characters, too many")
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield Line(number=number, text=stripped)


def scene_by_folders(id: str, root: Path, *, names: int = 1) -> str:
    """Folders of an id without the last ``names`` parts, or the root's name."""
    return "/".join(id.split("/")[:-names]) or root.absolute().name


def parse_numbers(text: str) -> tuple[float, ...] | None:
    """Numbers of a line; None if it has other words."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def read_grey_integers(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """Read a PNG or PGM of ``bits``."""
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


def names_in(folder: Path) -> frozenset[str]:
    """Names in a folder without dangling links; none if missing."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(
                entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry)
            )
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL is no folder's
        return frozenset()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({reason(error)})") from error


def contents_text(folder: Path) -> str:
    """First names in a folder, for messages."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` that raises for unreadable folders."""

    def raise_unless_missing(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=raise_unless_missing, followlinks=links)


def find_entry(entries: Mapping[str, Entry], id: str, root: Path) -> Entry:
    """Find the entry of an image."""
    if id not in entries:
        raise InputError(f"{root}: has no image '{id}' in this split")
    return entries[id]


# Rounding to 8 bits changes the length of a unit vector by less than 0.01. Holes are black, grey
# or white, with lengths 1.73, 0 and 1.73.
_LENGTHS = (0.7, 1.3)


class NormalAxes(StrEnum):
    """Axes of stored normals."""

    OPENCV = "opencv"
    """Ours: x right, y down, z forward; a wall is (0, 0, -1)."""
    OPENGL = "opengl"
    """x right, y up, z towards the viewer; a wall is (0, 0, 1)."""
    DSINE = "dsine"
    """x right, y down, z forward, away from the camera; a wall is (0, 0, 1)."""


_SIGNS: Mapping[NormalAxes, tuple[int, int, int]] = {
    NormalAxes.OPENCV: (1, 1, 1),
    NormalAxes.OPENGL: (1, -1, -1),
    NormalAxes.DSINE: (-1, -1, -1),
}


def normals_of_stored(
    stored: Shaped[np.ndarray, "h w 3"], axes: NormalAxes, path: Path
) -> tuple[Vectors, Mask]:
    """Convert stored normals to ours; integers are colours, and lengths far from 1 are holes."""
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(f"{path}: has shape {stored.shape}, expected normals, (height, width, 3)")
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.moveaxis(stored, 2, 0).astype(np.float32)
    if stored.dtype.kind in "ui":
        vectors = vectors * np.float32(2 / np.iinfo(stored.dtype).max) - np.float32(1)
    # Vectors that are infinite, or whose squares are, are holes.
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.sum(vectors * vectors, axis=0))
        valid = (length > _LENGTHS[0]) & (length < _LENGTHS[1])
    if not valid.any():
        raise InputError(f"{path}: no pixel has a vector of unit length, so these are no normals")
    signs = np.array(_SIGNS[axes], np.float32)[:, None, None]
    unit = vectors * signs / np.where(valid, length, np.float32(1))
    return np.where(valid, unit, np.float32(0)), valid


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """Description of a dataset.

    Attributes:
        title: Authors' name, with the year.
        summary: Contents, sensor and range in one line.
        licence: SPDX identifier, or the authors' words.
        gigabytes: Size of the download.
        layout: Tree of the download.
        splits: Official splits, that of papers first.
        variants: Choices of truth or crop, the default first.
    """

    name: str
    title: str
    summary: str
    homepage: str
    licence: str
    commercial: bool
    gigabytes: float | None = None
    layout: str
    splits: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    variants: tuple[str, ...] = ("default",)
    normals: str | None = None
    extra: str | None = None
    needs_root: bool = True
    caveats: tuple[str, ...] = ()


def own_card(name: str) -> DatasetCard:
    """Card in ``cards.toml``."""
    table = dict(_read_own_cards()[name])
    for key in table.keys() & {"splits", "variants", "caveats"}:
        table[key] = tuple(table[key])
    return DatasetCard(name=name, **table)


@cache
def _read_own_cards() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request for a part of a dataset; ``list_file`` has the user's own list of images."""

    name: str
    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Entry that cannot be read, with the reason."""

    id: str
    reason: str


class Dataset(ABC):
    """Images with ground truth, from ``open_dataset``.

    A loader sets ``card``, ``ids`` and ``absent``, and reads in ``image`` and ``truth``. Ids are
    unique relative paths without suffix.
    """

    card: ClassVar[DatasetCard]
    request: Request
    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()

    @abstractmethod
    def __init__(self, request: Request) -> None:
        """Find the files.

        Raises:
            InputError: If the root does not hold this dataset.
        """

    @abstractmethod
    def image(self, id: str) -> Pixels:
        """Read the photograph.

        Raises:
            InputError: If its file is broken.
        """

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera of a lens that models see in perspective views, if any."""
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of this download."""
        return self.card.splits

    @property
    def camera_advice(self) -> str:
        """Advice on giving intrinsics, if any."""
        return ""

    @property
    def listed(self) -> tuple[str, ...] | None:
        """Ids of the split with absent ones; None if their position is unknown."""
        return None if self.absent else self.ids

    def photo_file(self, id: str) -> Path | None:
        """File that holds ``image(id)`` unchanged, if any; EXIF orientation is allowed."""
        return None

    @property
    def first_missing(self) -> str:
        """Note on the first absent entry, if any."""
        return f"; the first that is missing: {self.absent[0].reason}" if self.absent else ""

    @abstractmethod
    def truth(self, id: str) -> Truth:
        """Read the truth at the photograph's size.

        Raises:
            InputError: If a file is broken.
        """

    def scene(self, id: str) -> str | None:
        """Scene or sequence, if stated."""
        return self.truth(id).scene

    def reading(self, id: str) -> NumberReading | None:
        """Facts about numbers that nobody declared; otherwise None."""
        return None

    def sample(self, id: str) -> Sample:
        """Photograph and truth.

        Raises:
            InputError: If a file is broken, or the two differ in size.
        """
        truth = self.truth(id)
        parts = {part.name: getattr(truth, part.name) for part in fields(Truth)}
        return Sample(image=self.image(id), **parts)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.ids[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(id) for id in self.ids)


def checked_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """Check that ids are unique and safe as file names.

    Raises:
        InputError: If an id is not.
    """
    unique_ids: set[str] = set()
    for id in ids:
        parts = id.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in id or "\0" in id:
            raise InputError(f"{where}: '{id}' is no relative path, which an id is")
        if id in unique_ids:
            raise InputError(f"{where}: the id '{id}' is there twice; every image is scored once")
        unique_ids.add(id)
    return tuple(ids)


def evenly_spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Choose up to ``most`` ids."""
    if most is None or most >= len(ids):
        return tuple(ids)
    places = np.linspace(0, len(ids) - 1, most).round()
    return tuple(ids[int(place)] for place in places)


Part = TypeVar("Part")


def _paths_in_fields(entry: Any) -> Iterator[Path]:
    for part in fields(entry):
        value = getattr(entry, part.name)
        values = value if isinstance(value, tuple) else (value,)
        yield from (path for path in values if isinstance(path, Path))


class FileList(Dataset, Generic[Entry]):
    """Dataset with a record of files for each image."""

    _files: Mapping[str, Entry]
    _order: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """Ids of the whole list."""
        return self._order

    def _entry(self, id: str) -> Entry:
        return find_entry(self._files, id, self.request.root)

    def _set_entries(self, entries: Mapping[str, Entry | Absent]) -> None:
        """Keep entries whose files exist; others are absent."""
        # With a cache, since folders may have a hundred thousand files.
        names = cache(names_in)
        present: dict[str, Entry] = {}
        absent: list[Absent] = []
        for id, entry in entries.items():
            if isinstance(entry, Absent):
                absent.append(entry)
                continue
            lost = (path for path in _paths_in_fields(entry) if path.name not in names(path.parent))
            if (missing := next(lost, None)) is None:
                present[id] = entry
            else:
                absent.append(Absent(id=id, reason=f"{printable(missing)} is missing"))
        self._files, self._order = present, tuple(entries)
        self.ids, self.absent = tuple(present), tuple(absent)

    def _set_entries_of_list(self, entries: Mapping[str, Entry], list_file: Path | None) -> None:
        wanted_ids, where = tuple(entries), printable(self.request.root)
        if list_file is not None:
            where = printable(list_file)
            wanted_ids = tuple(line.text for line in text_lines(list_file))
        reason = f"named in {where}, not found"
        ids = checked_ids(wanted_ids, where)
        self._set_entries({id: entries.get(id, Absent(id=id, reason=reason)) for id in ids})


@runtime_checkable
class _HasImage(Protocol):
    @property
    def image(self) -> Path: ...


Files = TypeVar("Files", bound=_HasImage)


class PhotoFiles(FileList[Files]):
    """Dataset whose photographs are files in ``image``."""

    def image(self, id: str) -> Pixels:
        """Read the upright photograph."""
        return read_photo(self._entry(id).image, own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph."""
        return self._entry(id).image


class MaskedValues(NamedTuple):
    """Depth [m], or unit normals of the camera frame, where ``valid``."""

    values: Float32[np.ndarray, "*c h w"]
    valid: Mask


def masked_metres(values: Shaped[np.ndarray, "h w"]) -> MaskedValues:
    """Mark positive finite values as valid."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return MaskedValues(values, np.isfinite(values) & (values > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFiles:
    """Files of one photograph with depth.

    Attributes:
        masks: Masks whose nonzero pixels have depth.
        camera: Intrinsics, their file, or a function of (height, width).
        pose: ``world_T_cam``, or a function.
        cut: Function that cuts out the image.
    """

    image: Path
    depth: Path
    read: Callable[[Path], MaskedValues]
    masks: tuple[Path, ...] = ()
    camera: Camera | Path | Callable[[tuple[int, int]], Camera | None] | None = None
    needs: tuple[Path, ...] = ()
    pose: Transform | Callable[[], Transform | None] | None = None
    scene: str | None = None
    cut: Callable[[Pixels], UInt8[np.ndarray, "h2 w2 3"]] | None = None


def read_if_present(read: Callable[[Path], Part], path: Path, *_: object) -> Part | None:
    """Read a camera or pose, or None without a file."""
    return read(path) if path.is_file() else None


def file_camera(path: Path) -> Camera:
    """Camera of a file of K."""
    return Camera(K=read_K(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPatterns:
    """Paths with ``{id}`` of an image's files."""

    image: str
    depth: str
    read: Callable[[Path], MaskedValues]
    masks: tuple[str, ...] = ()
    camera: str | Camera | None = None

    def files_of_image(self, id: str, folder: Path, scene: str | None = None) -> DepthFiles:
        """Paths below a folder."""

        def path_of(pattern: str) -> Path:
            return folder / pattern.replace("{id}", id)

        camera = self.camera
        return DepthFiles(
            image=path_of(self.image),
            depth=path_of(self.depth),
            read=self.read,
            masks=tuple(map(path_of, self.masks)),
            camera=path_of(camera) if isinstance(camera, str) else camera,
            scene=scene,
        )


class DepthSet(PhotoFiles[DepthFiles]):
    """Dataset of photographs with files of depth."""

    def image(self, id: str) -> Pixels:
        """Read the photograph."""
        cut, image = self._entry(id).cut, super().image(id)
        return image if cut is None else cut(image)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph, unless cut."""
        return super().photo_file(id) if self._entry(id).cut is None else None

    def scene(self, id: str) -> str | None:
        """Scene or sequence."""
        return self._entry(id).scene

    def truth(self, id: str) -> Truth:
        """Read depth, camera and pose."""
        files = self._entry(id)
        depth, valid = files.read(files.depth)
        for path in files.masks:
            mask = read_map(path)
            if mask.shape != valid.shape:
                raise InputError(f"{path}: the mask is {mask.shape}, the depth {valid.shape}")
            valid = valid & (mask > 0)
        camera = files.camera
        if isinstance(camera, Path):
            camera = file_camera(camera)
        elif callable(camera):
            camera = camera((valid.shape[0], valid.shape[1]))
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)) if files.masks else depth,
            depth_valid=valid,
            camera=camera,
            world_T_cam=files.pose() if callable(files.pose) else files.pose,
            scene=files.scene,
        )


def read_steps(path: Path, *, steps: float) -> MaskedValues:
    """Read 16-bit depth, 0 unknown; ``steps`` is the number of a metre."""
    stored = read_grey_integers(path)
    # A quotient in 64 bits, rounded to 32, is that of 32 bits.
    return MaskedValues((stored / steps).astype(np.float32), stored != 0)
