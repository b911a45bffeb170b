"""Help texts of commands; errors of command lines that are not valid are of one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
import tyro

from command_lines import check_examples, check_flags, check_groups, check_help, check_refusal
from rilievo.cli import COMMANDS_OF_HOUSE
from rilievo.cli.help_text import help_of
from rilievo.cli.options_of import options_of
from rilievo.cli.refusals import in_flags
from rilievo.predicting.options import PredictOptions

EXPLAINED = (*COMMANDS_OF_HOUSE, "models fetch")


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Options inside of options."""

    GROUP: ClassVar[str] = "More"

    size: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Size of
    all."""
    loud: bool = True
    """Say it loudly."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Options of a command of the test."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")]
    """Photographs to read."""
    inner: Annotated[Inner, tyro.conf.arg(name="")]
    way: Literal["in", "out"] = "in"
    """Direction to take."""
    factor: float = 1.5
    """Factor of all."""


def text_of(command: type, monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return help_of(command, prog="rilievo x", description="It does.", examples=("rilievo x a.jpg",))


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
        "      --size N            Size of all.\n"
        "      --no-loud           Turn off: say it loudly. [default: on]\n"
        "\n"
        "Options:\n"
        "      --way in|out        Direction to take. [default: in]\n"
        "      --factor NUMBER     Factor of all. [default: 1.5]\n"
        "  -h, --help              Show this text.\n"
        "\n"
        "Examples:\n"
        "  rilievo x a.jpg"
    )


def test_flags_are_those_that_tyro_takes() -> None:
    words = ["a.jpg", "b.jpg", "--size", "3", "--no-loud", "--way", "out", "--factor", "2"]
    read = tyro.cli(Command, args=words, config=(tyro.conf.FlagCreatePairsOff,))
    assert read == Command(
        photos=(Path("a.jpg"), Path("b.jpg")),
        inner=Inner(size=3, loud=False),
        way="out",
        factor=2.0,
    )


def test_groups_of_predict_name_fields_that_there_are_and_each_once() -> None:
    check_groups(PredictOptions)


@pytest.mark.filterwarnings("ignore:get_parser:DeprecationWarning")
def test_flags_in_the_help_of_predict_are_all_that_tyro_takes() -> None:
    check_flags(PredictOptions)


def test_every_option_of_predict_stands_in_a_group() -> None:
    assert [each.name for each in options_of(PredictOptions) if each.group == "Options"] == []


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
        ("predict a.jpg --outdir x", "no option --outdir; 'rilievo predict --help'"),
        ("predict a.jpg --colormap x", "no option --colourmap: did you mean '--colour-map'?"),
        ("predict a.jpg --cuda", "no option --cuda: see --device"),
        ("predict a.jpg -o", "--output is given without FOLDER"),
        ("markers -o page.pdf", "missing: PAGE.pdf|PAGE.png"),
        ("predict a.jpg --trim x", "--trim is on or off, got 'x'"),
        ("predict a.jpg --tile x", "--tile is a whole number, got 'x'"),
        ("predict a.jpg --fov wide", "--fov is a number, got 'wide'"),
    ],
)
def test_what_is_not_understood_is_one_line(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(line, said, capsys)


def test_what_is_no_option_of_the_command_stays_in_a_refusal() -> None:
    options = options_of(PredictOptions)
    for text in ("depth is metric", "'known_length' in a_file.py", "photos/known_length: no file"):
        assert in_flags(text, options) == text
    assert in_flags("known_length is no text", options) == "--known-length is no text"
