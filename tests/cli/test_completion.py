"""Scripts that complete command lines, run by the shells they are for."""

import os
import pty
import selectors
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from rilievo.cli import COMMANDS, main
from support.shell_scripts import commands_in, completed, flags_of, script


def test_bash_completes_commands_options_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = script("bash", capsys)
    assert completed(text, "pred") == ["predict"]
    assert completed(text, "predict", "--qu") == ["--quality", "--quiet"]
    assert completed(text, "predict", "--live") == ["--live"]
    assert completed(text, "verify", "--no-such") == []
    assert completed(text, "verify", "--qual") == []
    assert completed(text, "verify", "--live") == []


def test_bash_completes_names_with_blanks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a shell at a terminal quotes what it completes."""
    (tmp_path / "two words").mkdir()
    (tmp_path / "two words/photo.jpg").touch()
    (tmp_path / "script").write_text(script("bash", capsys))
    terminal, end = pty.openpty()
    command = ["bash", "--norc", "--noprofile", "-i"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=end, stdout=end, stderr=end, start_new_session=True
    ) as shell:
        try:
            os.write(terminal, b"source ./script\nrilievo predict two\\ words/\t")
            text, deadline = b"", time.monotonic() + 20
            with selectors.DefaultSelector() as selector:  # takes files above 1,024 too
                selector.register(terminal, selectors.EVENT_READ)
                while b"photo.jpg" not in text and time.monotonic() < deadline:
                    if selector.select(0.1):
                        text += os.read(terminal, 4096)
        finally:
            shell.kill()
    assert b"two\\ words/photo.jpg" in text


@pytest.mark.parametrize(
    ("shell", "check"), [("zsh", ("-f", "-n", "-c")), ("fish", ("--no-config", "-n", "-c"))]
)
def test_other_shells_get_every_command_and_its_options(
    shell: str, check: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    found = commands_in(shell, text)
    assert set(found) == set(COMMANDS)
    for name in ("predict", "measure", "verify", "markers"):
        assert found[name] == flags_of(name)
    if shutil.which(shell):
        subprocess.run([shell, *check, text], check=True)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "shell must be bash, zsh or fish, got 'csh'" in capsys.readouterr().err
