"""Help texts of commands, and errors about command lines that are not valid."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import tyro

from rilievo.cli import COMMANDS, main
from rilievo.cli.help_text import help_of
from rilievo.cli.options_of import options_of
from rilievo.cli.refusals import in_flags
from rilievo.cli.train_probe import ProbeArguments
from rilievo.cli.train_video import Arguments as VideoArguments
from rilievo.evaluate.options import EvaluateOptions
from rilievo.predicting.options import PredictOptions

WITHOUT_PARSER = {"train"}
TRAINING = ["train model", "train probe", "train supervised", "train video"]
EXPLAINED = [*sorted(COMMANDS.keys() - WITHOUT_PARSER), *TRAINING, "models fetch"]


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Options inside of options."""

    GROUP: ClassVar[str] = "More"

    size: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """How
    large."""
    loud: bool = True
    """Say it loudly."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Options of a command of the test."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")]
    """What to read."""
    inner: Annotated[Inner, tyro.conf.arg(name="")]
    way: Literal["in", "out"] = "in"
    """Where to."""
    factor: float = 1.5
    """How much."""


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
        "  PHOTO ...               What to read.\n"
        "\n"
        "More:\n"
        "      --size N            How large.\n"
        "      --no-loud           Turn off: say it loudly. [default: on]\n"
        "\n"
        "Options:\n"
        "      --way in|out        Where to. [default: in]\n"
        "      --factor NUMBER     How much. [default: 1.5]\n"
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


@pytest.mark.parametrize("options", [PredictOptions, EvaluateOptions])
def test_groups_name_fields_that_there_are_and_each_once(options: Any) -> None:
    named = [name for names in options.GROUPS.values() for name in names]
    assert sorted(named) == sorted(set(named))
    assert set(named) <= {each.name for each in options_of(options)}


@pytest.mark.filterwarnings("ignore:get_parser:DeprecationWarning")
@pytest.mark.parametrize(
    "options", [PredictOptions, EvaluateOptions, VideoArguments, ProbeArguments]
)
def test_flags_in_the_help_are_all_that_tyro_takes(options: Any) -> None:
    parser = tyro.extras.get_parser(options)
    taken = {flag for action in parser._actions for flag in action.option_strings}
    shown = {flag for each in options_of(options) for flag in (*each.flags, each.opposite) if flag}
    assert shown == taken - {"-h", "--help"}


def test_every_option_of_predict_stands_in_a_group() -> None:
    assert [each.name for each in options_of(PredictOptions) if each.group == "Options"] == []


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", EXPLAINED)
def test_help_keeps_to_the_width_and_to_words(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
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


@pytest.mark.parametrize("name", [name for name in EXPLAINED if name != "models fetch"])
def test_examples_are_understood(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("predict a.jpg --sav=x", "no option --sav: did you mean '--save'"),
        ("predict a.jpg --outdir x", "no option --outdir; 'rilievo predict --help'"),
        ("predict a.jpg --colormap x", "no option --colourmap: did you mean '--colour-map'?"),
        ("predict a.jpg --cuda", "no option --cuda: see --device"),
        ("predict a.jpg -o", "--output is given without FOLDER"),
        ("markers -o page.pdf", "missing: PAGE.pdf|PAGE.png"),
        ("predict a.jpg --sharp x", "--sharp is on or off, got 'x'"),
        ("predict a.jpg --tile x", "--tile is a whole number, got 'x'"),
        ("serve --port abc", "--port is a whole number, got 'abc'"),
        ("predict a.jpg --fov wide", "--fov is a number, got 'wide'"),
        ("check nyuv2 a b", "one argument too many: 'b'"),
        ("export", "missing: NAME|FOLDER|ORG/NAME|FILE.onnx, --output FILE.onnx"),
        ("export small", "missing: --output FILE.onnx"),
        ("train video a.mp4", "missing: --output FOLDER; 'rilievo train video --help'"),
    ],
)
def test_what_is_not_understood_is_one_line(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rilievo: {said}")
    assert len(err.splitlines()) == 1
    assert " --help' lists the options" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train video a.mp4 -o run --least-motion -1", "--least-motion is"),
        (
            "train video a.mp4 -o run --losses.predictive-mask --losses.no-automask",
            "--losses.predictive-mask and",
        ),
        ("train video a.mp4 -o run --epochs 0", "--epochs is 1 or more"),
        ("fuse a.mp4 -o a.glb --depth-unit -1", "--depth-unit is a positive length"),
    ],
)
def test_a_refusal_names_the_option_that_was_typed(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == 2
    assert capsys.readouterr().err.startswith(f"rilievo: {said}")


def test_what_is_no_option_of_the_command_stays_in_a_refusal() -> None:
    options = options_of(PredictOptions)
    for text in ("depth is metric", "'known_length' in a_file.py", "photos/known_length: no file"):
        assert in_flags(text, options) == text
    assert in_flags("known_length is no text", options) == "--known-length is no text"


@pytest.mark.parametrize("kind", ["model", "probe", "supervised", "video"])
def test_flags_of_training_say_what_they_do(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", kind, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Turn off" not in said
    # A switch is an action; other options may be yes or no.
    assert not re.search(r"--[a-z.-]+ Whether", said)
    if kind == "video":
        assert "--losses.no-automask Keep pixels that an unmoved source explains better." in said
    assert "``" not in said
