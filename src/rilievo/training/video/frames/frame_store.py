"""Store of decoded frames: its files, and a file of bytes for each sequence.

The key in its name is a hash of names, sizes and times of files and of their processing. Records
(``.sums``) are written after frames are synced, so that a run resumes near where it was killed.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Size
from rilievo.data.clips.sequences import (
    Clip,
    frame_or_reason,
    sequence_undistortion,
    undistort_and_resize,
)
from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.io.files.atomic import make_folder, replacing, sync_if_supported, unwritable
from rilievo.io.files.limits import is_whole, read_text, unreadable
from rilievo.io.files.machine import check_disk_space
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.training_caches import (
    FRAME_RECORD,
    FRAMES_FORMAT,
    FRAMES_SUFFIX,
    FrameState,
    damaged_frame_indices,
    frame_checksums_path,
    frame_record_bytes,
    frames_description_path,
    read_frame_records,
)
from rilievo.io.videos import open_video
from rilievo.predicting.prefetching import map_ahead
from rilievo.training.video.frames.image_motion import METHOD

_ROOM = 256 * 2**20
"""Space that is left free on the disk [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDescription:
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
    def checksums_path(self) -> Path:
        """Path of the state and checksum of each frame."""
        return frame_checksums_path(self.frames)

    @property
    def description_path(self) -> Path:
        """Path of the JSON that is written last."""
        return frames_description_path(self.frames)

    def check_regular_files(self) -> None:
        """Refuse links and folders in place of the files."""
        for path in (self.frames, self.checksums_path, self.description_path):
            if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
                raise OutputError(f"{printable(path)}: is no regular file: take it away")

    def check_free_space(self, count: int, size: Size) -> None:
        """Refuse a disk without space for the frames."""
        what = f"a cache of {count:,} frames of {size[1]}x{size[0]}"
        hint = "name a folder on another disk, or train at a smaller size"
        needed = count * size[0] * size[1] * 3
        check_disk_space(self.frames.parent, needed, what, hint, spare=_ROOM)

    def has_length(self, count: int, size: Size) -> bool:
        """Whether the file is as long as these frames."""
        bytes_all = count * size[0] * size[1] * 3
        return self.frames.is_file() and self.frames.stat().st_size == bytes_all

    def read_records(self, count: int, size: Size) -> np.ndarray:
        """Read the record of each frame; 0 where frames are missing."""
        records = np.zeros(count, FRAME_RECORD)
        if self.has_length(count, size):
            stored = read_frame_records(self.frames)[:count]
            records[: len(stored)] = stored
        return records

    def read_description(self) -> StoreDescription | None:
        """Read the description; None where the store is not complete."""
        if not self.description_path.is_file() or not self.frames.is_file():
            return None
        try:
            return from_json(StoreDescription, read_text(self.description_path))
        except (InputError, NotThisRecord):
            return None

    def write_description(self, about: StoreDescription) -> None:
        """Write the description, which completes the store."""
        with replacing(self.description_path) as part:
            part.write_text(to_json(about, indent=1), encoding="utf-8")

    def motion_file(self, K: Matrix, least: float) -> Path:
        """Path of the JSON of ``MovingFrames``."""
        key = hashlib.sha256(repr((METHOD, K.tolist(), least)).encode()).hexdigest()[:8]
        return self.frames.with_suffix(f".motion-{key}.json")


def cache_files(sequence: Clip, size: Size, folder: Path) -> CacheFiles:
    """Paths of the store of a sequence."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", sequence.id)[-60:].strip("-.")
    return CacheFiles(folder / f"{name or 'frames'}-{_frames_hash(sequence, size)}{FRAMES_SUFFIX}")


def allocated_bytes(frames: Path) -> int:
    """Bytes on disk of a file with holes."""
    status = frames.stat()
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else 512 * blocks


def _frames_hash(sequence: Clip, size: Size) -> str:
    files = sequence.files if sequence.video is None else (sequence.video,)
    lens = sequence.camera.lens
    K = None if lens is None else sequence.camera.camera.K.tolist()
    digest = hashlib.sha256(repr((FRAMES_FORMAT, size, sequence.shape, lens, K)).encode())
    for file in files:
        digest.update(f"{file.name}\0{_size_and_mtime(file)}\n".encode())
    return digest.hexdigest()[:16]


def _size_and_mtime(file: Path) -> str:
    try:
        status = file.stat()
    except FileNotFoundError:
        return "missing"  # reported when its frame is requested
    except OSError as error:
        raise unreadable(error, file) from error
    return f"{status.st_size} {status.st_mtime_ns}"


_GROUP = 64
"""Frames that are synced together."""

Progress = Callable[[str, int, int], None]
"""Callback with an id, the number of frames that are done, and their total."""


class FrameStore:
    """Frames of one sequence, mapped anew where they are unpickled.

    Attributes:
        broken: Reasons of the broken frames.
    """

    def __init__(self, files: CacheFiles) -> None:
        """Open a complete store, which describes itself."""
        about = files.read_description()
        assert about is not None, "its description is written last"
        self.path, self.count, self.size = files.frames, about.count, about.size
        self.broken = {int(index): why for index, why in about.broken.items() if is_whole(index)}
        self.fault = about.fault
        self._map: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def frame(self, index: int) -> Pixels:
        """Read a frame; raises ``InputError`` if it is broken."""
        if index in self.broken:
            raise InputError(self.broken[index])
        if self._map is None:
            shape = (self.count, *self.size, 3)
            self._map = np.memmap(self.path, np.uint8, mode="r", shape=shape)
        return np.asarray(self._map[index])


def open_store(
    sequence: Clip,
    size: Size,
    folder: Path,
    *,
    wanted: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> FrameStore:
    """Open the frames of a sequence, after decoding those ``wanted`` (None for all)."""
    make_folder(folder)
    files = cache_files(sequence, size, folder)
    files.check_regular_files()
    try:
        if sequence.video is not None:
            _store_video_frames(sequence, sequence.video, size, files, progress)
        else:
            _store_missing_frames(sequence, size, files, wanted, progress)
        return FrameStore(files)
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(files.frames, error) from error


def _store_missing_frames(
    sequence: Clip,
    size: Size,
    files: CacheFiles,
    wanted: Sequence[int] | None,
    progress: Progress | None,
) -> None:
    count, before = len(sequence.files), files.read_description()
    needed = range(count) if wanted is None else sorted(set(wanted))
    records, bytes_each = files.read_records(count, size), size[0] * size[1] * 3
    about = before or StoreDescription(sequence=sequence.id, size=size, count=count)
    there = {index for index in needed if records[index]["state"] == FrameState.STORED}
    done = there | {index for index in needed if str(index) in about.broken}
    if len(done) == len(needed) and before is not None:
        return
    if there and before is None:
        # They were perhaps on their way when the power failed.
        done -= set(damaged_frame_indices(files.frames, records, sorted(there), bytes_each))
    missing = [index for index in needed if index not in done]
    if missing:
        files.check_free_space(len(missing), size)
        read = partial(
            frame_or_reason, sequence, size=size, undistortion=sequence_undistortion(sequence)
        )
        # A few are decoded in parallel: Pillow releases the GIL.
        frames = map_ahead(read, missing, workers=min(8, os.cpu_count() or 1))
        with _FrameWriter(files, count, bytes_each) as writer:
            for place, (index, frame) in enumerate(zip(missing, frames, strict=True), 1):
                writer.write_frame_or_reason(index, frame)
                if progress is not None:
                    progress(sequence.id, len(done) + place, len(needed))
        about = replace(about, broken={**about.broken, **writer.broken})
    files.write_description(about)


def _store_video_frames(
    sequence: Clip,
    video: Path,
    size: Size,
    files: CacheFiles,
    progress: Progress | None,
) -> None:
    about = files.read_description()
    if about is not None and files.has_length(about.count, size):
        return
    reader, how = open_video(video), sequence_undistortion(sequence)
    files.check_free_space(reader.frame_estimate or 0, size)
    count = 0
    with _FrameWriter(files, 0, size[0] * size[1] * 3) as writer:
        for frame in reader:
            writer.write_frame_or_reason(count, undistort_and_resize(frame.photo.pixels, size, how))
            count += 1
            if progress is not None:
                progress(sequence.id, count, max(count, reader.frame_estimate or 0))
        writer.set_frame_count(count)
    files.write_description(
        StoreDescription(sequence=sequence.id, size=size, count=count, fault=reader.fault)
    )


class _FrameWriter:
    def __init__(self, files: CacheFiles, count: int, bytes_each: int) -> None:
        self._files, self._bytes, self._count = files, bytes_each, count
        self._records: dict[int, bytes] = {}
        self.broken: dict[str, str] = {}

    def __enter__(self) -> "_FrameWriter":
        self._frames = _open_or_create_without_links(self._files.frames)
        self._sums = _open_or_create_without_links(self._files.checksums_path)
        if self._count:
            self.set_frame_count(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        # The description of the cache is written after this.
        try:
            self._sync_and_write_records()
            sync_if_supported(self._sums.fileno())
        finally:
            self._frames.close()
            self._sums.close()

    def set_frame_count(self, count: int) -> None:
        self._frames.truncate(count * self._bytes)
        self._sums.truncate(count * FRAME_RECORD.itemsize)

    def write_frame_or_reason(self, index: int, frame: Pixels | str) -> None:
        if isinstance(frame, str):
            self.broken[str(index)] = frame
            self._records[index] = frame_record_bytes(FrameState.UNREADABLE, b"")
        else:
            pixels = np.ascontiguousarray(frame).tobytes()
            _write_at(self._frames, pixels, index * self._bytes)
            self._records[index] = frame_record_bytes(FrameState.STORED, pixels)
        if len(self._records) >= _GROUP:
            self._sync_and_write_records()

    def _sync_and_write_records(self) -> None:
        sync_if_supported(self._frames.fileno())
        for index, row in self._records.items():
            _write_at(self._sums, row, index * FRAME_RECORD.itemsize)
        self._records = {}


def _open_or_create_without_links(path: Path) -> FileIO:

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, "r+b", buffering=0, opener=opener)


def _write_at(file: FileIO, data: bytes, offset: int) -> None:
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
