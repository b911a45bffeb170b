"""Decode the files that clients send in other processes, which may crash or be killed.

A process that fails becomes a refusal for its client. On Windows, threads of the server decode.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.errors import InputError
from rilievo.errors.messages import Note, text_from_json
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.files.limits import check_regular
from rilievo.io.photographs.photo import header_size, read_photo
from rilievo.io.videos import open_video
from rilievo.io.videos.frame_source import Frame, FrameSource
from rilievo.options.photo_options import ReadingArguments
from rilievo.records.depth_map import OwnDepth
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.decoding.messages import (
    Message,
    NamedImage,
    can_fork_and_pass_files,
    close_files,
    map_arrays,
    receive_message,
    send_message,
)

_BYTES_PER_PIXEL = 48
"""Memory for a pixel while it is decoded: 16 bits, four channels, coefficients, copies."""
_BASE_BYTES = 512 * 2**20
"""Memory for a photograph in addition to that of its pixels."""
_VIDEO_BYTES = 4 * 2**30
_START_SECONDS = 60.0
"""Time in which the fork server has to start, or to answer [s]."""
_HEADER_CPU_SECONDS = 2
_FRAME_CPU_SECONDS = 20
_FRAME_SECONDS = 60.0
"""Time in which a frame of a video has to be decoded [s]."""
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from rilievo.serving.server.decoding.decoder_process import main; main({file})"
)
_PASSED_VARIABLES = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT"),
)
"""Environment variables that decoding processes inherit; others may be secrets."""
_ADDED_VARIABLES = {
    # A process that forks must have only one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Keep the memory of a photograph for the next one. New memory costs a page fault for each 4 kB,
    # which takes a third of the decoding time. 32 MB is the largest threshold that glibc allows.
    "GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={2**25}:glibc.malloc.trim_threshold={2**27}",
}


@runtime_checkable
class ImageFile(Protocol):
    """Image file that a client has sent."""

    @property
    def name(self) -> str:
        """Name in messages."""

    def read(self) -> bytes:
        """Content of the file."""

    def open_descriptor(self) -> int:
        """File descriptor of the content, which the caller closes."""


class DecodeDefect(RuntimeError):
    """Defect of rilievo that showed in a decoding process."""


@dataclass(eq=False, slots=True)
class _DecodingProcess:
    """Decoding process, and the channel to it."""

    pid: int
    channel: socket.socket

    def is_alive(self) -> bool:
        """Whether the process still has its end of the channel open."""
        try:
            self.channel.settimeout(0)
            return bool(self.channel.recv(1, socket.MSG_PEEK))  # b"" if the other end is closed
        except BlockingIOError:  # nothing to read, but open
            return True
        except OSError:
            return False


class _ForkServer:
    """Process with all modules loaded, which forks the decoding processes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._open_channel()

    def fork(self) -> _DecodingProcess:
        """Fork a decoding process."""
        reply, descriptors = self._send_and_receive({"task": "fork"})
        return _DecodingProcess(reply["pid"], socket.socket(fileno=descriptors[0]))

    def kill(self, child: _DecodingProcess) -> int:
        """End a decoding process; return its exit status, which is negative for a signal."""
        child.channel.close()
        reply, _ = self._send_and_receive({"task": "kill", "pid": child.pid})
        return reply["status"]

    def end(self) -> None:
        """End the fork server with all decoding processes."""
        channel = self._channel
        process = self._process
        self._channel = None
        self._process = None
        if channel is not None and process is not None:
            channel.close()
            process.wait()

    def _send_and_receive(self, message: Message) -> tuple[Message, list[int]]:
        """Send a message to the fork server; return its reply and file descriptors.

        If that fails, the fork server is restarted once.
        """
        with self._lock:
            for _ in range(2):
                channel = self._open_channel()
                try:
                    send_message(channel, message)
                    reply = receive_message(channel)
                except (OSError, ValueError):
                    reply = None
                if reply is not None:
                    return reply
                self.end()
        raise DecodeDefect("the decoding process cannot be started")

    def _open_channel(self) -> socket.socket:
        """Return the channel to the fork server, which is started if it does not run."""
        if self._channel is not None:
            return self._channel
        server_end, child_end = socket.socketpair()
        server_end.settimeout(_START_SECONDS)
        with child_end:
            self._process = _start_program(child_end.fileno())
        self._channel = server_end
        return server_end


