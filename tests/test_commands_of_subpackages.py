"""Help texts and command lines of the subpackages' commands, by the checks of the core's own."""

import re
import shlex
from typing import Any

import pytest

from rilievo.cli import COMMANDS, CORE_COMMANDS, main
from rilievo.evaluation.options import EvaluateOptions
from rilievo.training.commands.train_probe import ProbeArguments
from rilievo.training.commands.train_video import Arguments as VideoArguments
from support.command_lines import (
    check_examples,
    check_flags,
    check_groups,
    check_help,
    check_refusal,
)
from support.shell_scripts import commands_in, completed, flags_of, script

WITHOUT_PARSER = {"train"}
TRAINING = [
    "train probe",
    "train video",
    "train supervised",
]
EXPLAINED = [
    *sorted(COMMANDS.keys() - WITHOUT_PARSER - set(CORE_COMMANDS)),
    *TRAINING,
    "probe correspondence",
]


def test_groups_name_fields_that_there_are_and_each_once() -> None:
    check_groups(EvaluateOptions)


@pytest.mark.parametrize("options", [EvaluateOptions, VideoArguments, ProbeArguments])
def test_flags_are_unique_and_understood(options: Any) -> None:
    check_flags(options)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", EXPLAINED)
def test_help_keeps_to_the_width_and_to_words(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    check_help(name, columns, capsys)


@pytest.mark.parametrize("name", EXPLAINED)
def test_examples_are_understood(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_examples(name, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve --port abc", "--port must be an integer, got 'abc'"),
        ("check nyuv2 a b", "unexpected argument 'b'"),
        ("export", "this command needs NAME|FOLDER|ORG/NAME|FILE.onnx and --output FILE.onnx"),
        ("export small", "this command needs --output FILE.onnx"),
        ("train video a.mp4", "this command needs --output FOLDER; 'rilievo train video --help'"),
    ],
)
def test_what_is_not_understood_is_one_line(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(line, said, capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train video a.mp4 -o run --stride 0", "--stride must be"),
        ("train video a.mp4 -o run --epochs 0", "--epochs must be 1 or more"),
        (
            "fuse a.mp4 -o a.glb --depth-unit -1",
            "--depth-unit must be the metres per stored number",
        ),
    ],
)
def test_a_refusal_names_the_option_that_was_typed(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == 2
    assert capsys.readouterr().err.startswith(f"rilievo: {said}")


@pytest.mark.parametrize("kind", ["probe", "supervised", "video"])
def test_flags_of_training_say_what_they_do(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", kind, "--help", "--all"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Turn off" not in said
    # A switch is an action; other options may be yes or no.
    assert not re.search(r"--[a-z.-]+ Whether", said)
    if kind == "video":
        assert (
            "--losses.no-automask Keep pixels that a source matches better without warping." in said
        )
    assert "``" not in said


def test_shells_complete_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(script("bash", capsys), "train", "--milest") == ["--milestones"]
    for shell in ("zsh", "fish"):
        found = commands_in(shell, script(shell, capsys))
        assert set(found) == set(COMMANDS)
        assert found["evaluate"] == flags_of("evaluate")
