"""Files that lie about what they unpack to: each form of the table of readers, within its bound."""

import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np
import pytest

from lab.torture.costs import cpu_seconds
from lab.torture.forms.images import png_chunks, png_joined
from lab.torture.readers import all_readers
from rilievo.errors import RilievoError
from support.reader_table import BOUNDS

READERS = all_readers()
CPU_SECONDS, MEBIBYTES = 2.0, 600
_OF_ANY_KIND = ("lengths", "bytes")
"""Forms of files that mutators know nothing of; their suffix tells more."""
_HUGE = 60_000
_GIGABYTES = 3 * 10**9


def bound_of(file: str, form: str) -> str:
    """Key of a file in the table of bounds."""
    suffix = PurePath(file).suffix.lower()
    if suffix == ".jpg":
        return "jpeg"
    return (suffix or file) if form in _OF_ANY_KIND or suffix in BOUNDS else form


def deflated(head: bytes, size: int, *, bits: int) -> bytes:
    """A stream that unpacks to some bytes and then zeros, made by repeating a piece of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + (size // 10**6) * piece + packer.flush()


def _png(good: bytes) -> bytes:
    chunks = list(png_chunks(good))
    sized = replace(chunks[0], content=struct.pack(">II", _HUGE, _HUGE) + chunks[0].content[8:])
    return png_joined([sized, *chunks[1:]])


def _jpeg(good: bytes) -> bytes:
    at = max(good.find(b"\xff\xc0"), good.find(b"\xff\xc2"))
    return good[: at + 5] + struct.pack(">HH", _HUGE, _HUGE) + good[at + 9 :]


def _tiff(good: bytes) -> bytes:
    order = "<" if good[:2] == b"II" else ">"
    [at] = struct.unpack_from(f"{order}I", good, 4)
    [count] = struct.unpack_from(f"{order}H", good, at)
    content = bytearray(good)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from(f"{order}H", good, entry)[0] in (256, 257):
            struct.pack_into(f"{order}HII", content, entry + 2, 4, 1, _HUGE)
    return bytes(content)


def _boxes(good: bytes) -> bytes:
    at = good.index(b"ispe") + 8
    return good[:at] + struct.pack(">II", _HUGE, _HUGE) + good[at + 8 :]


def _webp(good: bytes) -> bytes:
    at = good.index(b"VP8L") + 9
    return good[:at] + b"\xff\xff\xff\x0f" + good[at + 4 :]


def _bmp(good: bytes) -> bytes:
    return good[:18] + struct.pack("<ii", _HUGE, _HUGE) + good[26:]


def _gif(good: bytes) -> bytes:
    return good[:6] + struct.pack("<HH", _HUGE, _HUGE) + good[10:]


def _netpbm(good: bytes) -> bytes:
    kind, _, rest = good.partition(b"\n")
    return kind[:2] + b"\n%d %d\n" % (_HUGE, _HUGE) + rest.partition(b"\n")[2]


def _exr(good: bytes) -> bytes:
    at = good.index(b"dataWindow\0box2i\0") + 21
    return good[:at] + struct.pack("<4i", 0, 0, _HUGE, _HUGE) + good[at + 16 :]


def _video(good: bytes) -> bytes:
    return good.replace(struct.pack("<II", 64, 48), struct.pack("<II", _HUGE, _HUGE))


def _npy_head(shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def _npy(good: bytes) -> bytes:
    return _npy_head((10**6, 10**6)) + bytes(100)


def _zip(good: bytes, head: bytes) -> bytes:
    """The same members, each of gigabytes; their sums are wrong, which only their ends tell."""
    stream = BytesIO()
    packed = deflated(head, _GIGABYTES, bits=-15)
    with zipfile.ZipFile(BytesIO(good)) as archive, zipfile.ZipFile(stream, "w") as bomb:
        for name in archive.namelist()[:4]:
            bomb.writestr(name, packed)
        for member in bomb.infolist():
            member.compress_type, member.file_size = zipfile.ZIP_DEFLATED, _GIGABYTES
    return stream.getvalue()


def _npz(good: bytes) -> bytes:
    return _zip(good, _npy_head((25_000, 30_000)))


def _pt(good: bytes) -> bytes:
    return _zip(good, b"")


def _safetensors(good: bytes) -> bytes:
    size = 4 * 10**12
    tensor = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, size]}
    head = json.dumps({"body.weight": tensor}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(1000)


def _mat5(good: bytes) -> bytes:
    count = _GIGABYTES // 8
    numbers = struct.pack("<II", 9, 8 * count)
    flags = struct.pack("<IIII", 6, 8, 6, 0)
    shape = struct.pack("<IIii", 5, 8, 1, count) + struct.pack("<HHI", 1, 1, ord("x"))
    head = flags + shape + numbers
    packed = deflated(struct.pack("<II", 14, len(head) + 8 * count) + head, _GIGABYTES, bits=15)
    return good[:128] + struct.pack("<II", 15, len(packed)) + packed


def _gzip_pickle(good: bytes) -> bytes:
    return deflated(b"\x80\x04\x8e" + struct.pack("<Q", _GIGABYTES), _GIGABYTES, bits=31)


def _pickle(good: bytes) -> bytes:
    return b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + bytes(1000)


def _counted(good: bytes) -> bytes:
    return struct.pack("<Q", 2**60) + good[8:]


def _onnx(good: bytes) -> bytes:
    return b"\x08\x08\x3a" + b"\xff" * 8 + b"\x7f" + good


def _text(good: bytes) -> bytes:
    return good + b"1 " * (33 << 20)


LIES: Mapping[str, Callable[[bytes], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "tiff": _tiff,
    "boxes": _boxes,
    ".webp": _webp,
    ".bmp": _bmp,
    ".gif": _gif,
    **dict.fromkeys((".ppm", ".pgm", ".pfm"), _netpbm),
    ".exr": _exr,
    ".avi": _video,
    "npy": _npy,
    "npz": _npz,
    "pt": _pt,
    "safetensors": _safetensors,
    "mat5": _mat5,
    "gzip-pickle": _gzip_pickle,
    ".pkl": _pickle,
    ".bin": _counted,
    "onnx": _onnx,
    **dict.fromkeys(("text", "json", "yaml", "toml"), _text),
}
"""Files that lie, made of good ones. Of other forms the size of the file is the bound, or a box
inside of frames, which the campaign breaks."""


def cases() -> Iterator[object]:
    """Readers and forms, of which the first reader of each form is tried in every run."""
    done: set[str] = set()
    for name, reader in READERS.items():
        for file, form in reader.victims.items():
            key = bound_of(file, form)
            if key in LIES:
                marks = [pytest.mark.slow] if key in done else []
                done.add(key)
                yield pytest.param(name, file, key, marks=marks, id=f"{name}: {file}")


def test_every_reader_has_a_bound() -> None:
    keys = {
        (name, bound_of(file, form))
        for name, reader in READERS.items()
        for file, form in reader.victims.items()
    }
    assert sorted(pair for pair in keys if pair[1] not in BOUNDS) == []
    assert sorted({*BOUNDS} - {key for _, key in keys}) == []
    assert {*LIES} <= {*BOUNDS}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(("name", "file", "key"), [*cases()])
def test_a_file_that_lies_is_within_its_bound(
    name: str, file: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    folder, reader = tmp_path / "files", READERS[name]
    folder.mkdir()
    reader.write(folder)
    reader.read(folder)  # what it loads on the way counts for nothing
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in paths:
        if fnmatchcase(path.relative_to(folder).as_posix(), file):
            path.write_bytes(LIES[key](path.read_bytes()))
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is forgotten
    memory, seconds = highest_mebibytes(), cpu_seconds()
    with suppress(RilievoError):
        reader.read(folder)
    assert cpu_seconds() - seconds < CPU_SECONDS
    assert highest_mebibytes() - memory < MEBIBYTES


def highest_mebibytes() -> float:
    """Most memory that this process had [MiB]."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
