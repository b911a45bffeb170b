"""Code of the decoding processes: the fork server, and its workers, which decode.

The fork server loads all modules once, and has a single thread so that it can fork. Workers have
limits of CPU time and memory, and where the kernel filters system calls, they cannot open files.
They inherit no secrets from the server's environment, and end with the server.
"""

import ctypes
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from pathlib import Path
from time import process_time
from traceback import format_exc

import numpy as np

from rilievo.errors import MissingExtraError, RilievoError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import LENSES, spell_lens
from rilievo.io.photographs.photo import header_size, modules_for_reading, read_photo
from rilievo.io.videos import MODULES_FOR_READING, open_video
from rilievo.io.videos.frame_source import Frame, OpenFile
from rilievo.records.depth_map import OwnDepth
from rilievo.records.sample import Photo
from rilievo.serving.server.decoding import syscall_filter
from rilievo.serving.server.decoding.messages import (
    Message,
    NamedImage,
    anonymous_file,
    close_files,
    read_descriptor,
    receive_message,
    send_message,
)

_MAX_OPEN_FILES = 64
_MAX_TRACEBACK_LENGTH = 8000  # [characters], counted from the end, where the error is
_IDLE_SECONDS = 10.0
"""Time without work after which a worker returns memory to the system [s]."""
_ENCODINGS = ("cp1252", "iso8859_15", "utf_8_sig", "utf_16_be", "utf_16_le", "utf_32", "mac_roman")
_PRELOADED_MODULES = (
    *modules_for_reading(),
    *(kind.module for kind in LENSES.values()),
    *MODULES_FOR_READING,
    "array_api_compat.numpy",
    "difflib",
    "xml.etree.ElementTree",
    *(f"encodings.{name}" for name in _ENCODINGS),
)
"""Modules that a worker may need. It cannot load them itself, because it may not open files."""


def main(descriptor: int) -> None:
    """Run the fork server: fork and kill workers as the server asks over a socket."""
    for name in _PRELOADED_MODULES:
        with suppress(ImportError, MissingExtraError):
            import_module(name)
    workers: set[int] = set()
    with socket.socket(fileno=descriptor) as server:
        try:
            while (received := _receive_unless_broken(server)) is not None:
                message, _ = received
                if message["task"] == "fork":
                    _fork_worker(server, workers)
                else:
                    send_message(server, {"status": _kill_worker(message["pid"], workers)})
        finally:
            for pid in list(workers):
                _kill_worker(pid, workers)


def _receive_unless_broken(server: socket.socket) -> tuple[Message, list[int]] | None:
    try:
        return receive_message(server)
    except (OSError, ValueError):
        return None


def _fork_worker(server: socket.socket, workers: set[int]) -> None:
    """Fork a worker, and send its process id and a channel to it to the server."""
    server_end, worker_end = socket.socketpair()
    with server_end, worker_end:
        pid = os.fork()
        if pid == 0:  # the worker
            server.close()
            server_end.close()
            _work_and_exit(worker_end)
        workers.add(pid)
        send_message(server, {"pid": pid}, [server_end.fileno()])


def _kill_worker(pid: int, workers: set[int]) -> int:
    """Kill a worker; return its exit code, or 0 if ``pid`` is not a worker."""
    if pid not in workers:
        return 0
    workers.discard(pid)
    ended_pid, status = os.waitpid(pid, os.WNOHANG)
    if ended_pid == 0:  # still running
        # It may be ending already, because it closes its channel first. Then its own status counts.
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _work_and_exit(server: socket.socket) -> None:
    exit_code = 1
    try:
        _Worker(server).run()
        exit_code = 0
    finally:
        os._exit(exit_code)


