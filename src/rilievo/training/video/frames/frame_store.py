"""Store of decoded frames: for each sequence a file of bytes, checksums and a description.

The names of the files contain a hash of the names, sizes and times of the footage and of its
processing. The checksum of a frame is written after the frame is synced, so that a run that is
killed resumes near where it was.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Pixels, Size
from rilievo.data.clips.sequences import Clip, FrameReader
from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.errors.messages import count_text
from rilievo.io.files.atomic import (
    make_folder,
    sync_if_supported,
    unwritable,
    write_text,
)
from rilievo.io.files.limits import is_whole, read_text, unreadable
from rilievo.io.files.machine import check_disk_space
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.io.training_files import (
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

_SPARE_DISK_SPACE = 256 * 2**20
"""Space that is left free on the disk [bytes]."""
_FRAMES_PER_SYNC = 64
"""Frames after which they are synced to the disk, and then their checksums are written."""

Progress = Callable[[str, int, int], None]
"""Function that takes a sequence's id, the number of its finished frames, and of all its frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDescription:
    """Description of a complete store.

    Attributes:
        broken: What is wrong with each broken frame, by its index as text.
        fault: What is wrong with the whole video; None if nothing is.
    """

    format: str = FRAMES_FORMAT
    sequence: str = ""
    size: Size = (0, 0)
    count: int
    broken: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None

    def __post_init__(self) -> None:
        has_indices = all(map(str.isdecimal, self.broken))
        if self.format != FRAMES_FORMAT or self.count < 0 or not has_indices:
            raise InvalidRecordError("is not a description of frames")


@dataclass(frozen=True, slots=True)
class CacheFiles:
    """Files of the store of one sequence.

    Attributes:
        frames: File of the frames' pixels.
        size: (height, width) of the stored frames [px].
    """

    frames: Path
    size: Size

    @property
    def checksums_path(self) -> Path:
        """File with the state and checksum of each frame."""
        return frame_checksums_path(self.frames)

    @property
    def description_path(self) -> Path:
        """JSON file that is written last, when the store is complete."""
        return frames_description_path(self.frames)

    def check_regular_files(self) -> None:
        """Raise ``OutputError`` if a link or a folder is in place of one of the files."""
        for path in (self.frames, self.checksums_path, self.description_path):
            if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
                raise OutputError(f"{printable(path)}: is not a regular file: move or delete it")

    def check_free_space(self, count: int, size: Size) -> None:
        """Raise ``OutputError`` if the disk lacks space for ``count`` frames."""
        check_disk_space(
            self.frames.parent,
            count * _frame_bytes(size),
            f"a cache of {count_text(count, 'frame')} of {size[1]}x{size[0]}",
            "choose a folder on another disk, or train at a smaller size",
            spare=_SPARE_DISK_SPACE,
        )

    def has_length(self, count: int, size: Size) -> bool:
        """Whether the file of frames is as long as ``count`` frames are."""
        return self.frames.is_file() and self.frames.stat().st_size == count * _frame_bytes(size)

    def read_records(self, count: int, size: Size) -> np.ndarray:
        """Read the state and checksum of each frame; 0 for frames that are missing."""
        records = np.zeros(count, FRAME_RECORD)
        if self.has_length(count, size):
            stored = read_frame_records(self.frames)[:count]
            records[: len(stored)] = stored
        return records

    def read_description(self) -> StoreDescription | None:
        """Read the description; None if the store is not complete, or if the file is damaged."""
        if not self.description_path.is_file() or not self.frames.is_file():
            return None
        try:
            description = from_json(StoreDescription, read_text(self.description_path))
        except (InputError, InvalidRecordError):
            return None
        return description if description.size == self.size else None

    def write_description(self, description: StoreDescription) -> None:
        """Write the description, which completes the store."""
        write_text(self.description_path, to_json(description, indent=1))


def cache_files(sequence: Clip, size: Size, folder: Path) -> CacheFiles:
    """Files of the store of a sequence at a size, in a folder."""
    readable_name = re.sub(r"[^A-Za-z0-9.-]+", "-", sequence.id)[-60:].strip("-.") or "frames"
    frames = folder / f"{readable_name}-{_store_key(sequence, size)}{FRAMES_SUFFIX}"
    return CacheFiles(frames=frames, size=size)


