"""Reads MATLAB files of version 5 (also written by 6 and 7): numbers, texts, cells, structs.

The layout is from MathWorks' "MAT-File Format", version 5. Every count is checked against the
bytes of the file before use, so a damaged file raises an error, whatever byte is wrong, and takes
no more memory than its contents. SciPy reads the same files (9 ms against 11 for a photograph of
640 x 480 with depth), but it is not in the core, and damaged cells crash it (0.8 % of single wrong
bytes), so it would need a child process, which costs 0.2 s of CPU at each start.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import InputError
from rilievo.io.limits import check_regular, printable, reason

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
# Codes of the format: types of stored numbers, types of stored letters, classes of arrays.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4"}
_STORED |= {9: "f8", 12: "i8", 13: "u8"}
_LETTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_NUMBERS = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
_CELL, _STRUCT, _CHAR, _OBJECT = 1, 2, 4, 17
_LOGICAL, _COMPLEX = 0x200, 0x800
# The format limits variables to less than 2 GiB.
_LARGEST = 2**31
_DEEPEST = 16


class _MalformedError(Exception):
    """Raised for contents that contradict the format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """A data element of the file: its type and its bytes."""

    type: int
    data: memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Header of a matrix, before its values."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str

    @property
    def count(self) -> int:
        return math.prod(self.shape)


