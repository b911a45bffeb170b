"""Files of a store of frames."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.data.clips.sequences import Clip
from rilievo.errors import InputError, OutputError
from rilievo.frozen import frozen
from rilievo.io.checks import (
    FRAMES,
    FRAMES_FORMAT,
    RECORD,
    about_path,
    read_records,
    sums_path,
)
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import printable, read_text, unreadable
from rilievo.io.files.memory import check_room
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.shapes import Matrix, Size
from rilievo.training.video.frames.image_motion import METHOD

_ROOM = 256 * 2**20
"""Space that is left free on the disk [bytes]."""


@frozen
class About:
    """Description of a complete store.

    Attributes:
        broken: Reasons of the broken frames, by their index as text.
    """

    format: str = FRAMES_FORMAT
    sequence: str = ""
    size: Size = (0, 0)
    count: int
    broken: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None

    def __post_init__(self) -> None:
        is_named = all(map(str.isdecimal, self.broken))
        if self.format != FRAMES_FORMAT or self.count < 0 or not is_named:
            raise NotThisRecord("no description of frames")


@dataclass(frozen=True, slots=True)
class CacheFiles:
    """Files of the store of one sequence."""

    frames: Path

    @property
    def sums(self) -> Path:
        """State and checksum of each frame."""
        return sums_path(self.frames)

    @property
    def about(self) -> Path:
        """Description (JSON), written last."""
        return about_path(self.frames)

    def check_places(self) -> None:
        """Check that only regular files stand here."""
        for path in (self.frames, self.sums, self.about):
            if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
                raise OutputError(f"{printable(path)}: is no regular file: take it away")

    def check_room(self, count: int, size: Size) -> None:
        """Check that the disk has space for the frames."""
        what = f"a cache of {count:,} frames of {size[1]}x{size[0]}"
        hint = "name a folder on another disk, or train at a smaller size"
        needed = count * size[0] * size[1] * 3
        check_room(self.frames.parent, needed, what, hint, spare=_ROOM)

    def has_length(self, count: int, size: Size) -> bool:
        """Whether the file holds these frames."""
        bytes_all = count * size[0] * size[1] * 3
        return self.frames.is_file() and self.frames.stat().st_size == bytes_all

    def records(self, count: int, size: Size) -> np.ndarray:
        """Read the record of each frame; 0 where frames are missing."""
        records = np.zeros(count, RECORD)
        if self.has_length(count, size):
            stored = read_records(self.frames)[:count]
            records[: len(stored)] = stored
        return records

    def read_about(self) -> About | None:
        """Read the description; None where the store is not complete."""
        if not self.about.is_file() or not self.frames.is_file():
            return None
        try:
            return from_json(About, read_text(self.about))
        except (InputError, NotThisRecord):
            return None

    def write_about(self, about: About) -> None:
        """Write the description."""
        with replacing(self.about) as part:
            part.write_text(to_json(about, indent=1), encoding="utf-8")

    def motion_file(self, K: Matrix, least: float) -> Path:
        """Return the path of the stored motion."""
        key = hashlib.sha256(repr((METHOD, K.tolist(), least)).encode()).hexdigest()[:8]
        return self.frames.with_suffix(f".motion-{key}.json")


def cache_files(sequence: Clip, size: Size, folder: Path) -> CacheFiles:
    """Return the files of the store of a sequence."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", sequence.id)[-60:].strip("-.")
    return CacheFiles(folder / f"{name or 'frames'}-{_key(sequence, size)}{FRAMES}")


def taken_bytes(frames: Path) -> int:
    """Measure the space that a file with holes takes [bytes]."""
    status = frames.stat()
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else 512 * blocks


def _key(sequence: Clip, size: Size) -> str:
    files = sequence.files if sequence.video is None else (sequence.video,)
    lens = sequence.camera.lens
    K = None if lens is None else sequence.camera.camera.K.tolist()
    digest = hashlib.sha256(repr((FRAMES_FORMAT, size, sequence.shape, lens, K)).encode())
    for file in files:
        digest.update(f"{file.name}\0{_stamp(file)}\n".encode())
    return digest.hexdigest()[:16]


def _stamp(file: Path) -> str:
    try:
        status = file.stat()
    except FileNotFoundError:
        return "missing"  # reported when its frame is requested
    except OSError as error:
        raise unreadable(error, file) from error
    return f"{status.st_size} {status.st_mtime_ns}"
