"""Decoding processes: what they may not do, and that every format is decoded without it."""

import errno
import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO

import pytest

from rilievo.errors import InputError
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import PHOTO_FORMATS
from rilievo.options.photo_options import Refine
from rilievo.serving.server.decoding import decoder_pool, syscall_filter
from rilievo.serving.server.decoding.decoder_pool import Decoders
from rilievo.serving.server.decoding.messages import (
    NamedImage,
    can_fork_and_pass_files,
    decoding_isolation,
)
from rilievo.serving.server.uploads import Upload
from support.photographs_with_depth import apple_heic, apple_jpeg, gdepth
from support.spatial_photographs import BASELINE, spatial_heic, view

pytestmark = pytest.mark.skipif(
    not can_fork_and_pass_files(), reason="threads decode on this system"
)
filtered = pytest.mark.skipif(not syscall_filter.is_available(), reason="no filter for this system")
PATIENCE = 60.0
_ATTEMPTS = """
import ctypes, errno, json, os, resource, signal, socket, threading
import rilievo.serving.server.decoding.decoder_process as child
from rilievo.errors import InputError

libc = ctypes.CDLL(None, use_errno=True)

def raw(*numbers):
    if libc.syscall(*map(ctypes.c_long, numbers)) < 0:
        raise OSError(ctypes.get_errno(), "")

def thread():
    work = threading.Thread(target=int)
    work.start()
    work.join()

ATTEMPTS = {
    "open": lambda: open(os.__file__).close(),
    "write": lambda: open("rilievo-filter", "w").close(),
    "list": lambda: os.listdir("/"),
    "stat": lambda: os.stat("/"),
    "unlink": lambda: os.unlink("rilievo-filter"),
    "socket": lambda: socket.socket().close(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "fork": lambda: os.fork() or os._exit(0),
    "program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "signal": lambda: os.kill(os.getppid(), 0),
    "signal by fcntl": lambda: __import__("fcntl").fcntl(0, 8, 1),
    "clone3": lambda: raw(435, 0, 0),
    "io_uring": lambda: raw(425, 1, 0),
    "ptrace": lambda: raw(101, 0, 0, 0, 0),
    "thread": thread,
    "limit": lambda: resource.getrlimit(resource.RLIMIT_AS),
}

def attempt(*_, **__):
    found = {}
    for name, work in ATTEMPTS.items():
        try:
            work()
            found[name] = 0
        except OSError as error:
            found[name] = error.errno
    raise InputError(json.dumps(found))

child.read_photo = attempt
"""


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[Decoders]:
    """Processes of a server of its own, with lines before its program."""
    before, end = decoder_pool._PROGRAM.split("from rilievo.serving.server")
    lines = f"exec({getattr(request, 'param', '')!r}); ".replace("{", "{{").replace("}", "}}")
    starter = decoder_pool._ForkServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_pool, "_PROGRAM", f"{before}{lines}from rilievo.serving.server{end}")
        patch.setattr(decoder_pool, "_fork_server", lambda: starter)
        processes = Decoders(max_pixels=6_000_000, idle=1)
        yield processes
        processes.close()
        starter.end()


def read(pool: Decoders, content: bytes) -> object:
    return pool.read_photo(
        Upload(BytesIO(content), name="photo"),
        own_depth=True,
        reading=Refine().reading,
        cpu_seconds=20,
        deadline=time.monotonic() + PATIENCE,
    )


@filtered
@pytest.mark.parametrize("pool", [_ATTEMPTS], indirect=True)
def test_files_sockets_and_processes_are_refused_inside(pool: Decoders) -> None:
    with pytest.raises(InputError) as refusal:
        read(pool, gdepth())
    numbers = json.loads(str(refusal.value))
    allowed = {name for name, number in numbers.items() if not number}
    assert allowed == {"thread", "limit"}, numbers
    assert numbers.pop("clone3") == errno.ENOSYS, "so that glibc starts threads by clone"
    assert {number for number in numbers.values() if number} == {errno.EPERM}


@pytest.mark.parametrize(
    "pool", ["import platform; platform.machine = lambda: 'riscv64'"], indirect=True
)
def test_a_system_without_a_filter_decodes_and_says_so(
    pool: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ("cannot open files" in decoding_isolation()) == syscall_filter.is_available()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "cannot filter" in decoding_isolation()
    assert read(pool, gdepth()) == read_photo(NamedImage(gdepth(), "photo"))


def _plain(name: str) -> Callable[[], bytes]:
    def write() -> bytes:
        from PIL import Image

        stream = BytesIO()
        Image.effect_noise((90, 60), 50).convert("RGB").save(stream, name)
        return stream.getvalue()

    return write


FORMATS: Mapping[str, Callable[[], bytes]] = {
    **{name: _plain(name) for name in ("JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "AVIF")},
    "PNM": _plain("PPM"),
    "HEIC": apple_heic,
    "HEIC of two views": lambda: spatial_heic((view(0.8), view(0.8, BASELINE))),
    "JPEG with depth (GDepth)": gdepth,
    "JPEG with depth (Apple)": apple_jpeg,
}


def test_the_formats_are_those_that_are_read() -> None:
    assert {kind.name for kind in PHOTO_FORMATS} <= set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_decoded_inside(pool: Decoders, name: str) -> None:
    if name.startswith("HEIC"):
        pytest.importorskip("pillow_heif")
    content = FORMATS[name]()
    assert read(pool, content) == read_photo(NamedImage(content, "photo"))


def outcome(program: list, machine: int, number: int, *arguments: int) -> int:
    """Run a program on a call, as the kernel does."""
    padded = [*arguments, *[0] * 6][:6]
    data = struct.pack("<IIQ6Q", number, machine, 0, *padded)
    word = at = 0
    while True:
        code, true, false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            [word] = struct.unpack_from("<I", data, operand)
            continue
        holds = {0x15: word == operand, 0x35: word >= operand, 0x45: bool(word & operand)}[code]
        at += true if holds else false


ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | 38


@pytest.mark.parametrize(
    ("name", "machine", "numbers"),
    [
        ("x86_64", 0xC000003E, {"read": 0, "openat": 257, "clone": 56, "clone3": 435, "fcntl": 72}),
        (
            "aarch64",
            0xC00000B7,
            {"read": 63, "openat": 56, "clone": 220, "clone3": 435, "fcntl": 25},
        ),
    ],
)
def test_the_program_of_each_machine(name: str, machine: int, numbers: Mapping[str, int]) -> None:
    program = [*syscall_filter.bpf_program(name, 77)]

    def ask(call: str, *arguments: int) -> int:
        return outcome(program, machine, numbers[call], *arguments)

    assert outcome(program, machine ^ 1, numbers["read"]) == KILL
    assert ask("read") == ALLOW
    assert ask("openat") == EPERM
    assert ask("clone3") == ENOSYS
    assert ask("clone", 0x3D0F00) == ALLOW, "a thread"
    assert ask("clone", 0x1200011) == EPERM, "a process"
    assert [ask("fcntl", 0, command) for command in (3, 8, 1030)] == [ALLOW, EPERM, ALLOW]
    assert outcome(program, machine, 0x40000000 | numbers["read"]) == EPERM
