"""Checks of the help and of the errors of commands, whichever part of rilievo they are of."""

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rilievo.cli import main, parsing
from rilievo.cli.parsing import MAX_SHORT_OPTIONS, parse_words
from rilievo.errors import OptionError
from rilievo.errors.messages import count_text
from rilievo.schema.fields import list_options


def check_groups(options: Any) -> None:
    """Groups name fields that there are, and each once."""
    named = [name for names in options.FIELDS_BY_TITLE.values() for name in names]
    assert sorted(named) == sorted(set(named))
    assert set(named) <= {option.name for option in list_options(options)}


def check_flags(options: Any) -> None:
    """Flags are unique, and every one is understood."""
    flags = [flag for option in list_options(options) for flag in option.all_flags]
    assert sorted(flags) == sorted({*flags})
    for option in list_options(options):
        assert {*option.flags, option.off_flag, option.flag} - {""} == {*option.all_flags}
        for flag in option.all_flags:
            words = [flag] if option.is_switch else [flag, "1"]
            assert not refused(options, words).startswith("no option"), flag


def refused(options: Any, words: Sequence[str]) -> str:
    """Refusal of a command line; empty if it is understood."""
    try:
        parse_words(options, words, "x")
    except OptionError as error:
        return str(error)
    return ""


def check_help(name: str, columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command keeps to the width and to words; the first one is short."""
    whole = _check_help([*name.split(), "--help", "--all"], columns, capsys)
    first = _check_help([*name.split(), "--help"], columns, capsys)
    rows = [re.findall(r"^ {2,6}(?:-\w, +)?--[a-z]", text, re.M) for text in (first, whole)]
    shown, every = map(len, rows)
    assert shown <= MAX_SHORT_OPTIONS + 1, "--help is one more"
    hidden = count_text(every - shown, "more option")
    assert (f"\n{hidden}: rilievo {name} " in first) is (shown < every)


def _check_help(words: list[str], columns: int, capsys: pytest.CaptureFixture[str]) -> str:
    name = " ".join(words[: words.index("--help")])
    with pytest.raises(SystemExit) as ended:
        main(words)
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: rilievo {name}")
    for riddle in ("None", "{None", "default: )", "default: False", "\x1b"):
        assert riddle not in text
    below, _, examples = text.partition("\nExamples:\n")
    assert examples or name == "models fetch"
    too_long = [line for line in below.splitlines() if len(line) > columns]
    assert all(len(line.split()) == 2 or line.startswith("  -") for line in too_long), too_long
    return text


def check_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples of a command are understood."""

    class Parsed(BaseException):
        """The command line was understood; nothing of it is done."""

    real: Callable[..., Any] = parsing.build_record

    def build(*arguments: Any) -> None:
        real(*arguments)
        raise Parsed

    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    examples = capsys.readouterr().out.partition("\nExamples:\n")[2].replace("\\\n", " ")
    monkeypatch.setattr(parsing, "build_record", build)
    for example in examples.strip().splitlines():
        program, *words = shlex.split(example)
        assert program == "rilievo"
        with pytest.raises(Parsed):
            main(words)


def check_refusal(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that is not understood is answered in one line, which names the help."""
    assert main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rilievo: {message}")
    assert len(err.splitlines()) == 1
    assert " --help' lists the options" in err
