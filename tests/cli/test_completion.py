"""Scripts that complete command lines, run by the shells they are for."""

import os
import re
import shutil
import subprocess
from importlib import import_module

import pytest

from rilievo.cli import COMMANDS, main
from rilievo.cli.options_of import options_of


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_bash_completes_commands_options_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = script("bash", capsys)
    for words, expected in (
        (["pred"], ["predict"]),
        (["predict", "--qu"], ["--quality", "--quiet"]),
        (["predict", "--live"], ["--live"]),
        (["train", "--milest"], ["--milestones"]),
        (["verify", "--no-such"], []),
        (["verify", "--qual"], []),
        (["verify", "--live"], []),
    ):
        line = " ".join(f"'{word}'" for word in ["rilievo", *words])
        asked = (
            f"{text}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _rilievo\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        ended = subprocess.run(
            ["bash", "--norc", "-c", asked],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        assert ended.stderr == ""
        assert ended.stdout.split() == expected


def commands_in(shell: str, text: str) -> dict[str, set[str]]:
    """The options of each command in a script."""
    if shell == "fish":
        begins = re.findall(r"-n __fish_use_subcommand -f -a (\S+) -d '", text)
        options = re.findall(r"-n '__fish_seen_subcommand_from (\S+)' -l (\S+)$", text, re.M)
        return {name: {f"--{flag}" for whose, flag in options if whose == name} for name in begins}
    lines = re.findall(r'^ +(\S+)\) flags="(.*)" ;;$', text, re.M)
    [first] = re.findall(r'-eq 1 \].*?compgen -W "(.*?)"', text, re.S)
    assert first.split() == [name for name, _ in lines]
    return {name: set(flags.split()) for name, flags in lines}


@pytest.mark.parametrize(
    ("shell", "check"), [("zsh", ("-f", "-n", "-c")), ("fish", ("--no-config", "-n", "-c"))]
)
def test_other_shells_get_every_command_and_its_options(
    shell: str, check: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    found = commands_in(shell, text)
    assert set(found) == set(COMMANDS)
    for name in ("predict", "evaluate", "measure", "verify", "markers"):
        arguments = import_module(f"rilievo.cli.{name}")._Arguments
        flags = {flag for each in options_of(arguments) for flag in each.flags}
        assert found[name] == {flag for flag in flags if flag.startswith("--")} | {"--help"}
    if shutil.which(shell):
        subprocess.run([shell, *check, text], check=True)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "shell is bash or zsh or fish, got 'csh'" in capsys.readouterr().err
