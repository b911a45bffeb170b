"""Files of a cache of frames: their names and descriptions."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError, OutputError
from rilievo.io.atomic import replacing
from rilievo.io.frame_file import ENDING, FORMAT, RECORD, about_path, read_records, sums_path
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.limits import printable, read_text, unreadable
from rilievo.train.video.motion import METHOD
from rilievo.train.video.sequences import FrameSequence

_ROOM = 256 * 2**20
"""Space that is left free on the disk [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFiles:
    """Paths of the cache of one sequence.

    Attributes:
        frames: Pixels of the frames.
        sums: State and checksum of each frame.
        about: Description of the cache (JSON), written once it is complete.
    """

    frames: Path
    sums: Path
    about: Path


def cache_files(sequence: FrameSequence, size: tuple[int, int], folder: Path) -> CacheFiles:
    """Return the paths of the cache of a sequence, which may not exist.

    Raises:
        InputError: If a file of the sequence cannot be reached.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", sequence.id)[-60:].strip("-.")
    stem = f"{name or 'frames'}-{_key(sequence, size)}"
    frames = folder / f"{stem}{ENDING}"
    return CacheFiles(
        frames=frames,
        sums=sums_path(frames),
        about=about_path(frames),
    )


def check_places(files: CacheFiles) -> None:
    """Check that nothing but regular files stands where the cache writes.

    Raises:
        OutputError: If a link, folder or pipe does.
    """
    for path in (files.frames, files.sums, files.about):
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            raise OutputError(f"{printable(path)}: is no regular file: take it away")


def motion_file(files: CacheFiles, K: Float64[np.ndarray, "3 3"], least: float) -> Path:
    """Return the path of the stored motion of a sequence, as measured with these settings."""
    key = hashlib.sha256(repr((METHOD, K.tolist(), least)).encode()).hexdigest()[:8]
    return files.frames.with_suffix(f".motion-{key}.json")


def taken_bytes(frames: Path) -> int:
    """Space on the disk that a file of frames takes [bytes]; its holes take none."""
    found = frames.stat()
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else 512 * blocks


def stored_records(files: CacheFiles, count: int, size: tuple[int, int]) -> np.ndarray:
    """Read the record of each frame; 0 for frames that a killed run did not get to.

    Where the frames are cut short, as after a power cut, none of them counts as decoded.
    """
    records = np.zeros(count, RECORD)
    if has_length(files, count, size):
        stored = read_records(files.frames)[:count]
        records[: len(stored)] = stored
    return records


def has_length(files: CacheFiles, count: int, size: tuple[int, int]) -> bool:
    """Whether the file of frames is there and holds as many bytes as these frames have."""
    frames = files.frames
    return frames.is_file() and frames.stat().st_size == count * size[0] * size[1] * 3


def said_broken(files: CacheFiles) -> dict[int, str]:
    """Read the reasons why frames are broken, by index."""
    about = stored_about(files)
    return {} if about is None else {int(index): why for index, why in about["broken"].items()}


def stored_about(files: CacheFiles) -> Mapping[str, Any] | None:
    """Read the description of the cache; None where it is not complete."""
    if not files.about.is_file() or not files.frames.is_file():
        return None
    try:
        about = parse_json(read_text(files.about))
    except (InputError, NotThisRecord):
        return None
    return about if isinstance(about, dict) and _is_ours(about) else None


def _is_ours(about: Mapping[str, Any]) -> bool:
    """Whether a description has all fields; an incomplete one is made anew."""
    broken, count, fault = about.get("broken"), about.get("count"), about.get("fault", False)
    return (
        about.get("format") == FORMAT
        and type(count) is int
        and count >= 0
        and (fault is None or isinstance(fault, str))
        and isinstance(broken, dict)
        and all(index.isdecimal() and isinstance(why, str) for index, why in broken.items())
    )


def write_about(
    files: CacheFiles,
    sequence: FrameSequence,
    size: tuple[int, int],
    count: int,
    broken: Mapping[int, str],
    fault: str | None,
) -> None:
    """Write the description of a complete cache."""
    about = {
        "format": FORMAT,
        "sequence": sequence.id,
        "size": size,
        "count": count,
        "broken": broken,
        "fault": fault,
    }
    with replacing(files.about) as part:
        part.write_text(json.dumps(about, indent=1), encoding="utf-8")


def check_room(path: Path, count: int, size: tuple[int, int]) -> None:
    """Check that the disk has space for the frames.

    Raises:
        OutputError: If it has not.
    """
    needed = count * size[0] * size[1] * 3
    free = shutil.disk_usage(path.parent).free
    if needed > free - _ROOM:
        raise OutputError(
            f"{printable(path.parent)}: a cache of {count:,} frames of {size[1]}x{size[0]} takes "
            f"{needed / 1e6:,.1f} MB, but {free / 1e6:,.1f} MB are free; name a folder on another "
            "disk, train at a smaller size, or go without a cache"
        )


def _key(sequence: FrameSequence, size: tuple[int, int]) -> str:
    files = sequence.files if sequence.video is None else (sequence.video,)
    lens = sequence.camera.lens
    K = None if lens is None else sequence.camera.camera.K.tolist()
    digest = hashlib.sha256(repr((FORMAT, size, sequence.shape, lens, K)).encode())
    for file in files:
        digest.update(f"{file.name}\0{_stamp(file)}\n".encode())
    return digest.hexdigest()[:16]


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except FileNotFoundError:
        return "missing"  # reported when its frame is requested
    except OSError as error:
        raise unreadable(error, file) from error
    return f"{found.st_size} {found.st_mtime_ns}"