class _Worker:
    """Decodes the files that the server sends over a socket."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._tasks: dict[str, Callable[[Message, list[int]], None]] = {
            "size": self._send_size,
            "photo": self._send_photo,
            "video": self._open_video,
            "frames": self._start_iterator,
            "next": self._send_next_frame,
        }
        self._iterators: list[Iterator[Frame]] = []

    def run(self) -> None:
        """Answer messages until the server closes the channel.

        An error is sent to the server as a message, and the worker goes on.
        """
        limit_open_files()
        initial_bytes = address_space_bytes()
        if syscall_filter.is_available():
            syscall_filter.install_syscall_filter()
        while (received := self._wait_for_message()) is not None:
            message, descriptors = received
            limit_cpu_and_memory(
                cpu_seconds=message["cpu_seconds"], max_bytes=initial_bytes + message["extra_bytes"]
            )
            run_task = self._tasks[message["task"]]
            try:
                run_task(message, descriptors)
            except RilievoError as error:
                self._send_error(error.text(path=""), str(error.path))
            except MemoryError:
                self._send_error(
                    Text("needs too much memory to decode; reduce its size"), message["name"]
                )
            except Exception:
                send_message(self._server, {"traceback": format_exc()[-_MAX_TRACEBACK_LENGTH:]})
            finally:
                close_files(descriptors)

    def _send_error(self, text: Text, path: str) -> None:
        send_message(self._server, {"error": text.to_json(), "path": path})

    def _wait_for_message(self) -> tuple[Message, list[int]] | None:
        poll = select.poll()
        poll.register(self._server, select.POLLIN)
        is_idle = not poll.poll(1000 * _IDLE_SECONDS)
        if is_idle:
            _return_free_memory()
        return _receive_unless_broken(self._server)

    def _send_size(self, message: Message, descriptors: list[int]) -> None:
        content = BytesIO(read_descriptor(descriptors[0]))
        size = header_size(content, message["name"], max_pixels=message["max_pixels"])
        send_message(self._server, {"size": size})

    def _send_photo(self, message: Message, descriptors: list[int]) -> None:
        """Decode a photograph, and send its description and its arrays."""
        photo = read_photo(
            NamedImage(read_descriptor(descriptors[0]), message["name"]),
            max_pixels=message["max_pixels"],
            own_depth=message["own_depth"],
            **message["reading"],
        )
        metres = None if photo.own_depth is None else photo.own_depth.metres
        # Floats come first in the shared file, so that their addresses are multiples of four.
        # ``photo_from_message`` reads the arrays in the same order.
        arrays = [array for array in (metres, photo.pixels, photo.transparent) if array is not None]
        self._send_arrays(photo_message(photo), *arrays)

    def _open_video(self, message: Message, descriptors: list[int]) -> None:
        """Open a video for later messages, and describe it to the server."""
        # The original descriptor is closed after this message.
        source = open_video(OpenFile(os.dup(descriptors[0]), message["name"]))
        self._source = source
        send_message(
            self._server,
            {
                "size": source.size,
                "frame_estimate": source.frame_estimate,
                "has_audio": source.has_audio,
                "notes": [Text(note).to_json() for note in source.notes],
                "rate": source.rate.as_integer_ratio(),
                "time_base": source.time_base.as_integer_ratio(),
                "origin": source.origin.as_integer_ratio(),
            },
        )

    def _start_iterator(self, message: Message, descriptors: list[int]) -> None:
        self._iterators.append(iter(self._source))
        send_message(self._server, {"number": len(self._iterators) - 1})

    def _send_next_frame(self, message: Message, descriptors: list[int]) -> None:
        frame = next(self._iterators[message["number"]], None)
        if frame is None:
            send_message(self._server, {"fault": self._source.fault})
            return
        reply = {"name": frame.photo.name, "index": frame.index, "ticks": frame.ticks}
        self._send_arrays(reply, frame.photo.pixels)

    def _send_arrays(self, reply: Message, *arrays: np.ndarray) -> None:
        """Send a reply, and with it a file that holds the arrays one after the other."""
        descriptor = anonymous_file(*map(np.ascontiguousarray, arrays))
        try:
            send_message(self._server, reply, [descriptor])
        finally:
            os.close(descriptor)


def _return_free_memory() -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc's
        library.malloc_trim(0)


def photo_message(photo: Photo) -> Message:
    """Message that describes a photograph, without its arrays."""
    camera = photo.camera
    own_depth = photo.own_depth
    return {
        "shape": photo.pixels.shape,
        "camera": None if camera is None else _camera_message(camera),
        "own_depth": None if own_depth is None else _own_depth_message(own_depth),
        "is_transparent": photo.transparent is not None,
        "notes": [Text(note).to_json() for note in photo.notes],
        "name": photo.name,
        "orientation": photo.orientation,
    }


def _camera_message(camera: Camera) -> Message:
    return {"lens": str(spell_lens(camera.lens)), "source": str(camera.source)}


def _own_depth_message(own_depth: OwnDepth) -> Message:
    return {
        "source": own_depth.source,
        "shape": None if own_depth.metres is None else own_depth.metres.shape,
        "along_ray": own_depth.along_ray,
        "unused": own_depth.unused,
        "broken": own_depth.broken,
    }


def limit_open_files() -> None:
    """Limit the number of open files, and write no core dumps."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))


def limit_cpu_and_memory(*, cpu_seconds: int, max_bytes: int) -> None:
    """Limit the CPU time from now on [s], and the address space of this process [bytes]."""
    if sys.platform == "linux":
        import resource

        # The system counts CPU time from the start of the process, in whole seconds.
        max_seconds = int(process_time()) + 1 + cpu_seconds
        for kind, limit in ((resource.RLIMIT_AS, max_bytes), (resource.RLIMIT_CPU, max_seconds)):
            _, hard = resource.getrlimit(kind)
            # The hard limit stays, so that the soft one can be raised for the next file.
            soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (soft, hard))


def address_space_bytes() -> int:
    """Size of the address space of this process [bytes], or 0 if it is unknown."""
    if sys.platform != "linux":
        return 0
    num_pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return num_pages * os.sysconf("SC_PAGE_SIZE")
