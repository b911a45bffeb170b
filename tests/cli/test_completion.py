"""Scripts that complete command lines, run by the shells they are for."""

import shutil
import subprocess

import pytest

from rilievo.cli import commands, main
from shell_scripts import commands_in, completed, flags_of, script


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


@pytest.mark.parametrize(
    ("shell", "check"), [("zsh", ("-f", "-n", "-c")), ("fish", ("--no-config", "-n", "-c"))]
)
def test_other_shells_get_every_command_and_its_options(
    shell: str, check: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    found = commands_in(shell, text)
    assert set(found) == set(commands())
    for name in ("predict", "measure", "verify", "markers"):
        assert found[name] == flags_of(name)
    if shutil.which(shell):
        subprocess.run([shell, *check, text], check=True)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "shell is bash or zsh or fish, got 'csh'" in capsys.readouterr().err