def _start_program(channel: int) -> "subprocess.Popen[bytes]":
    """Start the program of the fork server, which inherits the file descriptor of its channel."""
    path = [folder or os.getcwd() for folder in sys.path]
    inherited = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM.format(path=path, file=channel)],
        pass_fds=(channel,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A hostile file must not write into the server's log through what decoders print.
        stderr=subprocess.DEVNULL,
        env={**inherited, **_ADDED_VARIABLES},
        start_new_session=True,  # so that Ctrl-C reaches the server only
    )


def start_fork_server() -> None:
    """Start the fork server early, if this system can fork."""
    if can_fork_and_pass_files():
        _fork_server().start()


@cache
def _fork_server() -> _ForkServer:
    fork_server = _ForkServer()
    atexit.register(fork_server.end)
    return fork_server


class Decoders:
    """Pool of decoding processes, of which some wait for work.

    A process works on one file at a time. Afterwards it waits for the next one, if no more than the
    allowed number wait already, and is ended otherwise. On systems that cannot fork, such as
    Windows, the pool has no processes, and its methods decode in the thread that calls them.
    """

    def __init__(self, *, max_pixels: int, idle: int) -> None:
        """Make a pool without processes.

        Args:
            max_pixels: Size of the largest photograph that is decoded [px].
            idle: Number of processes that may wait for work.
        """
        self._max_pixels = max_pixels
        self._max_idle = idle
        self._idle: list[_DecodingProcess] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def start_idle_processes(self) -> None:
        """Start the processes that wait for work, before there is any."""
        if can_fork_and_pass_files():
            children = [_fork_server().fork() for _ in range(self._max_idle)]
            for child in children:
                self._keep_idle_or_kill(child)

    def close(self) -> None:
        """End the processes that wait for work; the others end after their work."""
        self._is_closed = True
        while (child := self._pop_idle_process()) is not None:
            _fork_server().kill(child)

    @staticmethod
    def kill_all_processes() -> None:
        """End the processes of all pools at once, also those that are working."""
        if can_fork_and_pass_files():
            _fork_server().end()

    @property
    def idle_pids(self) -> list[int]:
        """Process ids of the processes that wait for work."""
        return [child.pid for child in self._idle]

    def image_size(self, upload: ImageFile, *, deadline: float) -> tuple[int, int]:
        """Read the size (height, width) from the header of a photograph, until ``deadline``."""
        if not can_fork_and_pass_files():
            return header_size(BytesIO(upload.read()), upload.name, max_pixels=self._max_pixels)
        reply, files = self._ask_about_file("size", upload, _HEADER_CPU_SECONDS, deadline)
        close_files(files)
        height, width = map(int, reply["size"])
        return height, width

    def read_photo(
        self,
        upload: ImageFile,
        *,
        own_depth: bool,
        reading: ReadingArguments,
        cpu_seconds: int,
        deadline: float,
    ) -> Photo:
        """Read a photograph in a decoding process, as the function ``read_photo`` does.

        Args:
            upload: Photograph.
            own_depth: Whether to read the depth map that the file itself may hold.
            reading: Further arguments of the function.
            cpu_seconds: CPU time that decoding may take [s].
            deadline: Time of ``time.monotonic`` at which the process is killed.

        Raises:
            InputError: If it cannot be read, or takes too long or too much memory.
        """
        if not can_fork_and_pass_files():  # such as Windows, which has no decoding processes
            return read_photo(
                NamedImage(upload.read(), upload.name),
                max_pixels=self._max_pixels,
                own_depth=own_depth,
                **reading,
            )
        reply, descriptors = self._ask_about_file(
            "photo", upload, cpu_seconds, deadline, own_depth=own_depth, reading=reading
        )
        try:
            return photo_from_message(reply, descriptors, self._max_pixels)
        except (LookupError, TypeError, ValueError) as error:
            raise _decoder_failure(upload.name) from error
        finally:
            close_files(descriptors)

    def open_video(self, path: Path) -> FrameSource:
        """Open a video, in a process of its own if this system can fork."""
        return open_isolated_video(self, path) if can_fork_and_pass_files() else open_video(path)

    def _ask_about_file(
        self, task: str, upload: ImageFile, cpu_seconds: int, deadline: float, **arguments: object
    ) -> tuple[Message, list[int]]:
        """Let a process do a task with a file; return its reply and file descriptors."""
        message = {
            "task": task,
            "name": upload.name,
            "max_pixels": self._max_pixels,
            "cpu_seconds": cpu_seconds,
            "extra_bytes": self._max_pixels * _BYTES_PER_PIXEL + _BASE_BYTES,
            **arguments,
        }
        descriptor = upload.open_descriptor()
        try:
            child = self.take_process()
            reply = self.ask_process(child, message, [descriptor], deadline)
        finally:
            os.close(descriptor)
        self._keep_idle_or_kill(child)
        return reply

    def take_process(self) -> _DecodingProcess:
        """Take a process that waits for work, or start one."""
        while (child := self._pop_idle_process()) is not None:
            if child.is_alive():
                return child
            self.end_process(child)
        return _fork_server().fork()

    def end_process(self, child: _DecodingProcess) -> int:
        """End a process; return its exit status."""
        return _fork_server().kill(child)

    def ask_process(
        self, child: _DecodingProcess, message: Message, files: list[int], deadline: float
    ) -> tuple[Message, list[int]]:
        """Send a message to a process; return its reply and file descriptors.

        A process that crashes, or is too slow, is ended. One that reports an error can go on.

        Raises:
            Refusal: If there is no reply at the deadline.
            InputError: If the file cannot be decoded.
            DecodeDefect: If rilievo has a defect.
        """
        name = str(message["name"])
        try:
            received = _send_and_receive(child.channel, message, files, deadline)
        except TimeoutError:
            self.end_process(child)
            raise Refusal(
                503,
                f"{name}: was not decoded in time, because the server is busy: try again later",
                {"Retry-After": "10"},
            ) from None
        if received is None:
            status = self.end_process(child)
            if _was_ended_for_cpu_time(status):
                raise _slow_decoding_error(name, message["cpu_seconds"])
            raise _decoder_failure(name)

        reply, descriptors = received
        if "error" in reply:
            self._keep_idle_or_kill(child)
            raise _error_from_reply(reply, name)
        if "traceback" in reply:
            self._keep_idle_or_kill(child)
            raise DecodeDefect(reply["traceback"])
        return reply, descriptors

    def _pop_idle_process(self) -> _DecodingProcess | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep_idle_or_kill(self, child: _DecodingProcess) -> None:
        with self._lock:
            if len(self._idle) < self._max_idle and not self._is_closed:
                self._idle.append(child)
                return
        _fork_server().kill(child)


