"""Guards of names that Windows lacks: every use of one stands in code that does not run there."""

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli.predict import _is_address
from rilievo.errors import MissingFileError
from rilievo.io.files.limits import check_regular
from rilievo.io.photographs.photo import read_photo
from rilievo.training.video.frames import frame_store

SRC = Path(frame_store.__file__).parents[3]

POSIX: Mapping[str, str] = {
    "os": """
        pread preadv pwrite pwritev fork forkpty killpg getpgid getpgrp setpgid setsid getsid getuid
        geteuid getgid getegid getgroups setuid setgid chown fchown lchown fchmod lchmod chroot
        mkfifo mknod sync fdatasync statvfs fstatvfs uname nice getloadavg sysconf confstr pathconf
        fpathconf ttyname openpty wait wait3 wait4 waitid WNOHANG WIFEXITED WEXITSTATUS WIFSIGNALED
        WTERMSIG posix_spawn posix_fadvise posix_fallocate sched_getaffinity sched_setaffinity
        sched_yield sendfile copy_file_range splice memfd_create MFD_CLOEXEC MFD_ALLOW_SEALING
        eventfd getxattr setxattr O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK O_SYNC O_DSYNC
        O_TMPFILE O_PATH O_DIRECT O_NOCTTY register_at_fork fchdir fwalk pipe2 lockf pidfd_open
        rename
    """,
    "signal": """
        SIGKILL SIGALRM SIGHUP SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGQUIT SIGSTOP SIGCONT SIGTSTP
        SIGXCPU SIGXFSZ SIGBUS alarm setitimer getitimer pause sigwait pthread_kill pthread_sigmask
    """,
    "socket": "AF_UNIX send_fds recv_fds SO_REUSEPORT SCM_RIGHTS",
    "select": "poll epoll kqueue",
    "mmap": "MAP_SHARED MAP_PRIVATE PROT_READ PROT_WRITE",
    "time": "tzset clock_gettime",
    "shutil": "chown",
}
"""Names of modules that Windows lacks; os.rename fails there where the new name exists."""
MODULES = {
    "fcntl",
    "resource",
    "pwd",
    "grp",
    "termios",
    "tty",
    "pty",
    "readline",
    "curses",
    "syslog",
}
KEYWORDS = {"dir_fd", "src_dir_fd", "dst_dir_fd", "pass_fds", "preexec_fn", "start_new_session"}
METHODS = {"add_signal_handler", "symlink_to", "hardlink_to"}

_FORKS = "behind can_pass(), which says that Windows decodes in threads"
_LINUX = "below sys.platform == 'linux'"
_PRESENT = "behind hasattr"
_POSIX = "sys.platform == 'win32' goes another way"
GUARDED: Mapping[str, Mapping[str, str]] = {
    "system/signals.py": {"signal.pthread_kill": _POSIX, "signal.pthread_sigmask": _POSIX},
    "predicting/videos/stored_inferences.py": {"os.O_TMPFILE": _PRESENT},
    "predicting/videos/clip_resumption.py": {"src_dir_fd": _LINUX, "dst_dir_fd": _LINUX},
    "serving/listener/process.py": {"resource": _POSIX},
    "io/files/machine.py": {"os.sched_getaffinity": _PRESENT, "resource": _LINUX},
    "io/files/atomic.py": {"os.uname": _POSIX, "os.O_DIRECTORY": _POSIX},
    "io/files/commit.py": {"fcntl": _POSIX, "os.O_CLOEXEC": _POSIX},
    "io/videos/frame_source.py": {"os.pread": _FORKS},
    "data/datasets/scipy_mat_process.py": {"resource": _LINUX, "os.sysconf": _LINUX},
    "models/catalogue/download.py": {
        "symlink_to": "an OSError moves the file instead",
        "hardlink_to": "an OSError moves the file instead",
    },
    "serving/assistant/decoded_photographs.py": {"os.O_CLOEXEC": _FORKS},
    "serving/server/request_files.py": {"os.geteuid": _PRESENT},
    "serving/server/decoding/messages.py": {
        "os.memfd_create": _LINUX,
        "os.MFD_CLOEXEC": _LINUX,
        "os.MFD_ALLOW_SEALING": _LINUX,
        "fcntl": _LINUX,
        "os.pread": _FORKS,
        "socket.send_fds": _FORKS,
        "socket.recv_fds": _FORKS,
    },
    "serving/server/decoding/decoder_pool.py": {
        "signal.SIGXCPU": _POSIX,
        "pass_fds": _FORKS,
        "start_new_session": _FORKS,
    },
    "serving/server/decoding/decoder_process.py": {
        "resource": _LINUX,
        "os.sysconf": _LINUX,
        "select.poll": _FORKS,
        "os.fork": _FORKS,
        "os.WNOHANG": _FORKS,
        "signal.SIGKILL": _FORKS,
    },
}
"""Uses of such names by file, with the reason why they do not run on Windows."""