def allocated_bytes(frames: Path) -> int:
    """Space that a file takes on the disk [bytes], without its holes."""
    status = frames.stat()
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else 512 * blocks


def _store_key(sequence: Clip, size: Size) -> str:
    """Hash of all that the stored frames depend on: the footage and its processing."""
    files = sequence.files if sequence.video is None else (sequence.video,)
    lens = sequence.camera.lens
    K = None if lens is None else sequence.camera.camera.K.tolist()
    processing = (FRAMES_FORMAT, size, sequence.shape, lens, K)
    digest = hashlib.sha256(repr(processing).encode())
    for file in files:
        digest.update(f"{file.name}\0{_size_and_mtime(file)}\n".encode())
    return digest.hexdigest()[:16]


def _frame_bytes(size: Size) -> int:
    return size[0] * size[1] * 3


def _size_and_mtime(file: Path) -> str:
    try:
        status = file.stat()
    except FileNotFoundError:
        return "missing"  # reported when its frame is requested
    except OSError as error:
        raise unreadable(error, file) from error
    return f"{status.st_size} {status.st_mtime_ns}"


class FrameStore:
    """Stored frames of one sequence.

    Attributes:
        path: File of the frames' pixels.
        count: Number of frames, including the broken ones.
        size: (height, width) of the frames [px].
        broken: What is wrong with each broken frame, by its index.
        fault: What is wrong with the whole video; None if nothing is.
    """

    def __init__(self, path: Path, description: StoreDescription) -> None:
        self.path = path
        self.count = description.count
        self.size = description.size
        self.broken = {
            int(index): reason for index, reason in description.broken.items() if is_whole(index)
        }
        self.fault = description.fault
        self._mapped_frames: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The file is mapped anew where the store is unpickled.
        return {**self.__dict__, "_mapped_frames": None}

    def frame(self, index: int) -> Pixels:
        """Read a frame; ``InputError`` if it is broken."""
        if index in self.broken:
            raise InputError(self.broken[index])
        if self._mapped_frames is None:
            shape = (self.count, *self.size, 3)
            self._mapped_frames = np.memmap(self.path, np.uint8, mode="r", shape=shape)
        return np.asarray(self._mapped_frames[index])


