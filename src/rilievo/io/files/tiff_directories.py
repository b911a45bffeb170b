"""Bounds on TIFF directories, also in EXIF, before Pillow makes an object of each number."""

import struct
from dataclasses import dataclass
from typing import IO, Any

from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_BYTES

# Programs write dozens.
MOST_TAGS = 4096

# A 16-bit colour map has 196,608.
MOST_NUMBERS = 2**18

# Most strips or tiles; ``MAX_PIXELS`` in 16x16 have 409,600.
MOST_STRIPS = 2**20
_MOST_PAGES = 100
_WIDTH, _HEIGHT, _SAMPLES, _PLANAR = 256, 257, 277, 284
_STRIPS = {273: "StripOffsets", 279: "StripByteCounts", 324: "TileOffsets", 325: "TileByteCounts"}
_SMALLEST_TILE = 16
_MOST_SAMPLES = 6

# Exif, GPS and Interop, which Pillow unpacks.
_DIRECTORIES = (34665, 34853, 40965)
_SUBFILE, _PAGE = 254, 2
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}

# Types that stay packed.
_BYTES = (1, 2, 7)


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: int
    count: int
    stored: bytes

    @property
    def size(self) -> int:
        return _SIZES.get(self.kind, 0) * self.count


class _TiffDirectories:
    # Also MM and 43, as Pillow takes it.

    def __init__(self, file: IO[bytes], *, as_classic: bool = False) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        self.head = head[:4]
        self._order: Any = "little" if head[:2] == b"II" else "big"
        self.is_big = b"+" in head[2:4] and not as_classic
        letter = "<" if self._order == "little" else ">"
        self._entry = struct.Struct(letter + ("HHQ8s" if self.is_big else "HHI4s"))
        self.first = self._unsigned_int(head[8:16] if self.is_big else head[4:8])

    def read_directory(self, place: int, name: str) -> tuple[list[tuple[int, _Tag]], int]:
        """Tags of the directory at a place, and the place of the next or 0."""
        if not 0 < place < self.size:
            return [], 0
        self._file.seek(place)
        count = self._unsigned_int(self._file.read(8 if self.is_big else 2))
        if count > MOST_TAGS:
            raise _tiff_error(name, f"a directory of {count:,} tags", f"{MOST_TAGS:,}")
        content = self._file.read(count * self._entry.size)
        whole = content[: len(content) // self._entry.size * self._entry.size]
        tags = [(tag, _Tag(*rest)) for tag, *rest in self._entry.iter_unpack(whole)]
        return tags, self._unsigned_int(self._file.read(8 if self.is_big else 4))

    def tag_value(self, tag: _Tag | None, usual: int) -> int:
        if tag is None or tag.count != 1 or tag.kind not in (3, 4, 13, 16):
            return usual
        return self._unsigned_int(tag.stored[: _SIZES[tag.kind]])

    def _unsigned_int(self, stored: bytes) -> int:
        return int.from_bytes(stored, self._order)


def check_tiff_tags(file: IO[bytes], name: str) -> None:
    """Refuse a TIFF or EXIF of which Pillow would unpack too many numbers; its position changes.

    Raises:
        InputError: If it is so.
    """
    for as_classic in (False, True):
        directories = _TiffDirectories(file, as_classic=as_classic)
        if as_classic and directories.head != b"MM\0+":
            return
        places, history = [directories.first], set[int]()
        while places:
            place = places.pop()
            if place in history or len(history) > _MOST_PAGES:
                continue
            history.add(place)
            tags, _ = directories.read_directory(place, name)
            # Pillow passes over what cannot lie in the file.
            tags = [(key, tag) for key, tag in tags if tag.size <= directories.size]
            _check_tags(tags, directories, name)
            places += [directories.tag_value(tag, 0) for key, tag in tags if key in _DIRECTORIES]


def has_further_tiff_pages(file: IO[bytes]) -> bool:
    """Whether a TIFF has pages after the first, besides previews and masks."""
    directories = _TiffDirectories(file)
    _, place = directories.read_directory(directories.first, "")
    for _ in range(_MOST_PAGES):
        tags, after = directories.read_directory(place, "")
        if not tags:
            return False
        if directories.tag_value(dict(tags).get(_SUBFILE), 0) & ~_PAGE == 0:
            return True
        place = after
    return False


def _check_tags(tags: list[tuple[int, _Tag]], directories: _TiffDirectories, name: str) -> None:
    first = dict(reversed(tags))
    rows, columns = (directories.tag_value(first.get(key), MOST_TAGS) for key in (_HEIGHT, _WIDTH))
    tiles = -(-rows // _SMALLEST_TILE) * -(-columns // _SMALLEST_TILE)
    is_planar = directories.tag_value(first.get(_PLANAR), 1) == 2
    samples = directories.tag_value(first.get(_SAMPLES), 1) if is_planar else 1
    # Strips of one row, or the smallest tiles; a thousandfold less is usual.
    strips = min(max(rows, tiles, 1) * min(samples, _MOST_SAMPLES), MOST_STRIPS)
    numbers = stored = 0
    for key, tag in tags:
        if key in _STRIPS:
            if tag.count > strips:
                what = f"{tag.count:,} entries in its tag {_STRIPS[key]}"
                raise _tiff_error(name, what, f"{strips:,} for a picture of its size")
        elif tag.kind in _BYTES:
            stored += tag.size
        else:
            numbers += tag.count if tag.size else 0
    for count, what, most in (
        (numbers, "numbers", MOST_NUMBERS),
        (stored, "bytes", MAX_BYTES),
    ):
        if count > most:
            raise _tiff_error(name, f"{count:,} {what} in the tags of a directory", f"{most:,}")


def _tiff_error(name: str, what: str, expected: str) -> InputError:
    return InputError(
        f"this TIFF file has {what}, expected at most {expected}; export it anew as JPEG or PNG",
        path=name,
    )
