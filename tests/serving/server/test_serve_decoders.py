"""Decoding in processes: same photographs, limits of time and memory, crashes, nothing left."""

import contextlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.photographs.photo import read_photo
from rilievo.io.videos.video import VideoReader
from rilievo.options.photo_options import Refine
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.decoding import decoder_pool
from rilievo.serving.server.decoding.decoder_pool import Decoders, photo_from_message
from rilievo.serving.server.decoding.decoder_process import photo_message
from rilievo.serving.server.decoding.messages import (
    NamedImage,
    anonymous_file,
    can_fork_and_pass_files,
    close_files,
    map_arrays,
)
from rilievo.serving.server.uploads import Upload
from support.clips import write_clip
from support.photographs_with_depth import apple_jpeg, gdepth
from support.scan_bombs import scan_bomb
from support.served import picture, served

pytestmark = pytest.mark.skipif(
    not can_fork_and_pass_files(), reason="threads decode on this system"
)
PATIENCE = 60.0
MOST = 6_000_000


CHANGES = (
    "import rilievo.io.photographs.jpeg_scans as scans; scans.MAX_SCANS = 10**9; "
    "import rilievo.serving.server.decoding.decoder_process as child; child._IDLE_SECONDS = 3; "
)
"""A line before the program of the process that forks: scans do not count, and it is idle early."""


@pytest.fixture(scope="module")
def starter() -> Iterator[decoder_pool._ForkServer]:
    """The process that forks, which imports for half a second; its forks are each test's own."""
    starter = decoder_pool._ForkServer()
    yield starter
    starter.end()


@pytest.fixture
def pool(starter: decoder_pool._ForkServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    """Processes of a server of its own, which does not count scans, and is idle early."""
    before, end = decoder_pool._PROGRAM.split("from rilievo.serving.server", 1)
    program = f"{before}{CHANGES}from rilievo.serving.server{end}"
    monkeypatch.setattr(decoder_pool, "_PROGRAM", program)
    monkeypatch.setattr(decoder_pool, "_fork_server", lambda: starter)
    decoders = Decoders(max_pixels=MOST, idle=1)
    yield decoders
    decoders.close()


def read(
    pool: Decoders,
    content: bytes,
    *,
    seconds: float = PATIENCE,
    cpu_seconds: int = 20,
) -> Photo:
    upload = Upload(BytesIO(content), name="photo")
    return pool.read_photo(
        upload,
        own_depth=True,
        reading=Refine().reading,
        cpu_seconds=cpu_seconds,
        deadline=time.monotonic() + seconds,
    )


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (60, 90, 4), np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0xA405] = 35
    return encoded("JPEG", exif=exif)


@pytest.mark.parametrize(
    "write",
    [turned, gdepth, apple_jpeg, lambda: encoded("PNG", "LA"), lambda: encoded("TIFF", "CMYK")],
    ids=["turned", "GDepth", "Apple", "alpha", "CMYK"],
)
def test_photographs_are_those_that_a_thread_reads(
    pool: Decoders, write: Callable[[], bytes]
) -> None:
    content = write()
    assert read(pool, content) == read_photo(NamedImage(content, "photo"))
    assert pool.image_size(
        Upload(BytesIO(content), name="photo"), deadline=time.monotonic() + PATIENCE
    ) in (
        read_photo(content).shape,
        read_photo(content).shape[::-1],
    )


def test_a_refusal_is_the_same_line(pool: Decoders) -> None:
    for content in (b"%PDF-1.7", encoded("PNG")[:500], picture(size=(20, 20)), b"\0" * 99):
        with pytest.raises(InputError) as expected:
            read_photo(NamedImage(content, "photo"))
        with pytest.raises(InputError) as found:
            read(pool, content)
        assert str(found.value) == str(expected.value)
    assert len(pool.idle_pids) == 1, "the process goes on"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of CPU time are Linux's")
def test_a_file_that_takes_too_much_time_is_refused_and_the_next_one_read(pool: Decoders) -> None:
    bomb = scan_bomb(60_000, (2000, 1990))
    with pytest.raises(InputError, match="photo: takes more than 0 s to decode; export it again"):
        read(pool, bomb, cpu_seconds=0)
    assert read(pool, picture()).shape == (64, 96)


def test_a_process_is_killed_at_the_deadline(pool: Decoders) -> None:
    bomb = scan_bomb(60_000, (2000, 1990))
    pool.start_idle_processes()
    [at_work] = pool.idle_pids
    with pytest.raises(Refusal, match="not decoded in time"):
        read(pool, bomb, seconds=0.2)
    assert not is_there(at_work)
    assert read(pool, picture()).shape == (64, 96)


