"""Decoding of photographs in restricted processes, because others may have made the files."""

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_PIXELS, check_regular, unreadable
from rilievo.io.files.names import printable
from rilievo.options.photo_options import Refine
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.decoding.decoder_pool import Decoders, ImageFile
from rilievo.serving.server.decoding.messages import anonymous_file
from rilievo.serving.server.server_options import ServerOptions

_MAX_CPU_SECONDS = 60
_MAX_SECONDS = 300.0


@dataclass(frozen=True)
class _DiskFile:
    """Photograph in a file (an ``ImageFile`` of the decoders)."""

    path: Path

    @property
    def name(self) -> str:
        return printable(self.path)

    def read(self) -> bytes:
        return self.path.read_bytes()

    def open_descriptor(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(error, self.path) from error


@dataclass(frozen=True)
class _PastedFile:
    """Pasted picture in memory (an ``ImageFile`` of the decoders)."""

    name: str
    content: bytes

    def read(self) -> bytes:
        return self.content

    def open_descriptor(self) -> int:
        return anonymous_file(self.content)


def read_photo(path: Path) -> Photo:
    """Read a photograph in a restricted process."""
    check_regular(path)
    return _decode_in_process(_DiskFile(path), MAX_PIXELS)


def decode_pasted(name: str, content: bytes) -> Photo:
    """Decode a pasted picture in a restricted process."""
    return _decode_in_process(_PastedFile(name, content), ServerOptions().max_pixels)


def _decode_in_process(file: ImageFile, max_pixels: int) -> Photo:
    """Decode a photograph; raise InputError if it has too many pixels, or takes too long."""
    try:
        return _shared_decoders(max_pixels).read_photo(
            file,
            own_depth=True,
            reading=Refine().reading,
            cpu_seconds=_MAX_CPU_SECONDS,
            deadline=time.monotonic() + _MAX_SECONDS,
        )
    except Refusal as error:
        raise InputError(
            f"takes more than {_MAX_SECONDS:g} s to decode; reduce its size", path=file.name
        ) from error


@cache
def _shared_decoders(max_pixels: int) -> Decoders:
    return Decoders(max_pixels=max_pixels, idle=1)
