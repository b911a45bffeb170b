"""Datasets of files: a record of files for each image."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float32, Mask, Pixels, Shaped, Transform, UInt, UInt8
from rilievo.data.datasets.dataset import Absent, Dataset, checked_ids
from rilievo.data.datasets.text_files import Entry, find_entry, names_in, text_lines
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.cameras.lens_files import read_K
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map, read_numbers
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth


def read_grey_integers(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """Read a PNG or PGM of ``bits``."""
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


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
