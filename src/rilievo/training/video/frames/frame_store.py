"""Store of decoded frames: a file for each sequence, which is mapped into memory.

The key in its name is a hash of names, sizes and times of files and of their processing. Records
(``.sums``) are written after frames are synced, so that a run resumes near where it was killed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.data.clips.sequences import Clip, at_size, frame_or_reason, how_straight
from rilievo.errors import InputError, RilievoError
from rilievo.io.checks import BROKEN, RECORD, THERE, damaged_frames, record
from rilievo.io.files.atomic import make_folder, sync_open_file, unwritable
from rilievo.io.files.limits import is_whole
from rilievo.io.videos import open_video
from rilievo.predicting.summary import map_ahead
from rilievo.shapes import Pixels, Size
from rilievo.training.video.frames.cache_files import About, CacheFiles, cache_files

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
        about = files.read_about()
        assert about is not None, "its description is written last"
        self.path, self.count, self.size = files.frames, about.count, about.size
        self.broken = {int(index): why for index, why in about.broken.items() if is_whole(index)}
        self.fault = about.fault
        self._map: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def frame(self, index: int) -> Pixels:
        """Return one frame, as it is in the file."""
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
    files.check_places()
    try:
        if sequence.video is not None:
            _decode_video(sequence, sequence.video, size, files, progress)
        else:
            _decode_files(sequence, size, files, wanted, progress)
        return FrameStore(files)
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(files.frames, error) from error


def _decode_files(
    sequence: Clip,
    size: Size,
    files: CacheFiles,
    wanted: Sequence[int] | None,
    progress: Progress | None,
) -> None:
    count, before = len(sequence.files), files.read_about()
    needed = range(count) if wanted is None else sorted(set(wanted))
    records, bytes_each = files.records(count, size), size[0] * size[1] * 3
    about = before or About(sequence=sequence.id, size=size, count=count)
    there = {index for index in needed if records[index]["state"] == THERE}
    done = there | {index for index in needed if str(index) in about.broken}
    if len(done) == len(needed) and before is not None:
        return
    if there and before is None:
        # They were perhaps on their way when the power failed.
        done -= set(damaged_frames(files.frames, records, sorted(there), bytes_each))
    missing = [index for index in needed if index not in done]
    if missing:
        files.check_room(len(missing), size)
        read = partial(frame_or_reason, sequence, size=size, how=how_straight(sequence))
        # A few are decoded in parallel: Pillow releases the GIL.
        frames = map_ahead(read, missing, workers=min(8, os.cpu_count() or 1))
        with _Writer(files, count, bytes_each) as writer:
            for place, (index, frame) in enumerate(zip(missing, frames, strict=True), 1):
                writer.put(index, frame)
                if progress is not None:
                    progress(sequence.id, len(done) + place, len(needed))
        about = replace(about, broken={**about.broken, **writer.broken})
    files.write_about(about)


def _decode_video(
    sequence: Clip,
    video: Path,
    size: Size,
    files: CacheFiles,
    progress: Progress | None,
) -> None:
    about = files.read_about()
    if about is not None and files.has_length(about.count, size):
        return
    reader, how = open_video(video), how_straight(sequence)
    files.check_room(reader.frame_estimate or 0, size)
    count = 0
    with _Writer(files, 0, size[0] * size[1] * 3) as writer:
        for frame in reader:
            writer.put(count, at_size(frame.photo.pixels, size, how))
            count += 1
            if progress is not None:
                progress(sequence.id, count, max(count, reader.frame_estimate or 0))
        writer.set_length(count)
    files.write_about(About(sequence=sequence.id, size=size, count=count, fault=reader.fault))


class _Writer:
    def __init__(self, files: CacheFiles, count: int, bytes_each: int) -> None:
        self._files, self._bytes, self._count = files, bytes_each, count
        self._records: dict[int, bytes] = {}
        self.broken: dict[str, str] = {}

    def __enter__(self) -> "_Writer":
        self._frames = _opened(self._files.frames)
        self._sums = _opened(self._files.sums)
        if self._count:
            self.set_length(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        # The description of the cache is written after this.
        try:
            self._flush()
            sync_open_file(self._sums.fileno())
        finally:
            self._frames.close()
            self._sums.close()

    def set_length(self, count: int) -> None:
        self._frames.truncate(count * self._bytes)
        self._sums.truncate(count * RECORD.itemsize)

    def put(self, index: int, frame: Pixels | str) -> None:
        if isinstance(frame, str):
            self.broken[str(index)] = frame
            self._records[index] = record(BROKEN, b"")
        else:
            pixels = np.ascontiguousarray(frame).tobytes()
            _write_all(self._frames, pixels, index * self._bytes)
            self._records[index] = record(THERE, pixels)
        if len(self._records) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        sync_open_file(self._frames.fileno())
        for index, row in self._records.items():
            _write_all(self._sums, row, index * RECORD.itemsize)
        self._records = {}


def _opened(path: Path) -> FileIO:

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, "r+b", buffering=0, opener=opener)


def _write_all(file: FileIO, data: bytes, offset: int) -> None:
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
