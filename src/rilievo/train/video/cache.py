"""Frames decoded once: a file of bytes for each sequence, which is mapped into memory.

``NAME-KEY.frames`` has the frames one after the other, ``NAME-KEY.state`` a byte for each: 0 is
not there yet, 1 is there, 2 is broken. The key is made of the names, sizes and times of the files
and of what is done to them, so changed footage gets another cache. A frame's byte is written after
the frame, so a run that is killed goes on where it was. Frames that nobody needs are holes in the
file and take no room.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import InputError, RilievoError
from rilievo.io.atomic import make_folder, unwritable
from rilievo.io.durable import sync_open_file
from rilievo.io.video import VideoReader
from rilievo.train.video.cache_files import (
    BROKEN,
    THERE,
    CacheFiles,
    cache_files,
    check_room,
    said_broken,
    stored_about,
    stored_state,
    write_about,
)
from rilievo.train.video.reading import OddSizeError, at_size, read_frame
from rilievo.train.video.sequences import FrameSequence
from rilievo.train.video.stores import Progress, how_straight


class CachedFrames:
    """Frames of a cache. Processes that get one each map the file themselves."""

    def __init__(
        self,
        path: Path,
        *,
        count: int,
        size: tuple[int, int],
        broken: Mapping[int, str],
        fault: str | None,
    ) -> None:
        self.path, self.count, self.size = path, count, size
        self.broken, self.fault = broken, fault
        self._map: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """One frame, as it lies in the file.

        Raises:
            InputError: If it is broken.
        """
        if index in self.broken:
            raise InputError(self.broken[index])
        if self._map is None:
            shape = (self.count, *self.size, 3)
            self._map = np.memmap(self.path, np.uint8, mode="r", shape=shape)
        return np.asarray(self._map[index])


def cached(
    sequence: FrameSequence,
    size: tuple[int, int],
    folder: Path,
    *,
    wanted: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> CachedFrames:
    """The frames of a sequence from its cache, which is filled first where it is not whole.

    Args:
        sequence: Of files or of a video.
        size: (height, width) to keep them at.
        folder: Of the cache.
        wanted: Indices of the frames that are needed; None for all.
        progress: Told of every frame.

    Raises:
        InputError: If a frame is not of the size of the others, or a video cannot be read.
        OutputError: If there is no room, or the folder cannot be written.
    """
    make_folder(folder)
    files = cache_files(sequence, size, folder)
    try:
        if sequence.video is not None:
            return _of_video(sequence, size, files, progress)
        return _of_files(sequence, size, files, wanted, progress)
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(files.frames, error) from error


def _of_files(
    sequence: FrameSequence,
    size: tuple[int, int],
    files: CacheFiles,
    wanted: Sequence[int] | None,
    progress: Progress | None,
) -> CachedFrames:
    count = len(sequence.files)
    needed = range(count) if wanted is None else sorted(set(wanted))
    state = stored_state(files, count)
    broken = said_broken(files)
    done = {index for index in needed if state[index] == THERE or index in broken}
    missing = [index for index in needed if index not in done]
    if missing:
        check_room(files.frames, len(missing), size)
        bytes_each = size[0] * size[1] * 3
        with _Writer(files, count, bytes_each) as writer:
            for place, (index, found) in enumerate(_decoded(sequence, size, missing), 1):
                writer.put(index, found)
                if progress is not None:
                    progress(sequence.id, len(done) + place, len(needed))
        broken = {**broken, **writer.broken}
        write_about(files, sequence, size, count, broken, None)
    return CachedFrames(files.frames, count=count, size=size, broken=broken, fault=None)


def _of_video(
    sequence: FrameSequence, size: tuple[int, int], files: CacheFiles, progress: Progress | None
) -> CachedFrames:
    """A video is decoded from its beginning, since frames in its middle hang on those before."""
    about = stored_about(files)
    if about is None:
        assert sequence.video is not None, "of a video"
        reader, how = VideoReader(sequence.video), how_straight(sequence)
        check_room(files.frames, reader.frame_estimate or 0, size)
        count = 0
        with _Writer(files, 0, size[0] * size[1] * 3) as writer:
            for frame in reader:
                writer.put(count, at_size(frame.photo.pixels, size, how))
                count += 1
                if progress is not None:
                    progress(sequence.id, count, max(count, reader.frame_estimate or 0))
        write_about(files, sequence, size, count, {}, reader.fault)
        return CachedFrames(files.frames, count=count, size=size, broken={}, fault=reader.fault)
    count, fault = int(about["count"]), about["fault"]
    return CachedFrames(files.frames, count=count, size=size, broken={}, fault=fault)


class _Writer:
    """Puts frames at their places; a frame's byte follows the frame."""

    def __init__(self, files: CacheFiles, count: int, bytes_each: int) -> None:
        self._files, self._bytes, self._count = files, bytes_each, count
        self.broken: dict[int, str] = {}

    def __enter__(self) -> "_Writer":
        flags = os.O_RDWR | os.O_CREAT
        self._frames = os.open(self._files.frames, flags, 0o666)
        self._state = os.open(self._files.state, flags, 0o666)
        if self._count:
            os.ftruncate(self._frames, self._count * self._bytes)
            os.ftruncate(self._state, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        # What the cache says of itself comes after this.
        for file in (self._frames, self._state):
            sync_open_file(file)
        os.close(self._frames)
        os.close(self._state)

    def put(self, index: int, found: UInt8[np.ndarray, "h w 3"] | str) -> None:
        if isinstance(found, str):
            self.broken[index] = found
        else:
            _write_all(self._frames, np.ascontiguousarray(found).tobytes(), index * self._bytes)
        state = BROKEN if isinstance(found, str) else THERE
        _write_all(self._state, bytes([state]), index)


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _decoded(
    sequence: FrameSequence, size: tuple[int, int], indices: Sequence[int]
) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"] | str]]:
    """Frames in order, a few of them decoded at a time: Pillow works without Python's lock."""
    how = how_straight(sequence)

    def read(index: int) -> UInt8[np.ndarray, "h w 3"] | str:
        try:
            return read_frame(sequence, index, size, how)
        except OddSizeError:
            raise
        except InputError as error:
            return str(error)

    threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        left = iter(indices)
        ahead: list[tuple[int, Future[Any]]] = [
            (index, pool.submit(read, index)) for index in islice(left, 2 * threads)
        ]
        while ahead:
            index, found = ahead.pop(0)
            yield index, found.result()
            ahead.extend((index, pool.submit(read, index)) for index in islice(left, 1))
