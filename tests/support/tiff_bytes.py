"""TIFF files made by hand, in both byte orders, classic and big."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 12: 8, 13: 4, 16: 8}
Tags = Mapping[int, tuple[int, int, bytes] | None]
"""Type, count and content of tags; without content the tag names the zeros at the end."""


@dataclass(frozen=True, slots=True)
class Layout:
    order: str
    is_big: bool

    @property
    def start(self) -> int:
        """Place of the pixels."""
        return 16 if self.is_big else 8

    def pack(self, form: str, *values: Any) -> bytes:
        return struct.pack(self.order + form, *map(int, values))

    def place(self, at: int) -> bytes:
        return self.pack("Q" if self.is_big else "I", at)


def tiff(
    layout: Layout,
    tags: Tags,
    *,
    data: bytes | None = None,
    zeros: int = 0,
    inner: Mapping[int, Tags] | None = None,
    pages: tuple[Tags, ...] = (),
    loops: bool = False,
) -> bytes:
    """A grey picture of 64x64 in one strip, with other tags; None takes one away."""
    data = bytes(range(256)) * 16 if data is None else data
    usual: dict[int, tuple[int, int, bytes] | None] = {
        256: (4, 1, layout.pack("I", 64)),
        257: (4, 1, layout.pack("I", 64)),
        258: (3, 1, layout.pack("H", 8)),
        259: (3, 1, layout.pack("H", 1)),
        262: (3, 1, layout.pack("H", 1)),
        273: (4, 1, layout.pack("I", layout.start)),
        277: (3, 1, layout.pack("H", 1)),
        278: (4, 1, layout.pack("I", 64)),
        279: (4, 1, layout.pack("I", 4096)),
    }
    content = bytearray(data)
    holes: list[int] = []

    def write(tags: Tags, after: int) -> int:
        """Write a directory; returns its place."""
        entries = b""
        for tag, value in sorted(tags.items()):
            if value is None:
                continue
            kind, count, stored = value
            entries += layout.pack("HHQ" if layout.is_big else "HHI", tag, kind, count)
            room = 8 if layout.is_big else 4
            if count * SIZES[kind] > room and not stored:
                holes.append(0)
                entries += b"HOLE".ljust(room, b"!")
            elif len(stored) > room:
                entries += layout.place(layout.start + len(content))
                content.extend(stored)
            else:
                entries += stored.ljust(room, b"\0")
        count = layout.pack(
            "Q" if layout.is_big else "H", sum(each is not None for each in tags.values())
        )
        place = layout.start + len(content)
        content.extend(count + entries + layout.place(place if loops else after))
        return place

    last = 0
    for page in reversed(pages):
        last = write({**usual, **page}, last)
    pointers: dict[int, tuple[int, int, bytes]] = {}
    for pointer, inside in (inner or {}).items():
        pointers[pointer] = (4, 1, layout.pack("I", write(inside, 0)))
    first = write({**usual, **pointers, **tags}, last)
    mark = {"<": b"II", ">": b"MM"}[layout.order] + layout.pack("H", 43 if layout.is_big else 42)
    head = mark + (layout.pack("HH", 8, 0) if layout.is_big else b"") + layout.place(first)
    whole = head + bytes(content)
    room = 8 if layout.is_big else 4
    return whole.replace(b"HOLE".ljust(room, b"!"), layout.place(len(whole))) + bytes(zeros)
