"""Scripts by which shells complete command lines, and what they complete."""

import os
import re
import subprocess
import sys

import pytest

from rilievo.cli import find_command, main
from rilievo.schema.fields import list_options


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(text: str, *words: str) -> list[str]:
    """Completions that bash offers for the last of some words after ``rilievo``."""
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
    return ended.stdout.split()


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


def flags_of(name: str) -> set[str]:
    """The options of a command."""
    arguments = sys.modules[find_command(name).__module__]._Arguments
    flags = {flag for each in list_options(arguments) for flag in each.flags}
    return {flag for flag in flags if flag.startswith("--")} | {"--help"}