def uses_of(tree: ast.AST) -> Iterator[str]:
    lacks = {module: set(names.split()) for module, names in POSIX.items()}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in lacks.get(
                module, ()
            ):
                yield f"{module}.{name}"
            case ast.Attribute(attr=name) if name in METHODS:
                yield name
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in MODULES)
            case ast.ImportFrom(module=module, names=names):
                yield from [module] if module in MODULES else []
                yield from (
                    f"{module}.{each.name}"
                    for each in names
                    if each.name in lacks.get(module or "", ())
                )
            case ast.keyword(arg=name) if name in KEYWORDS:
                yield name


def test_every_use_of_what_windows_lacks_is_guarded() -> None:
    found = {
        path.relative_to(SRC).as_posix(): set(uses_of(ast.parse(path.read_text("utf-8"))))
        for path in SRC.rglob("*.py")
    }
    assert {path: used for path, used in found.items() if used} == {
        path: set(reasons) for path, reasons in GUARDED.items()
    }


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("import os\nos.pwrite(1, b'', 0)", ["os.pwrite"]),
        ("from os import fork", ["os.fork"]),
        ("from fcntl import flock", ["fcntl"]),
        ("import resource as r", ["resource"]),
        ("subprocess.Popen([], preexec_fn=f)", ["preexec_fn"]),
        ("Path('a').symlink_to('b')", ["symlink_to"]),
        ("os.replace('a', 'b'); os.getpid(); signal.SIGTERM", []),
    ],
)
def test_uses_are_found_in_any_form(source: str, used: list[str]) -> None:
    assert [*uses_of(ast.parse(source))] == used


@pytest.mark.slow
def test_files_opened_by_number_are_read_and_written_as_bytes() -> None:
    """Windows changes line ends of files that ``os.open`` opens without ``O_BINARY``."""
    written = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if {"os.open(", "os.write("} <= {*_calls(path.read_text("utf-8"))}
    }
    assert not written


def _calls(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield f"{ast.unparse(node.func)}("


def test_frames_of_footage_are_cached_without_calls_that_windows_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rilievo.data.clips.footage import VideoData
    from rilievo.data.clips.sources import list_sequences

    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (5, 48, 80, 3), np.uint8)
    (tmp_path / "clip").mkdir()
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(tmp_path / "clip" / f"{index}.png")
    for name in ("pwrite", "pread", "fdatasync", "sync", "O_NOFOLLOW", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)
    [sequence] = list_sequences(VideoData(roots=(str(tmp_path / "clip"),), fov=60.0))
    store = frame_store.open_store(sequence, (48, 80), tmp_path / "cache", wanted=[0, 3, 4])
    for index in (3, 0, 4):
        np.testing.assert_array_equal(store.frame(index), frames[index])
    again = frame_store.open_store(sequence, (48, 80), tmp_path / "cache")
    np.testing.assert_array_equal(again.frame(1), frames[1])


def test_a_drive_of_windows_is_no_address() -> None:
    for name in ("C:/photos/no.jpg", "d:/no.jpg"):
        with pytest.raises(MissingFileError, match="no such file"):
            check_regular(name)
    for name in ("s3:/bucket/no.jpg", "gs://bucket/no.jpg"):
        with pytest.raises(MissingFileError, match="is a URL, not a file"):
            read_photo(Path(name))


@pytest.mark.parametrize(
    ("inputs", "output", "is_elsewhere"),
    [
        (("C:/photos",), "D:/out", False),
        (("s3://bucket/a.jpg",), "out", True),
        (("a.jpg",), "gs:/bucket", True),
        (("https://host/a.jpg",), "out", True),
    ],
)
def test_the_command_takes_a_drive_for_a_folder(
    inputs: tuple[str, ...], output: str, is_elsewhere: bool
) -> None:
    assert any(map(_is_address, (*inputs, output))) is is_elsewhere
