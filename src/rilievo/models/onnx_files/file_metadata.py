"""Metadata of ONNX files, read without their networks.

An ONNX file is one protobuf message, ``ModelProto`` (onnx.proto, IR version 3 and later). Its field
7 is the graph with the weights, which is passed over; each field 14 is an entry of metadata, with
its key as field 1 and its value as field 2.
"""

from collections.abc import Iterator, Mapping
from io import BufferedIOBase, BytesIO
from os import SEEK_CUR
from pathlib import Path

from rilievo.errors import ModelError

_METADATA, _KEY, _VALUE = 14, 1, 2
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_BYTES = 1 << 24
"""Largest entry that is read."""
_MOST_FIELDS = 100_000
"""Most fields that are passed over: a small file may have millions."""


def file_metadata(path: Path) -> Mapping[str, str]:
    """Read the metadata of an ONNX file.

    Raises:
        ModelError: If it is no protobuf message, or an entry is no text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            return dict(map(_entry, _fields(file, {_METADATA})))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: a name in the network is no text in UTF-8") from error
    except EOFError as error:
        raise ModelError(f"{path}: not an ONNX file: {error}") from error


def _entry(content: tuple[int, bytes]) -> tuple[str, str]:
    parts = dict(_fields(BytesIO(content[1]), {_KEY, _VALUE}))
    return parts.get(_KEY, b"").decode(), parts.get(_VALUE, b"").decode()


def _fields(file: BufferedIOBase, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of bytes that is wanted."""
    for _ in range(_MOST_FIELDS):
        if (tag := _varint(file, ends=True)) is None:
            return
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _varint(file)
            continue
        length = {_FIXED_64: 8, _FIXED_32: 4}.get(wire)
        if wire == _BYTES:
            length = _varint(file)
        if length is None:
            raise EOFError(f"it has a field of type {wire}")
        if number not in wanted or wire != _BYTES:
            file.seek(length, SEEK_CUR)
            continue
        if length > _MOST_BYTES:
            raise EOFError(f"an entry of its metadata has {length} bytes")
        content = file.read(length)
        if len(content) < length:
            raise EOFError("it ends in the middle")
        yield number, content
    raise EOFError(f"it has more than {_MOST_FIELDS} fields")


def _varint(file: BufferedIOBase, *, ends: bool = False) -> int | None:
    """Read a number of 7 bits a byte, least first; None at the end of the file."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            if ends and not shift:
                return None
            raise EOFError("it ends in the middle")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise EOFError("it has a number of more than 64 bits")
