"""Reader of binary PLY files, by the format's own description and apart from what writes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TYPES = {"float": "<f4", "uchar": "u1", "int": "<i4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlyFile:
    """Content of a file.

    Attributes:
        comments: Comments of the header, in order.
        elements: Rows of each element by its name. A list of three numbers is a column of shape
            (3,).
    """

    comments: list[str]
    elements: dict[str, np.ndarray]

    def __getitem__(self, element: str) -> np.ndarray:
        return self.elements[element]


def read_ply(path: Path) -> PlyFile:
    """Read a little-endian binary file, all of whose lists have three numbers."""
    header, end, body = path.read_bytes().partition(b"\nend_header\n")
    assert end
    first, encoding, *lines = header.decode("ascii").split("\n")
    assert (first, encoding) == ("ply", "format binary_little_endian 1.0")
    comments: list[str] = []
    counts: dict[str, int] = {}
    columns: dict[str, list[tuple]] = {}
    element = ""
    for line in lines:
        word, _, rest = line.partition(" ")
        match word:
            case "comment":
                comments.append(rest)
            case "element":
                element, count = rest.split(" ")
                counts[element], columns[element] = int(count), []
            case "property":
                columns[element] += _columns(rest.split(" "))
            case _:
                raise ValueError(line)
    elements = {}
    for element, count in counts.items():
        kind = np.dtype(columns[element])
        size = count * kind.itemsize
        rows = np.frombuffer(body[:size], kind)
        assert all((rows[name] == 3).all() for name in kind.names or () if name.startswith("count"))
        elements[element], body = rows, body[size:]
    assert body == b""
    return PlyFile(comments=comments, elements=elements)


def _columns(words: list[str]) -> list[tuple]:
    """Columns of rows that a property makes: of a list, the number of its entries and these."""
    if words[0] != "list":
        kind, name = words
        return [(name, _TYPES[kind])]
    _, count_kind, kind, name = words
    return [(f"count of {name}", _TYPES[count_kind]), (name, _TYPES[kind], (3,))]