def _send_and_receive(
    channel: socket.socket, message: Message, files: list[int], deadline: float
) -> tuple[Message, list[int]] | None:
    """Send a message to a process; return its reply and file descriptors, None if it has ended.

    Raises:
        TimeoutError: If there is no reply at the deadline.
    """
    try:
        channel.settimeout(max(0.001, deadline - time.monotonic()))  # a timeout of 0 never waits
        send_message(channel, message, files)
        return receive_message(channel)
    except TimeoutError:
        raise
    except (OSError, ValueError):
        return None


def _was_ended_for_cpu_time(status: int) -> bool:
    return sys.platform != "win32" and status == -signal.SIGXCPU


def _error_from_reply(reply: Message, name: str) -> InputError:
    """Error that a process reports. Its reply may be hostile, so entries may be missing."""
    try:
        return InputError(path=str(reply["path"]), problem=text_from_json(reply["error"]))
    except (LookupError, TypeError, ValueError):
        return _decoder_failure(name)


def _notes_from_reply(reply: Message) -> tuple[Note, ...]:
    return tuple(Note(text_from_json(note)) for note in reply["notes"])


def _slow_decoding_error(name: str, seconds: int) -> InputError:
    return InputError(
        f"takes more than {seconds} s to decode; export it again as JPEG or PNG", path=name
    )


