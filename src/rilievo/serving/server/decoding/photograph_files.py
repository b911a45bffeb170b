"""Photographs on disk, decoded in processes as those of visitors are."""

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_PIXELS, check_regular, printable, unreadable
from rilievo.options.photo_options import Refine
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.decoding.decoders import Decoders
from rilievo.types import Photo

_CPU_SECONDS = 60
_SECONDS = 300.0
"""Time that the decoding of a photograph may take."""


@dataclass(frozen=True)
class _DiskFile:
    """A file on disk."""

    path: Path

    @property
    def name(self) -> str:
        """Name in messages."""
        return printable(self.path)

    def read(self) -> bytes:
        """The content."""
        return self.path.read_bytes()

    def shared(self) -> int:
        """The file, open for reading."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(error, self.path) from error


def read_photo(path: Path) -> Photo:
    """Read a photograph as ``rilievo.read_photo`` does, in a process that can do nothing else."""
    check_regular(path)
    try:
        return _decoders().photo(
            _DiskFile(path),
            own_depth=True,
            reading=Refine().reading,
            cpu_seconds=_CPU_SECONDS,
            until=time.monotonic() + _SECONDS,
        )
    except Refusal as error:
        raise InputError(
            f"was not decoded in {_SECONDS:g} s; make it smaller first", path=printable(path)
        ) from error


@cache
def _decoders() -> Decoders:
    return Decoders(max_pixels=MAX_PIXELS, kept=1)
