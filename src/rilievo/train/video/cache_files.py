"""The files of a cache of frames: their names, and what they say of themselves."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from rilievo.errors import InputError, OutputError
from rilievo.io.atomic import replacing
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.limits import printable, read_text, unreadable
from rilievo.train.video.motion import METHOD
from rilievo.train.video.sequences import FrameSequence

THERE, BROKEN = 1, 2
"""In the byte of a frame; 0 is not there yet."""

_FORMAT = "rilievo-frames/1"
_ROOM = 256 * 2**20
"""Left free on the disk [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFiles:
    """Where the cache of one sequence lies.

    Attributes:
        frames: Bytes of the frames.
        state: A byte for each.
        about: What it is of, once it is whole: JSON.
    """

    frames: Path
    state: Path
    about: Path


def cache_files(sequence: FrameSequence, size: tuple[int, int], folder: Path) -> CacheFiles:
    """The files of the cache of a sequence, there or not.

    Raises:
        InputError: If one of its files cannot be reached.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", sequence.id)[-60:].strip("-.")
    stem = f"{name or 'frames'}-{_key(sequence, size)}"
    return CacheFiles(
        frames=folder / f"{stem}.frames",
        state=folder / f"{stem}.state",
        about=folder / f"{stem}.json",
    )


def motion_file(files: CacheFiles, K: Float64[np.ndarray, "3 3"], least: float) -> Path:
    """Where the motion of a sequence is remembered, as measured with these."""
    key = hashlib.sha256(repr((METHOD, K.tolist(), least)).encode()).hexdigest()[:8]
    return files.frames.with_suffix(f".motion-{key}.json")


def taken_bytes(frames: Path) -> int:
    """Room on the disk that a file of frames takes; its holes take none."""
    found = frames.stat()
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else 512 * blocks


def stored_state(files: CacheFiles, count: int) -> UInt8[np.ndarray, "n"]:
    """The byte of each frame; 0 of those that a run which was killed did not get to."""
    state = np.zeros(count, np.uint8)
    if files.state.is_file() and files.frames.is_file():
        stored = np.frombuffer(files.state.read_bytes(), np.uint8)[:count]
        state[: len(stored)] = stored
    return state


def said_broken(files: CacheFiles) -> dict[int, str]:
    """Why frames are broken, of those that were found to be."""
    about = stored_about(files)
    return {} if about is None else {int(index): why for index, why in about["broken"].items()}


def stored_about(files: CacheFiles) -> Mapping[str, Any] | None:
    """What the cache says of itself; None where it is not whole."""
    if not files.about.is_file() or not files.frames.is_file():
        return None
    try:
        about = parse_json(read_text(files.about))
    except (InputError, NotThisRecord):
        return None
    return about if isinstance(about, dict) and _is_ours(about) else None


def _is_ours(about: Mapping[str, Any]) -> bool:
    """Whether it has all that is asked of it; what has not is made anew."""
    broken, count, fault = about.get("broken"), about.get("count"), about.get("fault", False)
    return (
        about.get("format") == _FORMAT
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
    """Say of what the cache is, once it is whole."""
    about = {
        "format": _FORMAT,
        "sequence": sequence.id,
        "size": size,
        "count": count,
        "broken": broken,
        "fault": fault,
    }
    with replacing(files.about) as part:
        part.write_text(json.dumps(about, indent=1), encoding="utf-8")


def check_room(path: Path, count: int, size: tuple[int, int]) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        OutputError: If so many frames do not fit.
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
    digest = hashlib.sha256(repr((_FORMAT, size, sequence.shape, lens, K)).encode())
    for file in files:
        digest.update(f"{file.name}\0{_stamp(file)}\n".encode())
    return digest.hexdigest()[:16]


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except FileNotFoundError:
        return "missing"  # said when its frame is asked for
    except OSError as error:
        raise unreadable(error, file) from error
    return f"{found.st_size} {found.st_mtime_ns}"