class Mat5File:
    """A file in memory, whose variables are unpacked lazily."""

    def __init__(self, path: Path) -> None:
        """Read the file and find its variables."""
        check_regular(path)
        try:
            stored = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({reason(error)})") from error
        self._path = path
        order = _ORDERS.get(stored[126:_HEADER])
        if order is None:
            raise InputError(
                f"{path}: is no MATLAB file of version 5 to 7.3; fetch it again, or save it anew "
                "with 'save -v7'"
            )
        self._order = order
        try:
            self._variables = dict(self._found(memoryview(stored)[_HEADER:]))
        except (_MalformedError, zlib.error) as error:
            raise self._damaged(error) from error

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables, in order."""
        return tuple(self._variables)

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """Read a variable, with its axes as in MATLAB.

        Returns:
            Numbers of the variable's class; texts with the last axis joined; for a cell an array
            of objects; for a struct a structured array with a field of objects per name.
        """
        try:
            return self._matrix(self._whole(self._variables[name]), depth=0)
        except (_MalformedError, zlib.error) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        where, why = printable(self._path), reason(error)
        fault = "is cut short" if "trunc" in why else "is damaged"
        return InputError(f"{where}: this MATLAB file {fault} ({why}); fetch it again")

    def _found(self, rest: memoryview) -> Iterator[tuple[str, _Element]]:
        for element in self._elements(rest):
            if element.type not in (_MATRIX, _COMPRESSED):
                raise _MalformedError(f"a variable of the unknown type {element.type}")
            # The name is at the start, so only the first bytes of compressed data are unpacked.
            start = self._unpacked(element, 4096) if element.type == _COMPRESSED else element.data
            name = self._head(self._elements(start)).name
            # Variables without a name are internal to MATLAB.
            if name:
                yield name, element

    def _whole(self, element: _Element) -> memoryview:
        if element.type == _MATRIX:
            return element.data
        return self._unpacked(element, _LARGEST)

    def _unpacked(self, element: _Element, most: int) -> memoryview:
        """Unpack the first ``most`` bytes of a compressed matrix."""
        inflater = zlib.decompressobj()
        tag = inflater.decompress(element.data, 8)
        if len(tag) < 8:
            raise _MalformedError("it is truncated within a compressed variable")
        kind, size = struct.unpack(self._order + "II", tag)
        if kind != _MATRIX or size > _LARGEST:
            raise _MalformedError(f"a compressed variable of type {kind} and {size} bytes")
        # zlib takes a limit of 0 for no limit.
        wanted = min(size, most)
        data = inflater.decompress(inflater.unconsumed_tail, wanted) if wanted else b""
        if len(data) < wanted:
            raise _MalformedError(f"it is truncated: {len(data)} of {wanted} bytes are there")
        return memoryview(data)

    def _elements(self, rest: memoryview) -> Iterator[_Element]:
        while len(rest):
            if len(rest) < 8:
                raise _MalformedError("it is truncated within a tag")
            kind, size = struct.unpack(self._order + "II", rest[:8])
            start, end = 8, 8 + size
            if kind >> 16:
                # Data of up to four bytes is stored in the tag itself.
                kind, size = kind & 0xFFFF, kind >> 16
                start, end = 4, 4 + size
                if size > 4:
                    raise _MalformedError(f"a short piece of {size} bytes")
            if end > len(rest):
                raise _MalformedError(f"it is truncated: {len(rest) - 8} of {size} bytes are there")
            yield _Element(type=kind, data=rest[start:end])
            padded = end if kind == _COMPRESSED else end + -end % 8
            rest = rest[padded:]

    def _head(self, parts: Iterator[_Element]) -> _Head:
        flags, sizes = self._next(parts), self._next(parts)
        if flags.type == 6 and len(flags.data) == 8 and sizes.type == 1:
            # Objects have their name here, and no size.
            return _Head(kind=_OBJECT, flags=0, shape=(), name=_latin(sizes.data))
        name = self._next(parts)
        if flags.type != 6 or len(flags.data) != 8 or sizes.type != 5 or len(sizes.data) % 4:
            raise _MalformedError("a variable without class and size")
        word = struct.unpack(self._order + "II", flags.data)[0]
        shape = tuple(int(side) for side in np.frombuffer(sizes.data, self._order + "i4"))
        if not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise _MalformedError(f"a variable of the size {shape}"[:100])
        return _Head(kind=word & 0xFF, flags=word, shape=shape, name=_latin(name.data))

    def _next(self, parts: Iterator[_Element]) -> _Element:
        for part in parts:
            return part
        raise _MalformedError("a variable ends before its values")

    def _matrix(self, data: memoryview, *, depth: int) -> Shaped[np.ndarray, "..."]:
        if not len(data):
            # MATLAB writes [] within a cell like this.
            return np.empty((0, 0))
        if depth > _DEEPEST:
            raise _MalformedError(f"cells within cells, more than {_DEEPEST} deep")
        parts = self._elements(data)
        head = self._head(parts)
        if head.kind in _NUMBERS:
            return self._numbers(head, parts)
        if head.kind == _CHAR:
            return self._text(head, self._next(parts))
        if head.kind == _CELL:
            return self._cells(head, parts, len(data), depth=depth)
        if head.kind == _STRUCT:
            return self._struct(head, parts, len(data), depth=depth)
        raise InputError(
            f"{self._path}: '{head.name}' is a variable of MATLAB's class {head.kind}; numbers, "
            "texts, cells and structs are read"
        )

    def _numbers(self, head: _Head, parts: Iterator[_Element]) -> Shaped[np.ndarray, "..."]:
        kind = np.dtype(bool if head.flags & _LOGICAL else _NUMBERS[head.kind])
        values = self._values(head, self._next(parts))
        if values.dtype.kind == "f" and kind.kind != "f":
            raise _MalformedError("fractions in an array of whole numbers")
        values = values.astype(kind)
        if head.flags & _COMPLEX:
            values = values + 1j * self._values(head, self._next(parts))
        return values

    def _values(self, head: _Head, part: _Element) -> Shaped[np.ndarray, "..."]:
        """Numbers as stored, possibly in a smaller type than that of the class."""
        stored = _STORED.get(part.type)
        size = 0 if stored is None else head.count * np.dtype(stored).itemsize
        if stored is None or size != len(part.data):
            raise _MalformedError(
                f"{len(part.data)} bytes of type {part.type} for {head.count} numbers"
            )
        return np.frombuffer(part.data, self._order + stored).reshape(head.shape, order="F")

    def _text(self, head: _Head, part: _Element) -> Shaped[np.ndarray, "..."]:
        code = _LETTERS.get(part.type)
        if code is None:
            raise _MalformedError(f"a text of type {part.type}")
        if code in ("utf-16", "utf-32"):
            code += "-le" if self._order == "<" else "-be"
        text = bytes(part.data).decode(code, errors="replace")
        # Characters beyond 16 bits count twice.
        if 0 < len(text) <= head.count == head.shape[-1]:
            return np.array([text])
        if len(text) != head.count:
            raise _MalformedError(f"{len(text)} letters in a text of {head.count}")
        if not text:
            return np.empty(0, "U1")
        letters = np.array(list(text), "U1").reshape(head.shape, order="F")
        # Each row of letters is one text.
        return np.ascontiguousarray(letters).view(f"U{head.shape[-1]}")[..., 0]

    def _cells(
        self, head: _Head, parts: Iterator[_Element], room: int, *, depth: int
    ) -> Shaped[np.ndarray, "..."]:
        cells = self._objects(parts, head.count, room, depth=depth)
        return cells.reshape(head.shape, order="F")

    def _struct(
        self, head: _Head, parts: Iterator[_Element], room: int, *, depth: int
    ) -> Shaped[np.ndarray, "..."]:
        length, names = self._next(parts), bytes(self._next(parts).data)
        size = int.from_bytes(length.data, "little" if self._order == "<" else "big")
        if not size or len(names) % size:
            raise _MalformedError(f"{len(names)} bytes of names, each of {size}")
        fields = [
            names[at : at + size].split(b"\0")[0].decode("latin-1")
            for at in range(0, len(names), size)
        ]
        if not fields:
            return np.empty((0, 0), object)
        if len(set(fields)) < len(fields) or not all(fields):
            raise _MalformedError("a struct with two fields of one name, or one of none")
        values = self._objects(parts, head.count * len(fields), room, depth=depth)
        found = np.empty(head.count, [(name, object) for name in fields])
        for place, name in enumerate(fields):
            found[name] = values[place :: len(fields)]
        return found.reshape(head.shape, order="F")

    def _objects(
        self, parts: Iterator[_Element], count: int, room: int, *, depth: int
    ) -> Shaped[np.ndarray, "n"]:
        """Read ``count`` matrices; each takes at least eight bytes."""
        if count * 8 > room:
            raise _MalformedError(f"{count} values in {room} bytes")
        values = np.empty(count, object)
        for place in range(count):
            part = self._next(parts)
            if part.type != _MATRIX:
                raise _MalformedError(f"a value of type {part.type} in a cell or struct")
            values[place] = self._matrix(part.data, depth=depth + 1)
        return values


def _latin(name: memoryview) -> str:
    return bytes(name).decode("latin-1")
