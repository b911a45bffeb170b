"""Help texts of commands; errors of command lines that are not valid are of one line."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest

from rilievo.cli import CORE_COMMANDS, main
from rilievo.cli.parsing import help_text, message_with_flags, parse
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.predicting.options import PredictOptions
from rilievo.schema.fields import list_options, option
from support.command_lines import check_examples, check_flags, check_help, check_refusal

EXPLAINED = (*CORE_COMMANDS, "models fetch")


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Options inside of options."""

    HELP_TITLE: ClassVar[str] = "More"

    size: Annotated[int | None, option(metavar="N", aliases=("-s",))] = None
    """Size of
    all."""
    loud: bool = True
    """Say it loudly."""
    again: bool | Literal["hash"] = False
    """Say it again."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Options of a command of the test."""

    photos: Annotated[tuple[Path, ...], option(positional=True, metavar="PHOTO")]
    """Photographs to read."""
    inner: Annotated[Inner, option(inline=True)]
    way: Literal["in", "out"] = "in"
    """Direction to take."""
    factor: float = 1.5
    """Factor of all."""
    shift: tuple[float, float] = (0, 0)
    """Shift in percent (%)."""
    turns: Annotated[tuple[str, ...], option(repeats=True, metavar="SIDE")] = ()
    """Turn to a side."""


def text_of(command: type, monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return help_text(
        command, prog="rilievo x", description="It does.", examples=("rilievo x a.jpg",)
    )


def test_the_whole_text_of_a_small_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_of(Command, monkeypatch, 80) == (
        "usage: rilievo x [OPTIONS] PHOTO ...\n"
        "\n"
        "It does.\n"
        "\n"
        "Arguments:\n"
        "  PHOTO ...               Photographs to read.\n"
        "\n"
        "More:\n"
        "  -s, --size N            Size of all.\n"
        "      --no-loud           Turn off: say it loudly. [default: on]\n"
        "      --again[=hash]      Say it again.\n"
        "\n"
        "Options:\n"
        "      --way in|out        Direction to take. [default: in]\n"
        "      --factor NUMBER     Factor of all. [default: 1.5]\n"
        "      --shift NUMBER,...  Shift in percent (%). [default: 0,0]\n"
        "      --turns SIDE        Turn to a side.\n"
        "  -h, --help              Show this help.\n"
        "\n"
        "Examples:\n"
        "  rilievo x a.jpg"
    )


def read(line: str) -> Command:
    return parse(Command, shlex.split(line), prog="rilievo x", description="It does.")


@pytest.mark.parametrize(
    "line",
    [
        "a.jpg b.jpg --size 3 --no-loud --way out --factor 2 --shift -1,.5 --turns l --turns r",
        "--turns l a.jpg --size=3 --way=out b.jpg --no-loud --factor=2 --shift=-1,.5 --turns=r",
        "-s 3 --way out --no-loud --factor 2 --shift -1,0.5 --turns l --turns r -- a.jpg b.jpg",
        "a.jpg --no_loud -s3 --way out --factor 2e0 --shift -1,.5 --turns l --turns r b.jpg",
    ],
)
def test_a_command_line_has_one_meaning_however_it_is_spelt(line: str) -> None:
    assert read(line) == Command(
        photos=(Path("a.jpg"), Path("b.jpg")),
        inner=Inner(size=3, loud=False),
        way="out",
        factor=2.0,
        shift=(-1.0, 0.5),
        turns=("l", "r"),
    )


def test_a_switch_with_a_word_takes_no_argument_for_its_word() -> None:
    assert read("a.jpg").inner.again is False
    assert read("--again a.jpg").inner.again is True
    assert read("--again=hash a.jpg").inner.again == "hash"
    assert read("--no-again a.jpg").inner.again is False
    with pytest.raises(OptionError, match="--again is given twice"):
        read("--again=hash --no-again a.jpg")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.jpg --siz 3", "no option --siz: did you mean '--size'?"),
        ("a.jpg --size", "--size needs a value: N;"),
        ("a.jpg --size --no-loud", "--size needs a value: N;"),
        ("a.jpg --no-loud=3", "--no-loud takes no value;"),
        ("a.jpg --size 3.5", "--size must be an integer, got '3.5';"),
        ("a.jpg --shift 1", "--shift must be 2 numbers separated by commas, got '1';"),
        ("a.jpg --shift 1,inf", "--shift must be 2 numbers separated by commas, got '1,inf';"),
        ("a.jpg --way up", "--way must be in or out, got 'up';"),
        ("a.jpg --again=md5", "--again must be given without a value, or with hash, got 'md5';"),
        ("a.jpg -x", "no option -x;"),
    ],
)
def test_a_refusal_names_the_option_and_what_it_takes(line: str, words: str) -> None:
    with pytest.raises(OptionError) as refused:
        read(line)
    assert str(refused.value).startswith(words)


