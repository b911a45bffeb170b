"""Sizes in rendered rooms by the tools: the command line's numbers, whose ranges hold."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import rilievo
from rilievo.cli import main
from rilievo.models.base import Model

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from lab.scenes import make_textures
from support.assistant_client import Answered, Call, Desktop, answers
from support.rooms_asked import Question, Room, rooms

LEAST, MOST = 0.7, 0.95
"""Bounds of the share of true sizes within their ranges.

Ranges are learned on measured photographs, where 81 of 100 lengths lie within. Rendered rooms are
easier: ranges that hold nine in ten of their sizes would hold fewer than eight in ten of those.
"""


@pytest.fixture(scope="module")
def model() -> Model:
    return rilievo.load_model()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[Room]:
    """Two small rooms."""
    textures, folder = make_textures([], share=0.01), tmp_path_factory.mktemp("rooms")
    return [*rooms(folder, 2, size=(144, 192), textures=textures)]


def call_of(room: Room, asked: Question) -> Call:
    points = [[*each] for each in asked.points]
    given = {"photo": room.photo.name, "what": asked.what, "points": points, "unit": "pixel"}
    return "measure", given


def known_of(room: Room) -> Call:
    points = [[*each] for each in room.known.points]
    given = {"photo": room.photo.name, "points": points, "metres": room.known.true}
    return "known", {**given, "unit": "pixel"}


def asked(desktop: Desktop, room: Room, *, known: bool) -> Iterator[tuple[Question, Answered]]:
    """Ten questions with their answers, with one known length or with none."""
    first = [known_of(room)] if known else [("known", {"photo": room.photo.name, "forget": True})]
    calls = [*first, *(call_of(room, each) for each in room.questions)]
    found = answers(desktop.server, calls)
    assert not found[0].refused, found[0].text
    yield from zip(room.questions, found[1:], strict=True)


def assert_words(line: str) -> None:
    assert "\n" not in line
    assert len(line.split()) > 5
    assert "Traceback" not in line
    assert "--" not in line


@pytest.mark.parametrize("known", [True, False])
def test_answers_are_those_of_the_command_line_to_the_digit(
    known: bool,
    small: list[Room],
    model: Model,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    desktop = Desktop(tmp_path, model=model)
    compared = 0
    for room in small:
        shutil.copy(room.photo, tmp_path)
        for question, answer in asked(desktop, room, known=known):
            if answer.refused:
                assert_words(answer.text)
                continue
            command = shlex.split(answer.told["command"])
            assert main([*command[1:], "--json"]) == 0
            printed = json.loads(capsys.readouterr().out)
            for name in ("value", "low", "high"):
                assert printed[name] == answer.told[name], question
            compared += 1
    assert compared >= 10


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_true_sizes_lie_in_their_ranges(known: bool, model: Model, tmp_path: Path) -> None:
    desktop = Desktop(tmp_path, model=model)
    inside: dict[str, list[bool]] = {}
    refused = 0
    for room in rooms(tmp_path, 20, size=(480, 640)):
        for question, answer in asked(desktop, room, known=known):
            if answer.refused:
                assert_words(answer.text)
                refused += 1
                continue
            unit = 1.0 if answer.told["is_metric"] else room.camera_height**question.power
            true = question.true / unit
            is_inside = answer.told["low"] <= true <= answer.told["high"]
            inside.setdefault(question.what, []).append(is_inside)
    every = [each for found in inside.values() for each in found]
    shares = {what: f"{sum(found)}/{len(found)}" for what, found in inside.items()}
    share = sum(every) / len(every)
    print(f"known: {known}: {share:.3f} inside of {len(every)}, {shares}, {refused} refused")  # noqa: T201
    assert LEAST <= share <= MOST, shares