def _decoder_failure(name: str) -> InputError:
    return InputError("cannot be decoded; export it again as JPEG or PNG", path=name)


def photo_from_message(message: Message, descriptors: list[int], max_pixels: int) -> Photo:
    """Make a photograph from the reply of a process, which a hostile file may have taken over.

    The reply describes the photograph, and its arrays lie in a shared file, one after the other:
    the photograph's own depth map if it has one, its pixels, and the mask of its transparent pixels
    if there are any.

    Raises:
        LookupError: If an entry is missing.
        TypeError: If an entry has a wrong type.
        ValueError: If a value is impossible.
    """
    height, width = _checked_height_and_width(message["shape"][:2], max_pixels)
    own_depth_message = message["own_depth"]
    camera_message = message["camera"]
    has_depth_map = own_depth_message is not None and own_depth_message["shape"] is not None
    has_mask = bool(message["is_transparent"])

    shapes_and_types: list[tuple[Sequence[int], type[np.generic]]] = []
    if has_depth_map:
        depth_shape = _checked_height_and_width(own_depth_message["shape"], max_pixels)
        shapes_and_types.append((depth_shape, np.float32))
    shapes_and_types.append(((height, width, 3), np.uint8))
    if has_mask:
        shapes_and_types.append(((height, width), np.bool_))
    arrays = iter(map_arrays(descriptors[0], *shapes_and_types))
    metres = next(arrays) if has_depth_map else None
    pixels = next(arrays)
    transparent = next(arrays) if has_mask else None

    camera = None
    if camera_message is not None:
        camera = _camera_from_message(camera_message)
    own_depth = None
    if own_depth_message is not None:
        own_depth = _own_depth_from_message(own_depth_message, metres)
    return Photo(
        pixels=pixels,
        transparent=transparent,
        notes=_notes_from_reply(message),
        camera=camera,
        own_depth=own_depth,
        name=str(message["name"]),
        orientation=int(message["orientation"]),
    )


def _checked_height_and_width(shape: Sequence[int], max_pixels: int) -> tuple[int, int]:
    height, width = map(int, shape)
    if not (height > 0 and width > 0 and height * width <= max_pixels):
        raise ValueError(f"a size of {width}x{height}")
    return height, width


def _camera_from_message(message: Message) -> Camera:
    # The spelling holds all parameters, so the size of the image makes no difference.
    lens = read_spelling(message["lens"]).lens((2, 2))
    return Camera(lens=lens, source=CameraSource(message["source"]))


def _own_depth_from_message(message: Message, metres: np.ndarray | None) -> OwnDepth:
    return OwnDepth(
        source=str(message["source"]),
        metres=metres,
        along_ray=bool(message["along_ray"]),
        unused=None if message["unused"] is None else str(message["unused"]),
        broken=bool(message["broken"]),
    )