def test_a_terminal_shows_titles_and_flags_in_bold_unless_it_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    bold = text_of(Command, monkeypatch, 80)
    assert "\x1b[1mMore:\x1b[0m\n\x1b[1m  -s, --size N\x1b[0m            Size" in bold
    monkeypatch.setenv("NO_COLOR", "1")
    plain = text_of(Command, monkeypatch, 80)
    assert re.sub("\x1b\\[[01]m", "", bold) == plain


def test_flags_of_predict_are_unique_and_understood() -> None:
    check_flags(PredictOptions)


def test_every_option_of_predict_stands_in_a_group() -> None:
    assert [each.name for each in list_options(PredictOptions) if each.group == "Options"] == []


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", EXPLAINED)
def test_help_keeps_to_the_width_and_to_words(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    check_help(name, columns, capsys)


@pytest.mark.parametrize("name", [name for name in EXPLAINED if name != "models fetch"])
def test_examples_are_understood(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_examples(name, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("predict a.jpg --sav=x", "no option --sav: did you mean '--save'"),
        ("predict a.jpg --outdir x", "no option --outdir: write --output FOLDER;"),
        ("predict a.jpg --colormap x", "no option --colormap: write --colour-map magma;"),
        ("predict a.jpg --cuda", "no option --cuda: write --device cuda;"),
        ("predict a.jpg -o", "--output needs a value: FOLDER"),
        ("markers -o page.pdf", "no option -o; 'rilievo markers --help'"),
        ("markers", "this command needs PAGE.pdf|PAGE.png"),
        ("predict a.jpg --trim x", "--trim must be on or off, got 'x'"),
        ("predict a.jpg --tile x", "--tile must be an integer, got 'x'"),
        ("predict a.jpg --fov wide", "--fov must be a number, got 'wide'"),
    ],
)
def test_what_is_not_understood_is_one_line(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(line, said, capsys)


def test_an_option_before_the_command_is_compared_with_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--verison"]) == 2
    assert capsys.readouterr().err == "rilievo: no option --verison; did you mean '--version'?\n"


def test_what_is_no_option_of_the_command_stays_in_a_refusal() -> None:
    parse(PredictOptions, [], prog="rilievo predict", description="")
    for text in (
        "depth is metric",
        "'known_length' in a_file.py",
        "photos/{known_length}: no file",
    ):
        assert message_with_flags(OptionError(text)) == text
    error = OptionError(problem=Text(OptionName("known_length"), " is no text, such as {}: {"))
    assert str(error) == "known_length is no text, such as {}: {"
    assert message_with_flags(error) == "--known-length is no text, such as {}: {"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "predict a.jpg --save depht",
            "does not accept 'depht'; use npy (depth as a float32 array)",
        ),
        ("predict a.jpg --save norml", "does not accept 'norml'; did you mean 'normals'"),
        ("predict a.jpg --save zzz", "does not accept 'zzz'; known: "),
        ("predict a.jpg --confidence mirrr", "got 'mirrr': did you mean 'mirror'?"),
        ("completion bsh", "got 'bsh': did you mean 'bash'?"),
        ("fuse a --camera k.yaml", "got 'k.yaml'; pass a file with --camera-file;"),
        ("train video a --camera k.yaml -o b", "got 'k.yaml'; pass a file with --camera-file;"),
        ("fuse a --camera 525", "got '525'; 'rilievo fuse --help' lists"),
        ("predict a.jpg --camera-file k.yaml", "no option --camera-file: did you mean '--camera'?"),
    ],
)
def test_a_wrong_word_of_a_list_is_answered_by_the_nearest(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == 2
    assert words in capsys.readouterr().err
