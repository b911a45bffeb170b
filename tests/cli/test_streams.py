"""The program among closed, full and abandoned streams, and stopped while it loads."""

import shlex
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.cli.streams import format_table, printing
from rilievo.system.terminal import wrap_for_terminal
from support.interruptible import start_process

PROGRAM = f"{shlex.quote(sys.executable)} -m rilievo"
TALKING = ["--help", "--version", "models", "models rilievo/small", "predict --help"]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("arguments", TALKING)
def test_a_reader_that_leaves_ends_the_program_without_a_word(
    tmp_path: Path, arguments: str
) -> None:
    done = shell(f"{PROGRAM} {arguments} | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # 0 where it wrote all before the reader left


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", TALKING)
def test_a_standard_output_that_is_full_is_one_line_and_code_2(
    tmp_path: Path, arguments: str
) -> None:
    done = shell(f"{PROGRAM} {arguments} > /dev/full", tmp_path)
    words = "rilievo: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, words)


@pytest.mark.parametrize("arguments", TALKING)
def test_a_closed_standard_output_is_no_error(tmp_path: Path, arguments: str) -> None:
    done = shell(f"{PROGRAM} {arguments} >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["2>&-", "2>&- >&-", "2>/dev/full"])
def test_a_run_whose_standard_error_is_lost_does_its_work(tmp_path: Path, where: str) -> None:
    for name in "ab":
        Image.new("RGB", (64, 48), (9, 9, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no photograph")
    done = shell(f"{PROGRAM} predict . -o out {where}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert sorted(path.name for path in tmp_path.glob("out/*.json")) == ["a.json", "b.json"]


class Wrapping:
    """Python 3.11 turns what is raised here into a ``RuntimeError`` with a cause."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_loads_it_says_one_line_and_ends_with_130(
    tmp_path: Path, kill: signal.Signals
) -> None:
    # A module that takes long to load stands for those that take 0.3 s together.
    # It leaves no file to a finaliser, in which Python would ignore what a signal raises.
    text = "import os, time\nos.close(os.open('loading', os.O_CREAT))\ntime.sleep(60)\n"
    (tmp_path / "numpy.py").write_text(text)
    command = [sys.executable, "-W", "ignore", "-m", "rilievo", "predict", "a.png"]
    process = start_process(command, tmp_path)
    deadline = time.monotonic() + 30
    while not (tmp_path / "loading").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(kill)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "rilievo: stopped\n")


@pytest.mark.parametrize("in_a_class", [False, True])
def test_an_interruption_anywhere_ends_a_command_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], in_a_class: bool
) -> None:
    def interrupted(module: str) -> None:
        if in_a_class:
            type("Loading", (), {"attribute": Wrapping()})
        raise KeyboardInterrupt

    monkeypatch.setattr("rilievo.cli.import_module", interrupted)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "rilievo: stopped\n"


def test_an_error_of_a_library_is_not_taken_for_one_of_standard_output() -> None:
    """Pillow raises an ``OSError`` without a number for a file that it cannot read."""
    with pytest.raises(OSError, match="broken data stream"), printing():
        raise OSError("broken data stream")


class Terminal(StringIO):
    """A terminal in memory; COLUMNS is its width."""

    def isatty(self) -> bool:
        return True


ROWS = (("a/name", "12 MB", "what it gives, in words"), ("other", "3 MB", ""))
HEADER = ("name", "size", "gives")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (
            40,
            "name    size   gives\n"
            "------  -----  -----------------------\n"
            "a/name  12 MB  what it gives, in words\n"
            "other   3 MB",
        ),
        (
            30,
            "name    size   gives\n"
            "------  -----  ---------------\n"
            "a/name  12 MB  what it gives,\n"
            "               in words\n"
            "other   3 MB",
        ),
        (20, "a/name\n  size 12 MB; gives\n  what it gives, in\n  words\nother\n  size 3 MB"),
    ],
)
def test_a_table_keeps_to_the_width_of_a_terminal(
    columns: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    assert format_table(HEADER, ROWS) == text
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1ma/name\x1b[0m" in format_table(HEADER, ROWS)
    monkeypatch.setattr(sys, "stdout", StringIO())
    assert max(map(len, format_table(HEADER, ROWS).splitlines())) == 38


def test_lines_of_a_card_are_wrapped_below_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    line = "licence     one that says much\n  - a point of a list, long enough"
    assert wrap_for_terminal(line, Terminal()) == (
        "licence     one that says much\n  - a point of a list, long\n    enough"
    )
    assert wrap_for_terminal("licence     one that says very much", Terminal()) == (
        "licence     one that says very\n            much"
    )
    path = "rilievo: /a/path/that/is/longer/than/the/terminal: no such file"
    assert wrap_for_terminal(path, Terminal()).splitlines()[1] == (
        "  /a/path/that/is/longer/than/the/terminal:"
    )
    assert wrap_for_terminal(path, StringIO()) == path