def is_there(number: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_file_that_takes_too_much_memory_is_refused(
    pool: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "_BASE_BYTES", 0)
    monkeypatch.setattr(decoder_pool, "_BYTES_PER_PIXEL", 1)
    with pytest.raises(InputError, match=r"memory|cannot be decoded"):
        read(pool, picture(90, (2400, 2400)))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_process_knows_no_secrets(pool: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RILIEVO_SERVE_TOKEN", "a-secret-of-the-server")
    decoder_pool._fork_server().end()  # so that it is started with the secret around it
    with (Path(__file__).parent / "conftest.py").open("rb"):  # open in the server
        pool.start_idle_processes()
        [number] = pool.idle_pids
        assert b"a-secret" not in Path(f"/proc/{number}/environ").read_bytes()
        # A process that has only just started still imports, with a module's file open.
        deadline = time.monotonic() + 20
        while (opened := opened_but_sockets(number)) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not opened
    assert len(list(Path(f"/proc/{number}/task").iterdir())) == 1


def opened_but_sockets(number: int) -> list[str]:
    """Names of the files that a process has open, but for sockets and its own memory's state."""
    found = []
    for each in Path(f"/proc/{number}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.append(os.readlink(each))
    usual = ("/dev/null", f"/proc/{number}/statm")
    return [name for name in found if name not in usual and not name.startswith("socket:")]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_nothing_is_left_open(pool: Decoders) -> None:
    read(pool, gdepth())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        read(pool, gdepth())
        with pytest.raises(InputError):
            read(pool, b"%PDF-1.7")
    with pytest.raises(Refusal):
        read(pool, scan_bomb(60_000, (2000, 1990)), seconds=0.1)
    read(pool, gdepth())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is held as glibc is told to")
def test_memory_of_a_photograph_serves_for_the_next_and_goes_back_when_idle(
    pool: Decoders,
) -> None:
    content = picture(90, (1600, 1200))
    for _ in range(3):
        read(pool, content)
    [number] = pool.idle_pids
    before, resident = page_faults(number), resident_bytes(number)
    read(pool, content)
    assert pool.idle_pids == [number]
    assert (page_faults(number) - before) * os.sysconf("SC_PAGE_SIZE") < 1_000_000
    deadline = time.monotonic() + PATIENCE
    while resident - resident_bytes(number) < 4_000_000:
        assert time.monotonic() < deadline, "a process at rest holds its memory"
        time.sleep(0.1)
    assert read(pool, content).shape == (1200, 1600)


def page_faults(number: int) -> int:
    """Times that a process touched memory which it did not have yet."""
    return int(Path(f"/proc/{number}/stat").read_text("ascii").rpartition(") ")[2].split()[7])


def resident_bytes(number: int) -> int:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{number}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_the_processes_end_when_the_one_that_starts_them_ends(pool: Decoders) -> None:
    pool.start_idle_processes()
    [number] = pool.idle_pids
    decoder_pool._fork_server().end()
    assert not is_there(number)
    assert read(pool, picture()).shape == (64, 96), "and are started anew"


def test_what_a_process_says_is_checked() -> None:
    photo = read_photo(gdepth())
    facts = photo_message(photo)
    assert photo.own_depth is not None
    metres = photo.own_depth.metres
    assert metres is not None
    file = anonymous_file(metres, photo.pixels)
    assert photo_from_message(facts, [file], MOST) == photo
    for wrong in (
        {"shape": (9000, 9000, 3)},
        {"shape": (-1, 5, 3)},
        {"shape": ("a", 5, 3)},
        {"own_depth": {"shape": (1, 1)}},
        {"camera": {"K": [[1]], "source": "given"}},
    ):
        with pytest.raises((ValueError, LookupError, TypeError)):
            photo_from_message({**facts, **wrong}, [file], MOST)
    if sys.platform == "linux":
        with pytest.raises(PermissionError):
            os.ftruncate(file, 1)
    with pytest.raises(ValueError, match="announced size"):
        map_arrays(file, ((5,), np.uint8))
    close_files([file])
    with open(__file__, "rb") as other, pytest.raises(ValueError, match="the file"):
        map_arrays(other.fileno(), ((5,), np.uint8))


def wait_for_the_end_of(numbers: list[int]) -> None:
    """Wait until killed processes have ended, which takes them some time after the signal."""
    until = time.monotonic() + 30
    while any(_runs(number) for number in numbers):
        assert time.monotonic() < until
        time.sleep(0.01)


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text("ascii", "replace").rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def test_a_crash_is_one_refusal(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        pool = server.service.decoders
        pool.start_idle_processes()
        for number in pool.idle_pids:
            os.kill(number, signal.SIGSTOP)

        def crash() -> None:
            for number in list(at_work):
                os.kill(number, signal.SIGSEGV)
                os.kill(number, signal.SIGCONT)

        at_work = pool.idle_pids
        crashing = threading.Timer(0.2, crash)
        crashing.start()
        answer = server.client.post("/v1/predict", content=picture())
        assert answer.status_code == 422
        assert "cannot be decoded" in answer.json()["error"]
        crashing.join()
        wait_for_the_end_of(at_work)
        for _ in range(3):
            assert server.client.post("/v1/predict", content=picture()).status_code == 200


def test_frames_of_a_video_are_those_that_a_thread_reads(pool: Decoders, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    here, there = VideoReader(path), pool.open_video(path)
    try:
        for name in ("size", "rate", "time_base", "origin", "frame_estimate", "notes"):
            assert getattr(there, name) == getattr(here, name)
        for _ in range(2):
            frames = list(there)
            assert len(frames) > 1
            assert frames == list(here)
        assert there.fault == here.fault
    finally:
        there.close()
        there.close()


@pytest.mark.parametrize(
    "description",
    [
        {"size": (0, 0)},
        {"size": (2, 2)},
        {
            "size": (2, 2),
            "frame_estimate": 1,
            "has_audio": False,
            "notes": [],
            "rate": (1, 0),
            "time_base": (1, 1),
            "origin": (0, 1),
        },
    ],
)
def test_a_video_whose_description_makes_no_sense_is_refused_and_leaves_no_process(
    pool: Decoders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    description: dict[str, object],
) -> None:
    taken = pool.take_process()
    monkeypatch.setattr(pool, "take_process", lambda: taken)
    monkeypatch.setattr(pool, "ask_process", lambda *_: (description, []))
    with pytest.raises(InputError, match=r"clip\.mp4: cannot be decoded; convert it to MP4 again"):
        pool.open_video(write_clip(tmp_path / "clip.mp4"))
    wait_for_the_end_of([taken.pid])


def test_a_file_that_is_no_video_is_refused(pool: Decoders, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of a video")
    with pytest.raises(InputError, match="not a readable video"):
        pool.open_video(tmp_path / "a.mp4")