class _VideoProcess:
    """Decoding process that reads one video, until it is ended or an error occurs."""

    def __init__(self, decoders: Decoders, child: _DecodingProcess, name: str) -> None:
        self._decoders = decoders
        self._child: _DecodingProcess | None = child
        self._name = name
        # Two threads may read frames, because one looks for shots ahead of the other.
        self._lock = threading.Lock()

    def ask(
        self, task: str, descriptors: Sequence[int] = (), **arguments: object
    ) -> tuple[Message, list[int]]:
        """Let the process do a task; return its reply and file descriptors.

        Raises:
            InputError: If the video cannot be decoded, or the process has ended.
            Refusal: If there is no reply in time.
            DecodeDefect: If rilievo has a defect.
        """
        if self._child is None:
            raise _decoder_failure(self._name)
        message = {
            "task": task,
            "name": self._name,
            "cpu_seconds": _FRAME_CPU_SECONDS,
            "extra_bytes": _VIDEO_BYTES,
            **arguments,
        }
        try:
            with self._lock:
                deadline = time.monotonic() + _FRAME_SECONDS
                return self._decoders.ask_process(self._child, message, [*descriptors], deadline)
        except BaseException:
            # The pool has ended the process or taken it back.
            self._child = None
            raise

    def end(self) -> None:
        """End the process, unless an error has already ended it."""
        child = self._child
        self._child = None
        if child is not None:
            self._decoders.end_process(child)


class IsolatedVideo(FrameSource):
    """Video that is decoded in a process of its own, as ``open_isolated_video`` opens it.

    It has the same attributes and frames as a video that ``open_video`` opens. Closing it ends the
    process.
    """

    has_alpha = False

    def __init__(self, path: Path, process: _VideoProcess, description: Message) -> None:
        """Read the attributes of ``FrameSource`` from the process's reply to the task "video"."""
        self.path = path
        self._process = process
        self.size = _checked_height_and_width(description["size"], sys.maxsize)
        self.frame_estimate = description["frame_estimate"]
        self.has_audio = bool(description["has_audio"])
        self.notes = _notes_from_reply(description)
        self.rate = Fraction(*description["rate"])
        self.time_base = Fraction(*description["time_base"])
        self.origin = Fraction(*description["origin"])
        self.fault = None

    def __iter__(self) -> Iterator[Frame]:
        iterator_index = self._start_iterator()
        while (frame := self._next_frame(iterator_index)) is not None:
            yield frame

    def close(self) -> None:
        """End the process that reads the video."""
        self._process.end()

    def _start_iterator(self) -> int:
        reply, descriptors = self._process.ask("frames")
        close_files(descriptors)
        return reply["number"]

    def _next_frame(self, iterator_index: int) -> Frame | None:
        """Next frame of an iterator; None at the end, and then ``fault`` says if it came early."""
        reply, descriptors = self._process.ask("next", number=iterator_index)
        try:
            if "fault" in reply:
                self.fault = reply["fault"]
                return None
            [pixels] = map_arrays(descriptors[0], ((*self.size, 3), np.uint8))
        finally:
            close_files(descriptors)
        photo = Photo(pixels=pixels, name=str(reply["name"]))
        return Frame(photo=photo, index=int(reply["index"]), ticks=int(reply["ticks"]))


def _video_from_description(
    path: Path, process: _VideoProcess, description: Message
) -> IsolatedVideo:
    """Make a video from the reply of a process, which a hostile file may have taken over.

    Raises:
        InputError: If an entry is missing or impossible.
    """
    try:
        return IsolatedVideo(path, process, description)
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError("cannot be decoded; convert it to MP4 again", path=path) from error


def open_isolated_video(decoders: Decoders, path: Path) -> IsolatedVideo:
    """Open a video in a process of its own, which the pool starts.

    If that fails, the process does not keep running for it.

    Raises:
        InputError: If it is no regular file, or cannot be decoded.
        Refusal: If there is no reply in time.
        DecodeDefect: If rilievo has a defect.
    """
    check_regular(path)
    process = _VideoProcess(decoders, decoders.take_process(), str(path))
    try:
        with path.open("rb") as file:  # the process may not open files itself
            description, descriptors = process.ask("video", [file.fileno()])
        close_files(descriptors)
        return _video_from_description(path, process, description)
    except BaseException:
        process.end()
        raise
