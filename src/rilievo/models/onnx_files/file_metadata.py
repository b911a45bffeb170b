"""Metadata, inputs and outputs of ONNX files, read without an engine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import TypeVar

from rilievo.errors import ModelError

_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2
_INPUT, _OUTPUT, _NAME = 11, 12, 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_BYTES = 1 << 24

# Of ``ModelProto`` (onnx.proto) field 7 is the graph, with inputs 11 and outputs 12, named by 1; 14
# is metadata, key 1 and value 2.
_MOST_FIELDS = 100_000
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNames:
    """Inputs and outputs of a graph."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def file_metadata(path: Path) -> Mapping[str, str]:
    """Read the metadata of an ONNX file.

    Raises:
        ModelError: If it is no ONNX.
    """
    return _read_protobuf(
        path,
        lambda file, end: dict(map(_parse_metadata_entry, _field_contents(file, {_METADATA}, end))),
    )


def graph_names(path: Path) -> GraphNames:
    """Read a graph's names of inputs and outputs.

    Raises:
        ModelError: If it is no ONNX.
    """
    return _read_protobuf(path, _parse_graph_names)


def _read_protobuf(path: Path, read: Callable[[BufferedIOBase, int], Read]) -> Read:
    try:
        with path.open("rb") as file:
            return read(file, path.stat().st_size)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ModelError("a name in the network is no text in UTF-8", path=path) from error
    except EOFError as error:
        raise ModelError(f"not an ONNX file: {error}", path=path) from error


def _parse_graph_names(file: BufferedIOBase, end: int) -> GraphNames:
    names: dict[int, list[str]] = {_INPUT: [], _OUTPUT: []}
    for _, graph in _seek_fields(file, {_GRAPH}, end):
        for number, content in _field_contents(file, {_INPUT, _OUTPUT}, file.tell() + graph):
            parts = dict(_field_contents(BytesIO(content), {_NAME}, len(content)))
            names[number].append(parts.get(_NAME, b"").decode())
    return GraphNames(inputs=(*names[_INPUT],), outputs=(*names[_OUTPUT],))


def _parse_metadata_entry(content: tuple[int, bytes]) -> tuple[str, str]:
    parts = dict(_field_contents(BytesIO(content[1]), {_KEY, _VALUE}, len(content[1])))
    return parts.get(_KEY, b"").decode(), parts.get(_VALUE, b"").decode()


def _field_contents(
    file: BufferedIOBase, wanted: set[int], end: int
) -> Iterator[tuple[int, bytes]]:
    for number, length in _seek_fields(file, wanted, end):
        if length > _MOST_BYTES:
            raise EOFError(f"an entry of its metadata has {length} bytes")
        yield number, file.read(length)


def _seek_fields(file: BufferedIOBase, wanted: set[int], end: int) -> Iterator[tuple[int, int]]:
    """Yield number and length, the file at the content."""
    at = file.tell()
    for _ in range(_MOST_FIELDS):
        file.seek(at)
        if at >= end:
            return
        tag = _read_varint(file)
        number, wire = tag >> 3, tag & 7
        length = {_VARINT: 0, _FIXED_64: 8, _FIXED_32: 4}.get(wire)
        if wire in (_VARINT, _BYTES):
            value = _read_varint(file)
            length = value if wire == _BYTES else 0
        if length is None:
            raise EOFError(f"it has a field of type {wire}")
        place = file.tell()
        at = place + length
        if at > end:
            raise EOFError("it ends in the middle")
        if number in wanted and wire == _BYTES:
            yield number, length
    raise EOFError(f"it has more than {_MOST_FIELDS} fields")


def _read_varint(file: BufferedIOBase) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends in the middle")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise EOFError("it has a number of more than 64 bits")
