"""Text for people keeps to the width of a terminal, at words; files and pipes get whole lines."""

import atexit
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp

import pytest
from PIL import Image

from rilievo.cli import COMMANDS
from rilievo.cli.streams import print_to_stderr

ALL_IN_ONE = """
import os, shlex, sys
from rilievo.cli import run

for line in open("lines", encoding="utf-8").read().splitlines():
    print("$$", line, flush=True)
    sys.argv = ["rilievo", *shlex.split(line)]
    try:
        run()
    except SystemExit:
        pass
    sys.stdout.flush()
"""
FOLDERS = mkdtemp()
atexit.register(shutil.rmtree, FOLDERS)
STYLE = re.compile("\x1b\\[[0-9]*m")
SECONDS = re.compile(r"in\s+[\d.]+\s+s\b")
# Words that are no words of a language stay whole: addresses, paths, names, lists of choices.
LONG = re.compile(r"[/|=.,_-]|\d")
LINES = (
    "--help",
    *(f"{name} --help" for name in COMMANDS),
    "predict --help --all",
    "evaluate --help --all",
    "models fetch --help",
    "models path --help",
    *(f"train {kind} --help" for kind in ("probe", "video", "supervised")),
    "models",
    "models --all",
    "models rilievo/base",
    "models moge-2/small",
    "models depth-pro",
    "datasets",
    "datasets nyuv2",
    "datasets kitti",
    "benchmarks",
    "benchmarks kitti-eigen",
    "benchmarks marigold",
    "example",
    "train",
    # Errors.
    "predikt",
    "--verison",
    "predict photo.jpg --save depht",
    "predict photo.jpg --save everything-there-is",
    "predict missing.jpg",
    "predict photo.jpg --fov wide",
    "predict photo.jpg --confidence mirrr",
    "predict photo.jpg --colour-map turb",
    "predict photo.jpg --colour-map nothing-like-that",
    "predict photo.jpg --known 1,2",
    "measure photo.jpg 1,2",
    "models zipdept",
    "models nothing-like-that",
    "datasets nothing-like-that",
    "benchmarks nothing-like-that",
    "evaluate -b nothing-like-that --root . -o out",
    "export nothing-like-that -o x.onnx",
    "surface photo.jpg --depth photo.jpg",
    "completion bsh",
    # Notes and summaries.
    "predict photo.jpg -m rilievo/small -o out",
    "predict photo.jpg -m rilievo/small -o out",
    "predict photo.jpg -m rilievo/small -o out --flip",
    "measure photo.jpg 20,30 50,40 --known 32,24,2.35 -m rilievo/small",
    "verify out",
)


def folder() -> Path:
    """New folder with a photograph and the lines."""
    folder = Path(mkdtemp(dir=FOLDERS))
    photo = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    photo.save(folder / "photo.jpg")
    (folder / "lines").write_text("\n".join(LINES), encoding="utf-8")
    return folder


def settings(columns: int) -> Mapping[str, str]:
    left = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**left, "COLUMNS": str(columns), "TERM": "xterm", "RILIEVO_CACHE": mkdtemp(dir=FOLDERS)}


@cache
def shown(columns: int) -> str:
    """Everything that a terminal of some columns shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-c", ALL_IN_ONE],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=folder(),
        env=settings(columns),
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    except OSError:  # the child has closed its end
        pass
    os.close(ours)
    assert child.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


@cache
def piped(columns: int) -> str:
    """Everything that the same lines write into a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_IN_ONE],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder(),
        env=settings(columns),
    )
    assert done.returncode == 0
    return done.stdout.decode()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def dim_text(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


def words(text: str) -> list[str]:
    return [word for part in re.split(r"[\s|]+", text) if (word := part.rstrip(";")).strip("-\\")]


def test_there_are_sixty_lines() -> None:
    assert len(LINES) >= 60


@pytest.mark.parametrize(
    "columns", [60, *(pytest.param(each, marks=pytest.mark.slow) for each in (80, 120))]
)
def test_no_line_is_longer_than_the_terminal(columns: int) -> None:
    long = [line for line in STYLE.sub("", shown(columns)).split("\n") if len(line) > columns]
    long = [line for line in long if not line.startswith("$$")]
    assert [line for line in long if not LONG.search(max(line.split(), key=len))] == []
    # What is too long is one word alone, but for its indent or its sign.
    assert [line for line in long if len(line.split()) > 3] == []


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_word_is_broken(columns: int) -> None:
    """A pipe has whole lines; help alone is wrapped there too."""
    whole = set(words(SECONDS.sub("", piped(120))))
    here = set(words(SECONDS.sub("", STYLE.sub("", shown(columns)))))
    assert sorted(here - whole) == []


@pytest.mark.slow
def test_a_pipe_gets_a_line_for_each_message() -> None:
    lines = piped(60).split("\n")
    starts = [line for line in lines if line.startswith("rilievo: ")]
    assert len(starts) >= 18
    assert any(len(line) > 60 for line in starts)
    assert "\x1b" not in piped(60)


def test_names_are_bold_and_hints_dim() -> None:
    text = shown(80)
    assert "\n  \x1b[1mpredict\x1b[0m     predict depth" in text
    assert "no option --verison;\x1b[2m did you mean '--version'?\x1b[0m\n" in text


@pytest.mark.parametrize(
    ("message", "shown_message"),
    [
        pytest.param("no such file", "no such file", id="no hint"),
        pytest.param("no file; look", f"no file;{dim_text(' look')}", id="hint"),
        pytest.param("a; b; look", f"a; b;{dim_text(' look')}", id="last semicolon"),
        pytest.param("no file a;b.jpg", "no file a;b.jpg", id="semicolon in a name"),
        pytest.param("no a; look\nno b", f"no a;{dim_text(' look')}\nno b", id="two messages"),
        pytest.param("tip: look", dim_text("tip: look"), id="tip"),
    ],
)
def test_only_the_hint_of_a_message_is_faint(
    message: str, shown_message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_to_stderr(message)
    assert terminal.getvalue() == f"{shown_message}\n"