def open_store(
    sequence: Clip,
    size: Size,
    folder: Path,
    *,
    wanted: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> FrameStore:
    """Open the stored frames of a sequence, after decoding those that are missing.

    ``wanted`` are the indices of the images that are needed, or None for all. Of a video, all
    frames are decoded.
    """
    make_folder(folder)
    files = cache_files(sequence, size, folder)
    files.check_regular_files()
    try:
        if sequence.video is not None:
            _store_video_frames(sequence, sequence.video, size, files, progress)
        else:
            _store_missing_images(sequence, size, files, wanted, progress)
        description = files.read_description()
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(files.frames, error) from error
    assert description is not None, "the description is written last"
    return FrameStore(files.frames, description)


def _store_missing_images(
    sequence: Clip,
    size: Size,
    files: CacheFiles,
    wanted: Sequence[int] | None,
    progress: Progress | None,
) -> None:
    """Decode and store the wanted images that the store lacks, and write its description."""
    num_images = len(sequence.files)
    description = files.read_description()
    is_complete = description is not None and description.count == num_images
    if description is None or not is_complete:
        description = StoreDescription(sequence=sequence.id, size=size, count=num_images)
    needed = range(num_images) if wanted is None else sorted(set(wanted))
    # A store without description is that of a run that was stopped. If the power failed, not all
    # its frames had reached the disk.
    stored = _find_stored_frames(files, size, num_images, needed, checks_pixels=not is_complete)
    missing = [
        index for index in needed if index not in stored and str(index) not in description.broken
    ]
    if is_complete and not missing:
        return

    if missing:
        files.check_free_space(len(missing), size)
        frame_reader = FrameReader(sequence, size)
        num_done = len(needed) - len(missing)
        # Threads pay off, because Pillow releases the GIL while it decodes.
        images = map_ahead(frame_reader.read, missing, workers=min(8, os.cpu_count() or 1))
        with _FrameWriter(files, num_images, _frame_bytes(size)) as writer:
            for index, image in zip(missing, images, strict=True):
                writer.write_frame_or_reason(index, image)
                num_done += 1
                if progress is not None:
                    progress(sequence.id, num_done, len(needed))
        description = replace(description, broken={**description.broken, **writer.broken})
    files.write_description(description)


def _find_stored_frames(
    files: CacheFiles, size: Size, count: int, indices: Iterable[int], *, checks_pixels: bool
) -> set[int]:
    """Find which of the frames with these indices are stored, of ``count`` frames in all.

    With ``checks_pixels``, frames whose pixels do not have their checksum do not count.
    """
    records = files.read_records(count, size)
    stored = {index for index in indices if records[index]["state"] == FrameState.STORED}
    if checks_pixels and stored:
        damaged = damaged_frame_indices(files.frames, records, sorted(stored), _frame_bytes(size))
        stored -= set(damaged)
    return stored


def _store_video_frames(
    sequence: Clip,
    video: Path,
    size: Size,
    files: CacheFiles,
    progress: Progress | None,
) -> None:
    """Decode and store all frames of a video, unless the store is complete."""
    description = files.read_description()
    if description is not None and files.has_length(description.count, size):
        return
    reader = open_video(video)
    frame_reader = FrameReader(sequence, size)
    estimated_count = reader.frame_estimate or 0
    files.check_free_space(estimated_count, size)
    count = 0
    with _FrameWriter(files, 0, _frame_bytes(size)) as writer:
        for frame in reader:
            writer.write_frame_or_reason(count, frame_reader.resize(frame.photo.pixels))
            count += 1
            if progress is not None:
                progress(sequence.id, count, max(count, estimated_count))
        writer.set_frame_count(count)
    files.write_description(
        StoreDescription(sequence=sequence.id, size=size, count=count, fault=reader.fault)
    )


class _FrameWriter:
    """Writer of frames at any index, and of their checksums once they are synced.

    Attributes:
        broken: What is wrong with each broken frame, by its index as text.
    """

    def __init__(self, files: CacheFiles, count: int, bytes_per_frame: int) -> None:
        """Prepare to write ``count`` frames; 0 if their number is not known yet."""
        self._files = files
        self._bytes_per_frame = bytes_per_frame
        self._count = count
        self._unsynced_records: dict[int, bytes] = {}
        self.broken: dict[str, str] = {}

    def __enter__(self) -> "_FrameWriter":
        self._frames = _open_or_create_without_links(self._files.frames)
        self._checksums = _open_or_create_without_links(self._files.checksums_path)
        if self._count:
            self.set_frame_count(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        # The description of the store is written after this.
        try:
            self._sync_and_write_records()
            sync_if_supported(self._checksums.fileno())
        finally:
            self._frames.close()
            self._checksums.close()

    def set_frame_count(self, count: int) -> None:
        """Give both files the length of ``count`` frames; what is not written yet is a hole."""
        self._frames.truncate(count * self._bytes_per_frame)
        self._checksums.truncate(count * FRAME_RECORD.itemsize)

    def write_frame_or_reason(self, index: int, frame: Pixels | str) -> None:
        """Write a frame, or note the reason why it cannot be read."""
        if isinstance(frame, str):
            self.broken[str(index)] = frame
            self._unsynced_records[index] = frame_record_bytes(FrameState.UNREADABLE, b"")
        else:
            pixels = np.ascontiguousarray(frame).tobytes()
            _write_at(self._frames, pixels, index * self._bytes_per_frame)
            self._unsynced_records[index] = frame_record_bytes(FrameState.STORED, pixels)
        if len(self._unsynced_records) >= _FRAMES_PER_SYNC:
            self._sync_and_write_records()

    def _sync_and_write_records(self) -> None:
        sync_if_supported(self._frames.fileno())
        for index, record in self._unsynced_records.items():
            _write_at(self._checksums, record, index * FRAME_RECORD.itemsize)
        self._unsynced_records = {}


def _open_or_create_without_links(path: Path) -> FileIO:
    """Open a file to read and write; a symbolic link in its place raises ``OSError``."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, "r+b", buffering=0, opener=opener)


def _write_at(file: FileIO, data: bytes, offset: int) -> None:
    file.seek(offset)
    unwritten = memoryview(data)
    while unwritten:
        written_bytes = file.write(unwritten)
        unwritten = unwritten[written_bytes:]
