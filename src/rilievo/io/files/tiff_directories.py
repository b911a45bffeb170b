"""Limits of TIFF directories, also in EXIF, checked before Pillow unpacks their numbers."""

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
"""Most samples of a pixel for which planar files may have separate strips."""

_WIDTH, _HEIGHT, _SAMPLES, _PLANAR = 256, 257, 277, 284
_STRIPS = {273: "StripOffsets", 279: "StripByteCounts", 324: "TileOffsets", 325: "TileByteCounts"}
"""Names of the tags that have an entry for each strip or tile."""
_SUBFILE = 254
_PAGE_BIT = 2  # of the tag ``_SUBFILE``; its other bits mean a preview or a mask
_SUBDIR_TAGS = (34665, 34853, 40965)
"""Tags of Exif, GPS and Interop, whose directories Pillow unpacks as well."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a number, by TIFF's code for its type."""
_UNSIGNED_TYPES = (3, 4, 13, 16)
_BYTE_TYPES = (1, 2, 7)
"""Types that Pillow keeps as bytes."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag: TIFF's code for its type, its count of numbers, and the numbers or their offset."""

    type: int
    count: int
    stored: bytes

    @property
    def size(self) -> int:
        """Bytes of all its numbers; 0 if the type is unknown."""
        return _SIZES.get(self.type, 0) * self.count


