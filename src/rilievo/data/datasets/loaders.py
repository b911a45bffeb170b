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
    """Read a grey PNG or PGM with a number of bits.

    Raises:
        InputError: If the file has other numbers, or is broken.
    """
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} values of shape {numbers.shape}, expected {bits}-bit "
            "greyscale depth; download the original file again"
        )
    return numbers


class FileList(Dataset, Generic[Entry]):
    """Dataset with a record of files for each image.

    The constructor of a dataset finds the files of each image, and passes them to ``_set_images``
    or ``_set_listed_images``, which set the ids and the absent images. Fields of a record that are
    paths, or tuples of paths, are files that the image needs; other fields may be anything.
    """

    _files: Mapping[str, Entry]
    _listed_ids: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """Ids of the whole list, with absent ones."""
        return self._listed_ids

    def _entry(self, image_id: str) -> Entry:
        return find_entry(self._files, image_id, self.request.root)

    def _set_images(self, files_by_id: Mapping[str, Entry | Absent]) -> None:
        """Set the images of the dataset; those with a missing file are absent."""
        # With a cache, since folders may have a hundred thousand files.
        cached_names_in = cache(names_in)
        present: dict[str, Entry] = {}
        absent: list[Absent] = []
        for image_id, files in files_by_id.items():
            if isinstance(files, Absent):
                absent.append(files)
                continue
            missing = [
                path
                for path in _paths_in_fields(files)
                if path.name not in cached_names_in(path.parent)
            ]
            if missing:
                absent.append(Absent(id=image_id, reason=f"{printable(missing[0])} is missing"))
            else:
                present[image_id] = files
        self._files = present
        self._listed_ids = tuple(files_by_id)
        self.ids = tuple(present)
        self.absent = tuple(absent)

    def _set_listed_images(self, files_by_id: Mapping[str, Entry], list_file: Path | None) -> None:
        """Set the images that the user's list names, or all images if there is no list.

        Images of the list that are not in ``files_by_id`` are absent.
        """
        ids = tuple(files_by_id)
        source = printable(self.request.root)
        if list_file is not None:
            ids = tuple(line.text for line in text_lines(list_file))
            source = printable(list_file)
        reason = f"listed in {source}, but not found"
        self._set_images(
            {
                image_id: files_by_id.get(image_id, Absent(id=image_id, reason=reason))
                for image_id in checked_ids(ids, source)
            }
        )


def _paths_in_fields(entry: Any) -> Iterator[Path]:
    """Yield the paths in a record of files, including those in tuples."""
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
    """Depth [m], or unit normals in the camera frame, and the mask of the pixels that have them."""

    values: Float32[np.ndarray, "*c h w"]
    valid: Mask


def masked_metres(values: Shaped[np.ndarray, "h w"]) -> MaskedValues:
    """Take positive finite numbers as depth [m], and all other numbers as unknown."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return MaskedValues(values, np.isfinite(values) & (values > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFiles:
    """Files of one photograph with depth.

    Attributes:
        image: The photograph.
        depth: The depth file.
        read_depth: Function that reads the depth file.
        masks: Masks whose nonzero pixels have depth.
        camera: Camera, its file, or a function of the size (height, width); None if unknown.
        required_files: Further files that must exist. Without them, the image counts as absent.
        pose: ``world_T_cam``, or a function that returns it; None if unknown.
        scene: Scene or sequence; None if not stated.
        crop_image: Function that crops the photograph; None for all of it.
    """

    image: Path
    depth: Path
    read_depth: Callable[[Path], MaskedValues]
    masks: tuple[Path, ...] = ()
    camera: Camera | Path | Callable[[tuple[int, int]], Camera | None] | None = None
    required_files: tuple[Path, ...] = ()
    pose: Transform | Callable[[], Transform | None] | None = None
    scene: str | None = None
    crop_image: Callable[[Pixels], UInt8[np.ndarray, "h2 w2 3"]] | None = None

    def load_camera(self, shape: tuple[int, int]) -> Camera | None:
        """Load the camera of a depth map of size (height, width); None if it is unknown."""
        if isinstance(self.camera, Path):
            return file_camera(self.camera)
        return self.camera(shape) if callable(self.camera) else self.camera

    def load_pose(self) -> Transform | None:
        """Load ``world_T_cam``; None if it is unknown."""
        return self.pose() if callable(self.pose) else self.pose


Content = TypeVar("Content")


def read_if_present(read: Callable[[Path], Content], path: Path, *_: object) -> Content | None:
    """Read the file of a camera or a pose; None if there is no file.

    Further arguments are ignored, so that ``partial(read_if_present, read, path)`` can stand for a
    camera's function of (height, width).
    """
    return read(path) if path.is_file() else None


def file_camera(path: Path) -> Camera:
    """Read a camera from a file of K."""
    return Camera(K=read_K(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPatterns:
    """Paths of the files of every image of a dataset, relative to its folder.

    In paths, ``{id}`` stands for the id of an image. The attributes are those of ``DepthFiles``.
    """

    image: str
    depth: str
    read_depth: Callable[[Path], MaskedValues]
    masks: tuple[str, ...] = ()
    camera: str | Camera | None = None

    def insert_id(self, image_id: str, folder: Path, scene: str | None = None) -> DepthFiles:
        """Paths of the files of one image, whose id is put in place of ``{id}``."""

        def to_path(pattern: str) -> Path:
            return folder / pattern.replace("{id}", image_id)

        return DepthFiles(
            image=to_path(self.image),
            depth=to_path(self.depth),
            read_depth=self.read_depth,
            masks=tuple(to_path(mask) for mask in self.masks),
            camera=to_path(self.camera) if isinstance(self.camera, str) else self.camera,
            scene=scene,
        )


class DepthSet(PhotoFiles[DepthFiles]):
    """Dataset of photographs with depth files.

    It reads photographs, depth, cameras and poses. A subclass only has to find the files, and to
    say how a depth file is read (``DepthFiles.read_depth``).
    """

    def image(self, id: str) -> Pixels:
        """Read the photograph, and crop it if the dataset does."""
        image = super().image(id)
        crop_image = self._entry(id).crop_image
        return image if crop_image is None else crop_image(image)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph; None if the photograph is cropped."""
        return super().photo_file(id) if self._entry(id).crop_image is None else None

    def scene(self, id: str) -> str | None:
        """Scene or sequence."""
        return self._entry(id).scene

    def truth(self, id: str) -> Truth:
        """Read depth, camera and pose."""
        files = self._entry(id)
        depth, valid = files.read_depth(files.depth)
        for path in files.masks:
            mask = read_map(path)
            if mask.shape != valid.shape:
                raise InputError(
                    f"{path}: the mask has the shape {mask.shape}, but the depth has {valid.shape}"
                )
            valid = valid & (mask > 0)
        if files.masks:
            # Without masks, ``read_depth`` has decided what invalid pixels hold.
            depth = np.where(valid, depth, np.float32(0))
        height, width = valid.shape
        return Truth(
            id=id,
            depth=depth,
            depth_valid=valid,
            camera=files.load_camera((height, width)),
            world_T_cam=files.load_pose(),
            scene=files.scene,
        )


def read_steps(path: Path, *, steps: float) -> MaskedValues:
    """Read 16-bit depth with ``steps`` stored numbers in a metre; 0 is unknown."""
    stored = read_grey_integers(path)
    # A quotient in 64 bits, rounded to 32, is that of 32 bits.
    return MaskedValues((stored / steps).astype(np.float32), stored != 0)
