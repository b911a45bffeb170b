"""Points (x, y, z) from files of lidars and depth cameras: PCD, PLY and text.

PCD is the format of the Point Cloud Library (https://pointclouds.org/documentation/tutorials/
pcd_file_format.html), in its three encodings; PLY that of Turk (The PLY Polygon File Format, 1994).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Points
from rilievo.errors import InputError
from rilievo.errors.messages import format_beyond
from rilievo.io.files.limits import (
    MAX_BYTES,
    MAX_TEXT_BYTES,
    check_regular,
    check_unpacked,
    is_whole,
    reason,
)
from rilievo.io.files.names import printable

_AXES = ("x", "y", "z")
_MAX_POINTS = 10_000_000
"""Most points of a file; a scan of a lidar has about 100,000."""
_MAX_HEADER_BYTES = 2**20
_PCD_TYPES: Mapping[tuple[str, str], str] = {
    ("F", "4"): "f4",
    ("F", "8"): "f8",
    **{("I", size): f"i{size}" for size in "1248"},
    **{("U", size): f"u{size}" for size in "1248"},
}
"""NumPy's types by TYPE and SIZE of a PCD's header."""
_PLY_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_PLY_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MIN_COPY_CONTROL = 32
"""Least control byte of LibLZF that copies earlier bytes; smaller ones announce literal bytes."""
_OUR_COMMENT = "rilievo:"
"""Start of the comments in which rilievo's own PLY files hold their JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPoints:
    """Points of a file, in its own frame and unit.

    Attributes:
        points: Rows of x, y and z. Those without a return of the sensor may be NaN or 0, 0, 0.
        is_ours: Whether rilievo wrote the file, so that a network may have predicted the points.
    """

    points: Points
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """Field of the points in a file.

    Attributes:
        type: NumPy's type, with its byte order.
        count: How many numbers it has.
    """

    name: str
    type: str
    count: int = 1

    @property
    def row_bytes(self) -> int:
        """Its length in a binary row."""
        return np.dtype(self.type).itemsize * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where x, y and z stand in rows of numbers.

    Attributes:
        indices: Index of each among the numbers of a row.
        types: NumPy's type of each, with its byte order.
        offsets: First byte of each in a binary row.
        row_bytes: Length of a binary row.
    """

    indices: tuple[int, ...]
    types: tuple[str, ...]
    offsets: tuple[int, ...]
    row_bytes: int


def read_points(path: Path) -> StoredPoints:
    """Read the points of a PCD or PLY file, or of a text file with lines ``x y z``.

    In a text file, lines may have commas, further columns and comments after #, and the first line
    may be a header that begins with x.

    Raises:
        InputError: If the file is damaged, too large, or has no x, y and z.
    """
    name = printable(path)
    size = check_regular(path)
    suffix = path.suffix.lower()
    max_bytes = MAX_BYTES if suffix in (".pcd", ".ply") else MAX_TEXT_BYTES
    if size > max_bytes:
        raise InputError(
            f"the file has {format_beyond(size / 2**20, max_bytes / 2**20)} MiB; expected at most "
            f"{max_bytes / 2**20:g} MiB",
            path=name,
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=name) from error
    try:
        with np.errstate(invalid="ignore"):  # Signalling NaN are as good as others.
            stored = _parse_points(content, suffix)
    except (ValueError, MemoryError) as error:
        raise InputError(
            f"the file is truncated, damaged or of an unsupported kind ({reason(error)})", path=name
        ) from error
    if not len(stored.points):
        raise InputError("the file has no points", path=name)
    return stored


def _parse_points(content: bytes, suffix: str) -> StoredPoints:
    """Parse a file by its suffix; raise ``ValueError`` if it is not of this form."""
    if suffix == ".pcd":
        return StoredPoints(points=_parse_pcd(content))
    if suffix == ".ply":
        return _parse_ply(content)
    return StoredPoints(points=_parse_xyz_text(content))


def _parse_xyz_text(content: bytes) -> Points:
    """Parse lines ``x y z``, with blanks or commas, whose first may be a header."""
    text = content.decode("utf-8", errors="replace").replace(",", " ")
    first_line, _, other_lines = text.partition("\n")
    has_header = first_line.strip().lower().startswith("x")
    rows = other_lines if has_header else text
    is_empty = not any(line.partition("#")[0].strip() for line in rows.splitlines())
    if is_empty:
        raise ValueError("no line has numbers")
    return np.loadtxt(BytesIO(rows.encode()), np.float64, ndmin=2, usecols=(0, 1, 2))


def _split_header(content: bytes, last_keyword: bytes) -> tuple[list[list[str]], int]:
    """Split the header of a PCD or PLY file, which ends with the line of ``last_keyword``.

    Returns:
        The words of each line, and the offset [bytes] of what follows the header.
    """
    lines: list[list[str]] = []
    line_start = 0
    while line_start < min(len(content), _MAX_HEADER_BYTES):
        newline = content.find(b"\n", line_start)
        line_end = len(content) if newline < 0 else newline
        line = content[line_start:line_end]
        lines.append(line.decode("ascii", errors="replace").split())
        line_start = line_end + 1
        if line.startswith(last_keyword):
            return lines, line_start
    raise ValueError(f"its header has no line '{last_keyword.decode()}'")


def _parse_pcd(content: bytes) -> Points:
    """Parse a PCD in any of its three encodings."""
    lines, body_start = _split_header(content, b"DATA")
    header = {words[0].upper(): words[1:] for words in lines if words and words[0][0] != "#"}
    fields = _pcd_fields(header)
    stated_count = header.get("POINTS")
    count = _parse_point_count(stated_count) if stated_count else _multiply_sides(header)
    encoding = " ".join(header.get("DATA", []))
    body = memoryview(content)[body_start:]
    if encoding == "ascii":
        return _parse_rows(bytes(body), _columns(fields), count)
    if encoding == "binary":
        return _unpack_rows(body, _columns(fields), count)
    if encoding == "binary_compressed":
        return _read_compressed_points(bytes(body), fields, count)
    raise ValueError(f"DATA is '{encoding[:40]}', expected ascii, binary or binary_compressed")


def _pcd_fields(header: Mapping[str, Sequence[str]]) -> list[_Field]:
    """Read the fields of the points from the header of a PCD file."""
    names = header.get("FIELDS", [])
    sizes, types = header.get("SIZE", []), header.get("TYPE", [])
    counts = header.get("COUNT", ["1"] * len(names))
    if not names or not len(names) == len(sizes) == len(types) == len(counts):
        raise ValueError("FIELDS, SIZE, TYPE and COUNT of its header are not equally many")
    numpy_types = [_pcd_type(*kind) for kind in zip(types, sizes, strict=True)]
    return [
        _Field(name=name, type=numpy_type, count=_parse_whole(count, "COUNT"))
        for name, numpy_type, count in zip(names, numpy_types, counts, strict=True)
    ]


def _multiply_sides(header: Mapping[str, Sequence[str]]) -> int:
    """Number of points of a PCD header without POINTS, which is width times height."""
    width, height = (
        _parse_whole(" ".join(header.get(key, [])), key) for key in ("WIDTH", "HEIGHT")
    )
    return _parse_point_count([str(width * height)])


def _pcd_type(kind: str, size: str) -> str:
    numpy_type = _PCD_TYPES.get((kind.upper(), size))
    if numpy_type is None:
        raise ValueError(f"its header has TYPE {kind[:20]} with SIZE {size[:20]}")
    return f"<{numpy_type}"


def _parse_whole(text: str, key: str) -> int:
    if not is_whole(text):
        raise ValueError(f"{key} of its header is '{text[:20]}', expected a whole number")
    return int(text)


def _parse_point_count(words: Sequence[str]) -> int:
    """Parse the number of points that a header states."""
    count = _parse_whole(" ".join(words), "the number of points")
    if count > _MAX_POINTS:
        raise ValueError(f"{count} points; expected at most {_MAX_POINTS}")
    return count


def _columns(fields: Sequence[_Field]) -> _Columns:
    """Find x, y and z among the fields of a row."""
    lower_names = [field.name.lower() for field in fields]
    positions = []
    for axis in _AXES:
        if lower_names.count(axis) != 1 or fields[lower_names.index(axis)].count != 1:
            raise ValueError(f"its points have no single number {axis}")
        positions.append(lower_names.index(axis))
    return _Columns(
        indices=tuple(sum(field.count for field in fields[:position]) for position in positions),
        types=tuple(fields[position].type for position in positions),
        offsets=tuple(_row_bytes(fields[:position]) for position in positions),
        row_bytes=_row_bytes(fields),
    )


def _row_bytes(fields: Sequence[_Field]) -> int:
    """Length of fields in a binary row."""
    return sum(field.row_bytes for field in fields)


def _parse_rows(body: bytes, columns: _Columns, count: int) -> Points:
    """Parse the first rows of a text."""
    if len(body) > MAX_TEXT_BYTES:
        raise ValueError(f"more than {MAX_TEXT_BYTES / 2**20:g} MiB of text; save it as binary")
    if not body.strip():
        _check_row_count(0, count)
        return np.zeros((0, 3))
    points = np.loadtxt(
        BytesIO(body), np.float64, ndmin=2, usecols=columns.indices, max_rows=count, comments=None
    )
    _check_row_count(len(points), count)
    return points


def _check_row_count(found: int, stated: int) -> None:
    if found < stated:
        raise ValueError(f"it states {stated} points and holds {found}")


def _unpack_rows(body: memoryview, columns: _Columns, count: int) -> Points:
    """Unpack x, y and z of binary rows."""
    _check_row_count(len(body) // columns.row_bytes, count)
    row = np.dtype(
        {
            "names": list(_AXES),
            "formats": list(columns.types),
            "offsets": list(columns.offsets),
            "itemsize": columns.row_bytes,
        }
    )
    rows = np.frombuffer(body, row, count)
    return np.stack([rows[axis].astype(np.float64) for axis in _AXES], axis=1)


def _read_compressed_points(body: bytes, fields: Sequence[_Field], count: int) -> Points:
    """Read the points of a binary_compressed file.

    Its body begins with two lengths: of the compressed and of the decompressed data. Decompressed,
    it holds the x of all points, then the y of all points, and so on.
    """
    packed_size, unpacked_size = (int(number) for number in np.frombuffer(body[:8], "<u4", 2))
    packed = body[8 : 8 + packed_size]
    columns = _columns(fields)
    if unpacked_size != columns.row_bytes * count:
        raise ValueError(
            f"{count} points of {columns.row_bytes} bytes do not unpack to {unpacked_size}"
        )
    check_unpacked("the file", unpacked_size, most_bytes=MAX_BYTES)
    if len(packed) < packed_size:
        raise ValueError(f"it states {packed_size} bytes and holds {len(body) - 8}")
    unpacked = decompress_lzf(packed, unpacked_size)
    # The column of a field begins after those of all points of the fields before it.
    coordinates = [
        np.frombuffer(unpacked, number_type, count, offset_in_row * count).astype(np.float64)
        for number_type, offset_in_row in zip(columns.types, columns.offsets, strict=True)
    ]
    return np.stack(coordinates, axis=1)


def decompress_lzf(packed: bytes, size: int) -> bytes:
    """Decompress data in the format of LibLZF (Lehmann), which unpack to ``size`` bytes.

    A control byte below 32 is followed by one more literal byte than its value. Any other copies
    bytes that were unpacked before: its upper three bits, and if they are 7 the next byte, are the
    length less 2, and its lower five bits with the byte after it the distance less 1.

    Raises:
        ValueError: If the data are damaged.
    """
    unpacked = bytearray()
    position = 0
    while position < len(packed) and len(unpacked) <= size:
        control = packed[position]
        position += 1
        if control < _MIN_COPY_CONTROL:
            literal_size = control + 1
            literal = packed[position : position + literal_size]
            if len(literal) < literal_size:
                break
            unpacked += literal
            position += literal_size
            continue

        length_code, distance_high_bits = control >> 5, control & 0b11111
        has_length_byte = length_code == 7
        argument_size = 2 if has_length_byte else 1
        if position + argument_size > len(packed):
            break
        length = length_code + 2 + (packed[position] if has_length_byte else 0)
        distance = (distance_high_bits << 8 | packed[position + argument_size - 1]) + 1
        position += argument_size
        if distance > len(unpacked):
            break
        # The copy may overlap its source, which then repeats.
        pattern = unpacked[-distance:][:length]
        unpacked += (pattern * (length // len(pattern) + 1))[:length]
    if len(unpacked) != size:
        raise ValueError(f"its compressed part unpacks to other than {size} bytes")
    return bytes(unpacked)


@dataclass(slots=True)
class _Element:
    """Element of a PLY file: its number of rows, and their properties except for lists."""

    name: str
    count: int
    fields: list[_Field]
    has_lists: bool = False


def _parse_ply(content: bytes) -> StoredPoints:
    """Parse the element ``vertex`` of a PLY."""
    lines, body_start = _split_header(content, b"end_header")
    if lines[0] != ["ply"]:
        raise ValueError("it does not begin with 'ply'")
    formats = [words[1] for words in lines if words[:1] == ["format"] and len(words) > 1]
    if len(formats) != 1 or formats[0] not in _PLY_BYTE_ORDERS:
        raise ValueError("its header states no known format")
    byte_order = _PLY_BYTE_ORDERS[formats[0]]
    is_ours = any(words[:2] == ["comment", _OUR_COMMENT] for words in lines)
    elements_before: list[_Element] = []
    for element in _ply_elements(lines, byte_order or "<"):
        if element.name == "vertex":
            if byte_order:
                body = memoryview(content)[body_start:]
                points = _unpack_vertices(body, elements_before, element)
            else:
                points = _parse_vertices(content[body_start:], elements_before, element)
            return StoredPoints(points=points, is_ours=is_ours)
        elements_before.append(element)
    raise ValueError("its header has no element 'vertex'")


def _ply_elements(lines: Sequence[Sequence[str]], byte_order: str) -> Iterator[_Element]:
    """Yield the elements that a header declares, each with its properties."""
    element: _Element | None = None
    for words in lines:
        if words[:1] == ["element"] and len(words) == 3:
            if element is not None:
                yield element
            count = _parse_point_count(words[2:])
            element = _Element(name=words[1], count=count, fields=[])
        elif words[:2] == ["property", "list"] and element is not None:
            element.has_lists = True
        elif words[:1] == ["property"] and element is not None:
            if len(words) != 3 or words[1] not in _PLY_TYPES:
                raise ValueError(f"its header has the property '{' '.join(words[1:])[:40]}'")
            _, ply_type, name = words
            element.fields.append(_Field(name=name, type=byte_order + _PLY_TYPES[ply_type]))
    if element is not None:
        yield element


def _parse_vertices(body: bytes, elements_before: Sequence[_Element], vertex: _Element) -> Points:
    """Parse the vertices of a PLY in text, in which each row of each element is a line."""
    columns = _vertex_columns(vertex)
    line_start = 0
    for _ in range(sum(element.count for element in elements_before)):
        newline = body.find(b"\n", line_start)
        if newline < 0:
            line_start = len(body)
            break
        line_start = newline + 1
    return _parse_rows(body[line_start:], columns, vertex.count)


def _unpack_vertices(
    body: memoryview, elements_before: Sequence[_Element], vertex: _Element
) -> Points:
    """Unpack the vertices of a binary PLY, which come after the rows of other elements."""
    columns = _vertex_columns(vertex)
    vertex_start = 0
    for element in elements_before:
        if element.has_lists:
            raise ValueError(f"lists of '{element.name}' come before its vertices")
        vertex_start += element.count * _row_bytes(element.fields)
    return _unpack_rows(body[vertex_start:], columns, vertex.count)


def _vertex_columns(vertex: _Element) -> _Columns:
    if vertex.has_lists:
        raise ValueError("its vertices have lists")
    return _columns(vertex.fields)
