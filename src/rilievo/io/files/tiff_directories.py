"""Bounds on TIFF directories, also in EXIF, before Pillow makes an object of each number."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_BYTES

_MAX_TAGS = 4096
"""Most tags of a directory; programs write dozens."""
_MAX_NUMBERS = 2**18
"""Most numbers in the tags of a directory; a 16-bit colour map has 196,608."""
_MAX_STRIPS = 2**20
"""Most strips or tiles; the largest picture in tiles of 16x16 has 409,600."""
_MAX_PAGES = 100
_MIN_TILE_SIDE = 16
_MAX_SAMPLES = 6
"""Most samples of a pixel that count, which planar files store in strips of their own."""

_WIDTH, _HEIGHT, _SAMPLES, _PLANAR = 256, 257, 277, 284
_STRIPS = {273: "StripOffsets", 279: "StripByteCounts", 324: "TileOffsets", 325: "TileByteCounts"}
_SUBFILE = 254
_IS_PAGE = 2  # of the bits of ``_SUBFILE``; others mean a preview or a mask
_DIRECTORIES = (34665, 34853, 40965)
"""Tags of Exif, GPS and Interop, whose directories Pillow unpacks as well."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a number, by TIFF's number of its type."""
_UNSIGNED_TYPES = (3, 4, 13, 16)
_BYTE_TYPES = (1, 2, 7)
"""Types that Pillow keeps as bytes."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag: TIFF's number of its type, how many numbers it has, and these or their offset."""

    type: int
    count: int
    stored: bytes

    @property
    def size(self) -> int:
        """Bytes of its numbers; 0 if the type is unknown."""
        return _SIZES.get(self.type, 0) * self.count


class _TiffDirectories:
    """Directories of a TIFF or BigTIFF, read without their numbers.

    Attributes:
        first: Offset of the first directory.
    """

    # Also MM and 43, as Pillow takes it.

    def __init__(self, file: IO[bytes], *, as_classic: bool = False) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        self.head = head[:4]
        self._byte_order: Any = "little" if head[:2] == b"II" else "big"
        self.is_big = b"+" in head[2:4] and not as_classic
        letter = "<" if self._byte_order == "little" else ">"
        self._entry = struct.Struct(letter + ("HHQ8s" if self.is_big else "HHI4s"))
        self.first = self._unsigned_int(head[8:16] if self.is_big else head[4:8])

    def read_directory(self, offset: int, name: str) -> tuple[list[tuple[int, _Tag]], int]:
        """Tags of the directory at an offset by their numbers, and the offset of the next, or 0."""
        if not 0 < offset < self.size:
            return [], 0
        self._file.seek(offset)
        count = self._unsigned_int(self._file.read(8 if self.is_big else 2))
        if count > _MAX_TAGS:
            raise _tiff_error(name, f"a directory of {count:,} tags", f"{_MAX_TAGS:,}")
        content = self._file.read(count * self._entry.size)
        whole_entries = content[: len(content) // self._entry.size * self._entry.size]
        tags = [(number, _Tag(*rest)) for number, *rest in self._entry.iter_unpack(whole_entries)]
        return tags, self._unsigned_int(self._file.read(8 if self.is_big else 4))

    def tag_value(self, tag: _Tag | None, default: int) -> int:
        """The one whole number of a tag, or else the default."""
        if tag is None or tag.count != 1 or tag.type not in _UNSIGNED_TYPES:
            return default
        return self._unsigned_int(tag.stored[: _SIZES[tag.type]])

    def _unsigned_int(self, stored: bytes) -> int:
        return int.from_bytes(stored, self._byte_order)


def check_tiff_tags(file: IO[bytes], name: str) -> None:
    """Refuse a TIFF or EXIF of which Pillow would unpack too many numbers.

    Args:
        file: Content, whose position changes.
        name: What errors call it.

    Raises:
        InputError: If it is so.
    """
    _check_directories(_TiffDirectories(file), name)
    as_classic = _TiffDirectories(file, as_classic=True)
    if as_classic.head == b"MM\0+":
        # Pillow reads this BigTIFF as a classic one.
        _check_directories(as_classic, name)


def _check_directories(directories: _TiffDirectories, name: str) -> None:
    """Check the first directory, and those in it."""
    offsets, visited = [directories.first], set[int]()
    while offsets:
        offset = offsets.pop()
        if offset in visited or len(visited) > _MAX_PAGES:
            continue
        visited.add(offset)
        tags, _ = directories.read_directory(offset, name)
        # Pillow passes over what cannot lie in the file.
        tags = [(number, tag) for number, tag in tags if tag.size <= directories.size]
        _check_tags(tags, directories, name)
        offsets += [directories.tag_value(tag, 0) for number, tag in tags if number in _DIRECTORIES]


def has_further_tiff_pages(file: IO[bytes]) -> bool:
    """Whether a TIFF has pages after the first, besides previews and masks."""
    directories = _TiffDirectories(file)
    _, offset = directories.read_directory(directories.first, "")
    for _ in range(_MAX_PAGES):
        tags, next_offset = directories.read_directory(offset, "")
        if not tags:
            return False
        subfile_bits = directories.tag_value(dict(tags).get(_SUBFILE), 0)
        if subfile_bits & ~_IS_PAGE == 0:
            return True
        offset = next_offset
    return False


def _check_tags(tags: Sequence[tuple[int, _Tag]], directories: _TiffDirectories, name: str) -> None:
    """Refuse a directory with too many strips, numbers or bytes in its tags."""
    max_strips = _max_strips(tags, directories)
    number_count = byte_count = 0
    for number, tag in tags:
        if number in _STRIPS:
            if tag.count > max_strips:
                what = f"{tag.count:,} entries in its tag {_STRIPS[number]}"
                raise _tiff_error(name, what, f"{max_strips:,} for a picture of its size")
        elif tag.type in _BYTE_TYPES:
            byte_count += tag.size
        elif tag.size:
            number_count += tag.count
    if number_count > _MAX_NUMBERS:
        what = f"{number_count:,} numbers in the tags of a directory"
        raise _tiff_error(name, what, f"{_MAX_NUMBERS:,}")
    if byte_count > MAX_BYTES:
        what = f"{byte_count:,} bytes in the tags of a directory"
        raise _tiff_error(name, what, f"{MAX_BYTES:,}")


def _max_strips(tags: Sequence[tuple[int, _Tag]], directories: _TiffDirectories) -> int:
    """Most strips that a picture of this size can have: of one row, or the smallest tiles.

    A thousandfold less is usual.
    """
    by_number = dict(reversed(tags))  # the first of equal tags counts
    rows = directories.tag_value(by_number.get(_HEIGHT), _MAX_TAGS)
    columns = directories.tag_value(by_number.get(_WIDTH), _MAX_TAGS)
    tiles = math.ceil(rows / _MIN_TILE_SIDE) * math.ceil(columns / _MIN_TILE_SIDE)
    is_planar = directories.tag_value(by_number.get(_PLANAR), 1) == 2
    samples = directories.tag_value(by_number.get(_SAMPLES), 1) if is_planar else 1
    return min(max(rows, tiles, 1) * min(samples, _MAX_SAMPLES), _MAX_STRIPS)


def _tiff_error(name: str, what: str, expected: str) -> InputError:
    return InputError(
        f"this TIFF file has {what}, expected at most {expected}; export it anew as JPEG or PNG",
        path=name,
    )
