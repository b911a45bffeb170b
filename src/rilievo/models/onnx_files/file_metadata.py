"""Metadata, inputs and outputs of ONNX files, read without an engine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import TypeVar

from rilievo.errors import ModelError

_GRAPH, _METADATA = 7, 14
"""Numbers of fields of ``ModelProto`` in onnx.proto."""
_INPUT, _OUTPUT, _NAME = 11, 12, 1
"""Numbers of fields of ``GraphProto``, and of the name of an input or output."""
_KEY, _VALUE = 1, 2
"""Numbers of fields of an entry of the metadata."""
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types of protobuf: how the content of a field is stored."""
_WIRE_TYPE_BITS, _WIRE_TYPE_MASK = 3, 0b111
"""Lowest bits of a field's tag, which are its wire type; the bits above are its number."""
_MAX_ENTRY_BYTES = 1 << 24
_MAX_FIELDS = 100_000
"""Fields in one message. Both limits bound the work that a hostile file can cause."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNames:
    """Names of the inputs and outputs of a network."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def file_metadata(path: Path) -> Mapping[str, str]:
    """Read the metadata of an ONNX file; ``ModelError`` if it is no ONNX file."""
    return _read_protobuf(path, _parse_metadata)


def graph_names(path: Path) -> GraphNames:
    """Read the names of the inputs and outputs of an ONNX file."""
    return _read_protobuf(path, _parse_graph_names)


def _read_protobuf(path: Path, parse: Callable[[BufferedIOBase, int], Parsed]) -> Parsed:
    """Parse a file with a function that takes the open file and its size [bytes]."""
    try:
        with path.open("rb") as file:
            return parse(file, path.stat().st_size)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ModelError("a name in the network is not valid UTF-8", path=path) from error
    except EOFError as error:
        raise ModelError(f"is not a valid ONNX file: {error}", path=path) from error


def _parse_metadata(file: BufferedIOBase, end: int) -> Mapping[str, str]:
    """Parse the metadata of a ``ModelProto`` that ends at a position in the file."""
    metadata = {}
    for _, entry in _read_fields(file, {_METADATA}, end):
        texts = _parse_text_fields(entry, {_KEY, _VALUE})
        metadata[texts[_KEY]] = texts[_VALUE]
    return metadata


def _parse_graph_names(file: BufferedIOBase, end: int) -> GraphNames:
    """Parse the names in the graph of a ``ModelProto`` that ends at a position in the file."""
    names: dict[int, list[str]] = {_INPUT: [], _OUTPUT: []}
    for _, length in _seek_fields(file, {_GRAPH}, end):
        graph_end = file.tell() + length
        for field_number, content in _read_fields(file, {_INPUT, _OUTPUT}, graph_end):
            names[field_number].append(_parse_text_fields(content, {_NAME})[_NAME])
    return GraphNames(inputs=tuple(names[_INPUT]), outputs=tuple(names[_OUTPUT]))


def _parse_text_fields(message: bytes, field_numbers: set[int]) -> Mapping[int, str]:
    """Texts of a message's fields by their numbers; "" for a missing field."""
    contents = dict(_read_fields(BytesIO(message), field_numbers, len(message)))
    return {number: contents.get(number, b"").decode() for number in sorted(field_numbers)}


def _read_fields(
    file: BufferedIOBase, field_numbers: set[int], end: int
) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the fields with these numbers, up to a position in the file."""
    for field_number, length in _seek_fields(file, field_numbers, end):
        if length > _MAX_ENTRY_BYTES:
            raise EOFError(
                f"an entry of its metadata has {length:,} bytes, more than the allowed "
                f"{_MAX_ENTRY_BYTES:,}"
            )
        yield field_number, file.read(length)


def _seek_fields(
    file: BufferedIOBase, field_numbers: set[int], end: int
) -> Iterator[tuple[int, int]]:
    """Go through the fields of a protobuf message, and stop at those with these numbers.

    A message is a sequence of fields. Each begins with a tag, which has the number of the field and
    the type of its content in the lowest three bits. The message begins where the file is
    positioned, and ends at ``end``. Other fields are skipped without being read.

    Yields:
        Number of a field, and the length of its content [bytes]. The file is then positioned at the
        content, and the caller may read there.
    """
    next_field = file.tell()
    for _ in range(_MAX_FIELDS):
        file.seek(next_field)
        if next_field >= end:
            return
        tag = _read_varint(file)
        field_number = tag >> _WIRE_TYPE_BITS
        wire_type = tag & _WIRE_TYPE_MASK
        length = _read_content_length(file, wire_type)
        next_field = file.tell() + length
        if next_field > end:
            raise EOFError("it is truncated")
        if field_number in field_numbers and wire_type == _BYTES:
            yield field_number, length
    raise EOFError(f"it has more than {_MAX_FIELDS:,} fields")


def _read_content_length(file: BufferedIOBase, wire_type: int) -> int:
    """Length of the content that follows [bytes]; 0 for a varint, which is read and skipped."""
    if wire_type == _BYTES:
        return _read_varint(file)
    if wire_type == _VARINT:
        _read_varint(file)
        return 0
    if wire_type == _FIXED_64:
        return 8
    if wire_type == _FIXED_32:
        return 4
    raise EOFError(f"it has a field of unknown type {wire_type}")


def _read_varint(file: BufferedIOBase) -> int:
    """Read a varint of protobuf, an integer of variable length.

    Each byte holds seven bits of the number, the lowest ones first. The eighth bit says that
    another byte follows. Ten bytes are enough for 64 bits.
    """
    value = 0
    for byte_index in range(10):
        byte = file.read(1)
        if not byte:
            raise EOFError("it is truncated")
        value |= (byte[0] & 0b0111_1111) << 7 * byte_index
        is_last_byte = byte[0] & 0b1000_0000 == 0
        if is_last_byte:
            return value
    raise EOFError("it has a number of more than 64 bits")
