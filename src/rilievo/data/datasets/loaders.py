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
    """Read a grey PNG or PGM of so many bits.

    Raises:
        InputError: If the file has other numbers, or is broken.
    """
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


class FileList(Dataset, Generic[Entry]):
    """Dataset with a record of files for each image.

    A loader calls ``_set_entries`` or ``_set_entries_of_list`` with the records, whose fields are
    paths, tuples of paths, or anything else.
    """

    _files: Mapping[str, Entry]
    _listed_ids: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """Ids of the whole list, also absent ones."""
        return self._listed_ids

    def _entry(self, id: str) -> Entry:
        return find_entry(self._files, id, self.request.root)

    def _set_entries(self, entries: Mapping[str, Entry | Absent]) -> None:
        """Take the entries whose files are all there; other entries are absent."""
        # With a cache, since folders may have a hundred thousand files.
        cached_names_in = cache(names_in)
        present: dict[str, Entry] = {}
        absent: list[Absent] = []
        for id, entry in entries.items():
            if isinstance(entry, Absent):
                absent.append(entry)
                continue
            missing = [
                path
                for path in _paths_in_fields(entry)
                if path.name not in cached_names_in(path.parent)
            ]
            if missing:
                absent.append(Absent(id=id, reason=f"{printable(missing[0])} is missing"))
            else:
                present[id] = entry
        self._files = present
        self._listed_ids = tuple(entries)
        self.ids = tuple(present)
        self.absent = tuple(absent)

    def _set_entries_of_list(self, entries: Mapping[str, Entry], list_file: Path | None) -> None:
        """Take the entries that the user's list names, or all without a list."""
        ids = tuple(entries)
        listing = printable(self.request.root)
        if list_file is not None:
            ids = tuple(line.text for line in text_lines(list_file))
            listing = printable(list_file)
        reason = f"named in {listing}, not found"
        self._set_entries(
            {id: entries.get(id, Absent(id=id, reason=reason)) for id in checked_ids(ids, listing)}
        )


def _paths_in_fields(entry: Any) -> Iterator[Path]:
    """Paths in a record of files, also those in tuples."""
    for field in fields(entry):
        value = getattr(entry, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Path):
                yield item


@runtime_checkable
class _HasImage(Protocol):
    @property
    def image(self) -> Path: ...


Files = TypeVar("Files", bound=_HasImage)


class PhotoFiles(FileList[Files]):
    """Dataset whose records of files have the photograph in ``image``."""

    def image(self, id: str) -> Pixels:
        """Read the upright photograph."""
        return read_photo(self._entry(id).image, own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph."""
        return self._entry(id).image


class MaskedValues(NamedTuple):
    """Depth [m], or unit normals in the camera frame, and the mask of pixels that have them."""

    values: Float32[np.ndarray, "*c h w"]
    valid: Mask


def masked_metres(values: Shaped[np.ndarray, "h w"]) -> MaskedValues:
    """Take positive finite numbers as depth [m], and others as unknown."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return MaskedValues(values, np.isfinite(values) & (values > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFiles:
    """Files of one photograph with depth.

    Attributes:
        image: The photograph.
        depth: The file of depth.
        read: Function that reads the file of depth.
        masks: Masks whose nonzero pixels have depth.
        camera: Camera, its file, or a function of (height, width); None if unknown.
        needs: Further files without which the image is absent.
        pose: ``world_T_cam``, or a function for it; None if unknown.
        scene: Scene or sequence; None if not stated.
        cut: Function that cuts the image out of the photograph; None for all of it.
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


Content = TypeVar("Content")


def read_if_present(read: Callable[[Path], Content], path: Path, *_: object) -> Content | None:
    """Read the file of a camera or a pose; None if there is no file.

    Further arguments have no effect, so that it may stand for a function of (height, width).
    """
    return read(path) if path.is_file() else None


def file_camera(path: Path) -> Camera:
    """Read a camera from a file of K."""
    return Camera(K=read_K(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPatterns:
    """Patterns, with ``{id}``, of the paths of an image's files.

    Attributes are those of ``DepthFiles``.
    """

    image: str
    depth: str
    read: Callable[[Path], MaskedValues]
    masks: tuple[str, ...] = ()
    camera: str | Camera | None = None

    def files_of_image(self, id: str, folder: Path, scene: str | None = None) -> DepthFiles:
        """Files of an image below a folder."""

        def to_path(pattern: str) -> Path:
            return folder / pattern.replace("{id}", id)

        return DepthFiles(
            image=to_path(self.image),
            depth=to_path(self.depth),
            read=self.read,
            masks=tuple(map(to_path, self.masks)),
            camera=to_path(self.camera) if isinstance(self.camera, str) else self.camera,
            scene=scene,
        )


class DepthSet(PhotoFiles[DepthFiles]):
    """Dataset of photographs with files of depth."""

    def image(self, id: str) -> Pixels:
        """Read the photograph, or the part that is cut out of it."""
        image = super().image(id)
        cut = self._entry(id).cut
        return image if cut is None else cut(image)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph; None if a part is cut out of it."""
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
    """Read depth of 16 bits, in which 0 is unknown and a metre has so many steps."""
    stored = read_grey_integers(path)
    # A quotient in 64 bits, rounded to 32, is that of 32 bits.
    return MaskedValues((stored / steps).astype(np.float32), stored != 0)
