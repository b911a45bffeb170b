"""Base classes of datasets, which hold only paths, so that other processes can have them."""

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.data.datasets.files import find_entry, names_in, read_counts, text_lines
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth_numbers import NumberReading
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import read_K
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo
from rilievo.other_libraries import HintedAttributes
from rilievo.sample import Sample, Truth
from rilievo.shapes import Float32, Mask, Pixels, Shaped, Transform, UInt8


@frozen
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


@frozen
class Request:
    """Request for a part of a dataset; ``list_file`` has the user's own list of images."""

    name: str
    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@frozen
class Absent:
    """Entry that cannot be read, with the reason."""

    id: str
    reason: str


class Dataset(HintedAttributes, ABC):
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


def spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Choose up to ``most`` ids, evenly spread."""
    if most is None or most >= len(ids):
        return tuple(ids)
    places = np.linspace(0, len(ids) - 1, most).round()
    return tuple(ids[int(place)] for place in places)


Entry = TypeVar("Entry")
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


def of_metres(values: Shaped[np.ndarray, "h w"]) -> MaskedValues:
    """Wrap metres; only positive finite values are valid."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return MaskedValues(values, np.isfinite(values) & (values > 0))


@frozen
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


def where_present(read: Callable[[Path], Part], path: Path, *_: object) -> Part | None:
    """Camera or pose of a file, if it exists."""
    return read(path) if path.is_file() else None


def file_camera(path: Path) -> Camera:
    """Camera of a file of K."""
    return Camera(K=read_K(path))


@frozen
class DepthPatterns:
    """Paths with ``{id}`` of an image's files."""

    image: str
    depth: str
    read: Callable[[Path], MaskedValues]
    masks: tuple[str, ...] = ()
    camera: str | Camera | None = None

    def of(self, id: str, folder: Path, scene: str | None = None) -> DepthFiles:
        """Files of an image below a folder."""

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
    stored = read_counts(path)
    # A quotient in 64 bits, rounded to 32, is that of 32 bits.
    return MaskedValues((stored / steps).astype(np.float32), stored != 0)