class _TiffDirectories:
    """Directories of a TIFF or BigTIFF, read without the numbers of their tags.

    Attributes:
        first: Offset of the first directory.
    """

    def __init__(self, file: IO[bytes], *, as_classic: bool = False) -> None:
        """Read the header; ``as_classic`` reads a BigTIFF as if it were a classic TIFF."""
        self._file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        header = file.read(16)
        self.head = header[:4]
        self._byte_order: Any = "little" if header[:2] == b"II" else "big"
        # The version of BigTIFF is 43, the code of "+".
        self.is_big = b"+" in header[2:4] and not as_classic
        byte_order_code = "<" if self._byte_order == "little" else ">"
        self._entry = struct.Struct(byte_order_code + ("HHQ8s" if self.is_big else "HHI4s"))
        self.first = self._unsigned_int(header[8:16] if self.is_big else header[4:8])

    def read_directory(self, offset: int, name: str) -> tuple[list[tuple[int, _Tag]], int]:
        """Read the tags of a directory, each after its id, and the offset of the next directory.

        The offset is 0 if there is no other directory.
        """
        if not 0 < offset < self.size:
            return [], 0
        self._file.seek(offset)
        count = self._unsigned_int(self._file.read(8 if self.is_big else 2))
        if count > _MAX_TAGS:
            raise _tiff_error(name, f"a directory of {count:,} tags", f"{_MAX_TAGS:,}")
        content = self._file.read(count * self._entry.size)
        # The file may end in the middle of an entry.
        complete_entries = content[: len(content) // self._entry.size * self._entry.size]
        tags = [
            (tag_id, _Tag(*rest)) for tag_id, *rest in self._entry.iter_unpack(complete_entries)
        ]
        next_offset = self._unsigned_int(self._file.read(8 if self.is_big else 4))
        return tags, next_offset

    def tag_value(self, tag: _Tag | None, default: int) -> int:
        """Value of a tag that has a single unsigned integer; the default for any other tag."""
        if tag is None or tag.count != 1 or tag.type not in _UNSIGNED_TYPES:
            return default
        return self._unsigned_int(tag.stored[: _SIZES[tag.type]])

    def _unsigned_int(self, stored: bytes) -> int:
        return int.from_bytes(stored, self._byte_order)


def check_tiff_tags(file: IO[bytes], name: str) -> None:
    """Raise ``InputError`` if Pillow would unpack too many numbers from a TIFF or EXIF.

    The position of the file changes.
    """
    _check_directories(_TiffDirectories(file), name)
    as_classic = _TiffDirectories(file, as_classic=True)
    if as_classic.head == b"MM\0+":
        # Pillow reads a big-endian BigTIFF as a classic TIFF.
        _check_directories(as_classic, name)


def _check_directories(directories: _TiffDirectories, name: str) -> None:
    """Check the first directory, and the directories to which its tags lead.

    Pages that follow the first are not read.
    """
    offsets_left = [directories.first]
    visited: set[int] = set()
    while offsets_left:
        offset = offsets_left.pop()
        if offset in visited or len(visited) > _MAX_PAGES:
            continue
        visited.add(offset)
        stated_tags, _ = directories.read_directory(offset, name)
        # Pillow skips a tag that is larger than the file.
        read_tags = [(tag_id, tag) for tag_id, tag in stated_tags if tag.size <= directories.size]
        _check_tags(read_tags, directories, name)
        offsets_left += [
            directories.tag_value(tag, 0) for tag_id, tag in read_tags if tag_id in _SUBDIR_TAGS
        ]


def has_further_tiff_pages(file: IO[bytes]) -> bool:
    """Whether a TIFF has pages after the first, besides previews and masks."""
    directories = _TiffDirectories(file)
    _, offset = directories.read_directory(directories.first, "")
    for _ in range(_MAX_PAGES):
        tags, next_offset = directories.read_directory(offset, "")
        if not tags:
            return False
        subfile_bits = directories.tag_value(dict(tags).get(_SUBFILE), 0)
        is_preview_or_mask = subfile_bits & ~_PAGE_BIT != 0
        if not is_preview_or_mask:
            return True
        offset = next_offset
    return False


def _check_tags(tags: Sequence[tuple[int, _Tag]], directories: _TiffDirectories, name: str) -> None:
    """Raise ``InputError`` if a directory has too many strips, numbers or bytes in its tags."""
    max_strips = _count_max_strips(tags, directories)
    number_count = 0
    byte_count = 0
    for tag_id, tag in tags:
        if tag_id in _STRIPS:
            if tag.count > max_strips:
                found = f"{tag.count:,} entries in its tag {_STRIPS[tag_id]}"
                raise _tiff_error(name, found, f"{max_strips:,} for an image of its size")
        elif tag.type in _BYTE_TYPES:
            byte_count += tag.size
        elif tag.size:
            number_count += tag.count
    if number_count > _MAX_NUMBERS:
        found = f"{number_count:,} numbers in the tags of a directory"
        raise _tiff_error(name, found, f"{_MAX_NUMBERS:,}")
    if byte_count > MAX_BYTES:
        found = f"{byte_count:,} bytes in the tags of a directory"
        raise _tiff_error(name, found, f"{MAX_BYTES:,}")


def _count_max_strips(tags: Sequence[tuple[int, _Tag]], directories: _TiffDirectories) -> int:
    """Upper limit of the strips or tiles of a picture: strips of one row, or the smallest tiles.

    Planar pictures have them for each plane. Usual pictures have a thousandth of this.
    """
    tag_by_id = dict(reversed(tags))  # The first of two tags with the same id counts.

    def value_of(tag_id: int, default: int) -> int:  # the default if the tag is missing
        return directories.tag_value(tag_by_id.get(tag_id), default)

    height = value_of(_HEIGHT, _MAX_TAGS)
    width = value_of(_WIDTH, _MAX_TAGS)
    strip_count = height  # of one row each
    tile_count = math.ceil(height / _MIN_TILE_SIDE) * math.ceil(width / _MIN_TILE_SIDE)
    is_planar = value_of(_PLANAR, 1) == 2
    plane_count = min(value_of(_SAMPLES, 1), _MAX_SAMPLES) if is_planar else 1
    return min(max(strip_count, tile_count, 1) * plane_count, _MAX_STRIPS)


def _tiff_error(name: str, found: str, expected: str) -> InputError:
    return InputError(
        f"this TIFF file has {found}; expected at most {expected}: export it again as JPEG or PNG",
        path=name,
    )
