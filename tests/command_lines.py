"""Checks of the help and of the errors of commands, whichever part of rilievo they are of."""

import shlex
from collections.abc import Callable
from typing import Any

import pytest
import tyro

from rilievo.cli import main
from rilievo.cli.options_of import options_of


def check_groups(options: Any) -> None:
    """Groups name fields that there are, and each once."""
    named = [name for names in options.GROUPS.values() for name in names]
    assert sorted(named) == sorted(set(named))
    assert set(named) <= {each.name for each in options_of(options)}


def check_flags(options: Any) -> None:
    """Flags in the help are all that tyro takes."""
    parser = tyro.extras.get_parser(options)
    taken = {flag for action in parser._actions for flag in action.option_strings}
    shown = {flag for each in options_of(options) for flag in (*each.flags, each.opposite) if flag}
    assert shown == taken - {"-h", "--help"}


def check_help(name: str, columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command keeps to the width and to words."""
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: rilievo {name}")
    for riddle in ("None", "{None", "default: )", "default: False", "\x1b"):
        assert riddle not in text
    below, _, examples = text.partition("\nExamples:\n")
    assert examples or name == "models fetch"
    too_long = [line for line in below.splitlines() if len(line) > columns]
    assert all(len(line.split()) == 2 or line.startswith("  -") for line in too_long), too_long


def check_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples of a command are understood."""

    class Parsed(BaseException):
        """The command line was understood; nothing of it is done."""

    real: Callable[..., Any] = tyro.cli

    def parse(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        raise Parsed

    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    examples = capsys.readouterr().out.partition("\nExamples:\n")[2].strip().splitlines()
    monkeypatch.setattr(tyro, "cli", parse)
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "rilievo"
        with pytest.raises(Parsed):
            main(words)


def check_refusal(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that is not understood is answered in one line, which names the help."""
    assert main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rilievo: {said}")
    assert len(err.splitlines()) == 1
    assert " --help' lists the options" in err
