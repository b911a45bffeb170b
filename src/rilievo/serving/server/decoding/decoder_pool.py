"""Decoding of strangers' files in processes that can be killed; a crash is a refusal.

On Windows threads decode, and the header alone limits a photograph.
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
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rilievo.errors import InputError
from rilievo.errors.messages import Note, text_from_json
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.files.limits import check_regular
from rilievo.io.photographs.decode import header_size
from rilievo.io.photographs.photo import read_photo
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
"""Memory for a pixel: 16 bits, four channels, coefficients, copies."""
_SPARE_BYTES = 512 * 2**20
_VIDEO_BYTES = 4 * 2**30
_START_SECONDS = 60.0
_HEADER_CPU_SECONDS = 2
_FRAME_CPU_SECONDS = 20
_FRAME_SECONDS = 60.0
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from rilievo.serving.server.decoding.decoder_process import main; main({file})"
)
_PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
"""Environment of decoding; other variables may be secrets."""
_SETTINGS = {
    # One thread, as it forks.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Memory of a photograph serves for the next one; taken anew, it costs a page fault each 4 kB,
    # a third of the time of decoding. 32 MB is the most that glibc takes.
    "GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={2**25}:glibc.malloc.trim_threshold={2**27}",
}


@runtime_checkable
class ImageFile(Protocol):
    """File of a photograph."""

    @property
    def name(self) -> str:
        """Name in messages."""

    def read(self) -> bytes:
        """Content of the file."""

    def open_descriptor(self) -> int:
        """Open file with the content; it must be closed."""


class DecodeDefect(RuntimeError):
    """Our defect in a decoding process."""


@dataclass(eq=False, slots=True)
class _DecodingProcess:
    pid: int
    channel: socket.socket

    def is_alive(self) -> bool:
        """Whether it still waits for work."""
        try:
            self.channel.settimeout(0)
            return bool(self.channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False


class _ForkServer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._channel_after_start()

    def fork(self) -> _DecodingProcess:
        reply, files = self._ask_with_one_restart({"do": "fork"})
        return _DecodingProcess(reply["pid"], socket.socket(fileno=files[0]))

    def kill(self, child: _DecodingProcess) -> int:
        """End a process; returns its exit status, negative for a signal."""
        child.channel.close()
        return self._ask_with_one_restart({"do": "kill", "pid": child.pid})[0]["status"]

    def end(self) -> None:
        """End it with all its forks."""
        channel, process = self._channel, self._process
        self._channel = self._process = None
        if channel is not None and process is not None:
            channel.close()
            process.wait()

    def _ask_with_one_restart(self, message: Message) -> tuple[Message, list[int]]:
        with self._lock:
            for _ in range(2):
                channel = self._channel_after_start()
                try:
                    send_message(channel, message)
                    answer = receive_message(channel)
                except (OSError, ValueError):
                    answer = None
                if answer is not None:
                    return answer
                self.end()
        raise DecodeDefect("the decoding process cannot be started")

    def _channel_after_start(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair()
            ours.settimeout(_START_SECONDS)
            with theirs:
                path = [place or os.getcwd() for place in sys.path]
                program = _PROGRAM.format(path=path, file=theirs.fileno())
                environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-c", program],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    # What decoders print would be in the hands of those who send files.
                    stderr=subprocess.DEVNULL,
                    env={**environment, **_SETTINGS},
                    start_new_session=True,  # Ctrl-C is the server's
                )
            self._channel = ours
        return self._channel


def start_fork_server() -> None:
    """Start the process, if this system can."""
    if can_fork_and_pass_files():
        _fork_server().start()


@cache
def _fork_server() -> _ForkServer:
    starter = _ForkServer()
    atexit.register(starter.end)
    return starter


class Decoders:
    """Decoding processes of a server."""

    def __init__(self, *, max_pixels: int, idle: int) -> None:
        """Begin without a process; ``idle`` ones wait for work later."""
        self._max_pixels, self._most_idle = max_pixels, idle
        self._idle: list[_DecodingProcess] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def warm(self) -> None:
        """Start the processes that wait for work."""
        if can_fork_and_pass_files():
            for child in [_fork_server().fork() for _ in range(self._most_idle)]:
                self._keep_idle_or_kill(child)

    def close(self) -> None:
        """End waiting processes; others end after their work."""
        self._is_closed = True
        while (child := self._pop_idle_process()) is not None:
            _fork_server().kill(child)

    @staticmethod
    def abandon() -> None:
        """End all processes."""
        if can_fork_and_pass_files():
            _fork_server().end()

    @property
    def idle_pids(self) -> list[int]:
        """Ids of waiting processes."""
        return [child.pid for child in self._idle]

    def image_size(self, upload: ImageFile, *, deadline: float) -> tuple[int, int]:
        """Size (height, width) in a photograph's header, before a time of ``time.monotonic``.

        Raises:
            InputError: If it is not a photograph, or takes too long or too much memory.
        """
        if not can_fork_and_pass_files():
            return header_size(BytesIO(upload.read()), upload.name, max_pixels=self._max_pixels)
        reply, files = self._ask_about_file("size", upload, _HEADER_CPU_SECONDS, deadline)
        close_files(files)
        height, width = map(int, reply["size"])
        return height, width

    def photo(
        self,
        upload: ImageFile,
        *,
        own_depth: bool,
        reading: ReadingArguments,
        cpu_seconds: int,
        deadline: float,
    ) -> Photo:
        """Read a photograph as ``read_photo`` does.

        Args:
            upload: Photograph.
            own_depth: Whether to read the file's depth map.
            reading: Further arguments of ``read_photo``.
            cpu_seconds: CPU time that it may take.
            deadline: Time of ``time.monotonic`` at which a process is killed.

        Raises:
            InputError: If it cannot be read, or takes too long or too much memory.
        """
        if not can_fork_and_pass_files():
            return read_photo(
                NamedImage(upload.read(), upload.name),
                max_pixels=self._max_pixels,
                own_depth=own_depth,
                **reading,
            )
        reply, files = self._ask_about_file(
            "photo", upload, cpu_seconds, deadline, own_depth=own_depth, reading=reading
        )
        try:
            return photo_from_message(reply, files, self._max_pixels)
        except (LookupError, TypeError, ValueError) as error:
            raise _decoder_failure(upload.name) from error
        finally:
            close_files(files)

    def video(self, path: Path) -> FrameSource:
        """Open a video in its own process."""
        return ForeignVideo(self, path) if can_fork_and_pass_files() else open_video(path)

    def _ask_about_file(
        self, do: str, upload: ImageFile, cpu_seconds: int, deadline: float, **more: object
    ) -> tuple[Message, list[int]]:
        order = {
            "do": do,
            "name": upload.name,
            "max_pixels": self._max_pixels,
            "cpu_seconds": cpu_seconds,
            "bytes": self._max_pixels * _BYTES_PER_PIXEL + _SPARE_BYTES,
            **more,
        }
        file = upload.open_descriptor()
        try:
            child = self.take_process()
            reply = self.ask_process(child, order, [file], deadline)
        finally:
            os.close(file)
        self._keep_idle_or_kill(child)
        return reply

    def take_process(self) -> _DecodingProcess:
        """Waiting process, or a new one."""
        while (child := self._pop_idle_process()) is not None:
            if child.is_alive():
                return child
            self.end_process(child)
        return _fork_server().fork()

    def end_process(self, child: _DecodingProcess) -> int:
        """End a process; returns its exit status."""
        return _fork_server().kill(child)

    def ask_process(
        self, child: _DecodingProcess, message: Message, files: list[int], deadline: float
    ) -> tuple[Message, list[int]]:
        """Answer of a process and its files; one that fails is ended."""
        name = str(message["name"])
        try:
            child.channel.settimeout(max(0.001, deadline - time.monotonic()))
            send_message(child.channel, message, files)
            answer = receive_message(child.channel)
        except TimeoutError:
            self.end_process(child)
            raise Refusal(
                503, f"{name}: not decoded in time: the server is busy", {"Retry-After": "10"}
            ) from None
        except (OSError, ValueError):
            answer = None
        if answer is None:
            status = self.end_process(child)
            raise (
                _slow_decoding_error(name, message["cpu_seconds"])
                if _exceeded_cpu_time(status)
                else _decoder_failure(name)
            )
        reply, _ = answer
        if "error" in reply:
            self._keep_idle_or_kill(child)
            raise _error_of_reply(reply, name)
        if "defect" in reply:
            self._keep_idle_or_kill(child)
            raise DecodeDefect(reply["defect"])
        return answer

    def _pop_idle_process(self) -> _DecodingProcess | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep_idle_or_kill(self, child: _DecodingProcess) -> None:
        with self._lock:
            if len(self._idle) < self._most_idle and not self._is_closed:
                self._idle.append(child)
                return
        _fork_server().kill(child)


def _exceeded_cpu_time(status: int) -> bool:
    return sys.platform != "win32" and status == -signal.SIGXCPU


def _error_of_reply(reply: Message, name: str) -> InputError:
    try:
        return InputError(path=str(reply["path"]), problem=text_from_json(reply["error"]))
    except (LookupError, TypeError, ValueError):
        return _decoder_failure(name)


def _notes_of_reply(reply: Message) -> tuple[Note, ...]:
    return tuple(Note(text_from_json(note)) for note in reply["notes"])


def _slow_decoding_error(name: str, seconds: int) -> InputError:
    return InputError(
        f"takes more than {seconds} s to decode; export it anew as JPEG or PNG", path=name
    )


def _decoder_failure(name: str) -> InputError:
    return InputError("the decoder fails at it; export it anew as JPEG or PNG", path=name)


def photo_from_message(message: Message, files: list[int], max_pixels: int) -> Photo:
    """Photograph from the facts of a process.

    Raises:
        LookupError: If a fact is missing. TypeError, ValueError: If one cannot be.
    """
    own, camera = message["own_depth"], message["camera"]
    height, width = _checked_height_and_width(message["shape"][:2], max_pixels)
    forms: list[Any] = [((height, width, 3), np.uint8)]
    if own is not None and own["shape"] is not None:
        forms.insert(0, (_checked_height_and_width(own["shape"], max_pixels), np.float32))
    if message["is_transparent"]:
        forms.append(((height, width), np.bool_))
    arrays = map_arrays(files[0], *forms)
    transparent = arrays.pop() if message["is_transparent"] else None
    *metres, pixels = arrays
    return Photo(
        pixels=pixels,
        transparent=transparent,
        notes=_notes_of_reply(message),
        camera=None if camera is None else _camera_from_message(camera),
        own_depth=None
        if own is None
        else _own_depth_from_message(own, metres[0] if metres else None),
        name=str(message["name"]),
        orientation=int(message["orientation"]),
    )


def _checked_height_and_width(numbers: Sequence[int], max_pixels: int) -> tuple[int, int]:
    height, width = map(int, numbers)
    if not (height > 0 and width > 0 and height * width <= max_pixels):
        raise ValueError(f"a size of {width}x{height}")
    return height, width


def _camera_from_message(message: Message) -> Camera:
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


class ForeignVideo(FrameSource):
    """Video that another process decodes."""

    has_alpha = False

    def __init__(self, decoders: Decoders, path: Path) -> None:
        check_regular(path)
        self.path, self.fault = path, None
        self._decoders = decoders
        self._child: _DecodingProcess | None = decoders.take_process()
        # Shots are read ahead, by a copy, while another thread reads on.
        self._asking = threading.Lock()
        facts = self._open_in_process()
        self.size = _checked_height_and_width(facts["size"], sys.maxsize)
        self.frame_estimate = facts["frame_estimate"]
        self.has_audio, self.notes = (
            bool(facts["has_audio"]),
            _notes_of_reply(facts),
        )
        self.rate, self.time_base, self.origin = (
            Fraction(*facts[name]) for name in ("rate", "time_base", "origin")
        )

    def __iter__(self) -> Iterator[Frame]:
        number = self._ask_for_facts("frames")["number"]
        while (frame := self._next_frame(number)) is not None:
            yield frame

    def close(self) -> None:
        """End its process."""
        child, self._child = self._child, None
        if child is not None:
            self._decoders.end_process(child)

    def _open_in_process(self) -> Message:
        with self.path.open("rb") as file:  # as the process may not
            facts, files = self._ask_for_facts_and_files("video", [file.fileno()])
        close_files(files)
        return facts

    def _next_frame(self, number: int) -> Frame | None:
        reply, files = self._ask_for_facts_and_files("next", number=number)
        try:
            if "fault" in reply:
                self.fault = reply["fault"]
                return None
            [pixels] = map_arrays(files[0], ((*self.size, 3), np.uint8))
        finally:
            close_files(files)
        photo = Photo(pixels=pixels, name=str(reply["name"]))
        return Frame(photo=photo, index=int(reply["index"]), ticks=int(reply["ticks"]))

    def _ask_for_facts(self, do: str, **more: object) -> Message:
        facts, files = self._ask_for_facts_and_files(do, (), **more)
        close_files(files)
        return facts

    def _ask_for_facts_and_files(
        self, do: str, files: Sequence[int] = (), **more: object
    ) -> tuple[Message, list[int]]:
        if self._child is None:
            raise _decoder_failure(str(self.path))
        order = {
            "do": do,
            "name": str(self.path),
            "cpu_seconds": _FRAME_CPU_SECONDS,
            "bytes": _VIDEO_BYTES,
            **more,
        }
        try:
            with self._asking:
                deadline = time.monotonic() + _FRAME_SECONDS
                return self._decoders.ask_process(self._child, order, [*files], deadline)
        except BaseException:
            # It was ended, or serves others again.
            self._child = None
            raise
