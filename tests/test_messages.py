"""Notes and errors at every door: each names options as its users write them, and no flag of the
command line stands where there are none."""

import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.cli import main
from rilievo.cli.parsing import message_with_flags, parse
from rilievo.errors import MissingExtraError, OptionError, RilievoError
from rilievo.errors.messages import (
    AnyOf,
    Note,
    OptionName,
    Text,
    join_notes,
    note_about,
    note_of,
    spell_flag,
    spell_keyword,
    spell_parameter,
    text_from_json,
    worded,
)
from rilievo.geometry.borders import Margins
from rilievo.io.files.machine import check_disk_space, check_memory
from rilievo.models.refinement.trimming import margins_note
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import option_notes, tile_note
from rilievo.predicting.run import no_output_notes
from rilievo.records.sample import Photo
from rilievo.serving.assistant.tool import spell_argument
from rilievo.serving.listener.request_refusals import refusal_from_error

FLAG = re.compile(r"(?<![\w-])--[a-z]")
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "fov": {"fov": 200},
    "camera": {"camera": "no,camera"},
    "camera with fov": {"camera": 500, "fov": 60},
    "camera with projection": {"camera": 500, "projection": "equirect"},
    "fov with projection": {"fov": 60, "projection": "equirect"},
    "projection": {"projection": "flat"},
    "camera_height": {"camera_height": -1},
    "known with camera_height": {"known": ["1,2,3"], "camera_height": 1},
    "markers": {"markers": 20},
    "markers with camera_height": {"markers": 0.1, "camera_height": 1},
    "sparse_unit": {"sparse_unit": 0.001},
    "same_camera": {"same_camera": True},
    "tile": {"tile": 8},
    "flip": {"flip": True, "confidence": "mirror"},
    "confidence": {"confidence": "none"},
    "alpha": {"alpha": "half"},
    "anchor": {"anchor": "maybe"},
    "colour_range": {"colour_range": "2,1"},
    "surface_points": {"surface_points": 1},
    "edge": {"edge": -1},
    "save": {"save": "nothing"},
    "overwrite with resume": {"overwrite": True, "resume": True},
}
"""Keywords that are refused."""


def refused(call: Callable[[], object]) -> RilievoError:
    with pytest.raises(RilievoError) as error:
        call()
    return error.value


def other_errors(folder: Path) -> list[RilievoError]:
    return [
        refused(
            lambda: check_disk_space(
                folder, 1e30, "results", Text("choose another with ", OptionName("output"))
            )
        ),
        refused(
            lambda: check_memory(
                1e12, "results", Text("choose fewer with ", OptionName("save")), free=1
            )
        ),
        MissingExtraError("", "markers", option="markers"),
        refused(lambda: rilievo.predict(np.zeros((64, 64, 4), np.uint8))),
    ]


def notes() -> list[Note | str]:
    photo = Photo(pixels=np.zeros((90, 120, 3), np.uint8), name="photo")
    options = PredictOptions(
        vanishing_points=True, fov=160, camera_height=180, known=[], edge=0.2, backing=0.1
    )
    every = [
        *option_notes(options),
        *option_notes(PredictOptions(fov=1.0)),
        *no_output_notes(options, ["colour"]),
        tile_note(640, photo),
        margins_note(Margins(top=20), photo.shape),
    ]
    return [note for note in every if note]


DOORS: Mapping[str, Callable[[object], str]] = {
    "python": str,
    "http": lambda message: worded(message, spell_parameter),
    "app": lambda message: (
        refusal_from_error(message).line
        if isinstance(message, Exception)
        else worded(message, spell_parameter)
    ),
    "assistant": lambda message: worded(message, spell_argument),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_flag_stands_at_a_door_without_flags(door: str, tmp_path: Path) -> None:
    errors = [refused(lambda facts=facts: PredictOptions(**facts)) for facts in OPTIONS.values()]
    messages = [*errors, *other_errors(tmp_path), *notes()]
    assert len(errors) >= 20
    assert len(notes()) >= 5
    for message in messages:
        text = DOORS[door](message)
        assert text
        assert not FLAG.search(text), text
        assert "{" not in text, text


def test_the_command_line_names_every_option_by_its_flag(tmp_path: Path) -> None:
    parse(PredictOptions, [], prog="rilievo predict", description="")
    for facts in OPTIONS.values():
        error = refused(lambda facts=facts: PredictOptions(**facts))
        assert error.option in PredictOptions.__annotations__ or error.option, error
        assert message_with_flags(error).startswith("--"), error
    for message in [*other_errors(tmp_path), *notes()]:
        assert FLAG.search(message_with_flags(message)), message


def test_an_extra_that_is_missing_has_no_path() -> None:
    """``ImportError`` has a path too, which is None where nobody gives one."""
    error = MissingExtraError("reading of PDF", "pdf")
    assert str(error) == error.worded(spell_flag) == error.worded(spell_parameter)
    assert error.path == ""


def test_fields_survive_another_process() -> None:
    for message in (refused(lambda: PredictOptions(camera=500, fov=60)), *notes()):
        copy = pickle.loads(pickle.dumps(message))
        assert worded(copy, spell_flag) == worded(message, spell_flag)
        assert copy.option == message.option
        assert str(copy) == str(message)


def test_a_door_leaves_out_what_it_does_not_offer() -> None:
    camera = AnyOf(OptionName("camera", "..."), OptionName("fov", "..."))
    note = Note(Text("the focal length is assumed: ", camera, " narrows the range"))
    assert note == "the focal length is assumed: camera=... or fov=... narrows the range"
    assert note.worded(spell_flag).endswith("--camera or --fov narrows the range")
    assert note.worded(spell_argument).endswith(": the tool 'known' with fov narrows the range")


def test_a_message_inside_another_keeps_its_options() -> None:
    note = Note("has no depth", hint=Text(OptionName("trim", "off"), " keeps it"))
    outer = note_about("photo.jpg", note)
    assert outer == "photo.jpg: has no depth; trim=False keeps it"
    assert outer.worded(spell_flag) == "photo.jpg: has no depth; --trim off keeps it"
    assert outer.worded(spell_parameter, "image") == "image: has no depth; trim=off keeps it"
    assert OptionError(problem=Text(outer)).worded(spell_flag) == outer.worded(spell_flag)


@pytest.mark.parametrize(
    ("name", "value", "python", "command"),
    [
        ("fov", "", "fov", "--fov"),
        ("fov", "...", "fov=...", "--fov"),
        ("alpha", "keep", "alpha='keep'", "--alpha keep"),
        ("known", "u,v,metres", "known=[(u, v, metres)]", "--known u,v,metres"),
        ("sparse", "FILE", "sparse=FILE", "--sparse FILE"),
        ("losses.automask", "False", "losses.automask=False", "--losses.no-automask"),
        ("set", "calls=N", "settings={'calls': N}", "--set calls=N"),
        ("output", "pages/{id}|{a}", "output='pages/{id}|{a}'", "--output pages/{id}|{a}"),
    ],
)
def test_values_are_spelt_as_users_write_them(
    name: str, value: str, python: str, command: str
) -> None:
    option = OptionName(name, value)
    assert option.spelled(spell_keyword) == python
    assert option.spelled(spell_flag) == command


def test_braces_in_names_of_users_are_no_options() -> None:
    assert OptionError("photos/{fov}: no file").worded(spell_flag) == "photos/{fov}: no file"
    hint = Text("give ", OptionName("camera", "..."))
    error = OptionError("no file", path="photos/{fov}", hint=hint)
    assert error.worded(spell_flag) == "photos/{fov}: no file; give --camera"


@pytest.mark.parametrize("text", ["{fov}", "{{fov}}", "a}} {camera=...}", "{", "depth/{id}.npy"])
def test_braces_of_users_stay_as_they_are_inside_of_other_messages(text: str) -> None:
    hint = Text("give ", OptionName("fov", "..."))
    inner = OptionError(f"no file '{text}'", path=text, hint=hint)
    outer = OptionError("broken:", problem=Text(inner), hint=f"as in '{text}'")
    for message in (
        outer,
        note_about("a.jpg", outer),
        note_of(outer),
        pickle.loads(pickle.dumps(outer)),
    ):
        words = f"broken: {text}: no file '{text}'; give --fov; as in '{text}'"
        assert worded(message, spell_flag).removeprefix("a.jpg: ") == words
    assert worded(note_about("a.jpg", text), spell_flag) == f"a.jpg: {text}"


def test_a_note_about_a_photograph_keeps_its_fields() -> None:
    hint = Text("leave ", OptionName("tile"), " out")
    note = Note("has no effect", option="tile", hint=hint)
    about = note_about("a.jpg", note)
    assert (about.path, about.option, about.problem) == ("a.jpg", "tile", "has no effect")
    assert about.worded(spell_flag) == "a.jpg: --tile has no effect; leave --tile out"


def test_a_client_reads_no_path_of_the_server() -> None:
    error = rilievo.ModelError("no network", path="/srv/models/own.onnx")
    assert refusal_from_error(error, {"/srv/models/own.onnx": "own"}).line == "own: no network"
    assert refusal_from_error(error).line == "own.onnx: no network"


def test_both_doors_of_one_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.jpg", "--camera", "500", "--fov", "60"]) == 2
    words = "cannot be combined; give only one of them"
    assert capsys.readouterr().err == f"rilievo: --camera and --fov {words}\n"
    error = refused(lambda: PredictOptions(camera=500, fov=60))
    assert str(error) == f"camera and fov {words}"


@pytest.mark.parametrize("field", ["problem", "hint", "expected"])
@pytest.mark.parametrize("spell", [spell_flag, spell_keyword, spell_parameter, spell_argument])
def test_a_string_in_a_message_is_never_interpreted(
    field: str, spell: Callable[[str, str], str]
) -> None:
    text = "'{fov=60}', '{{fov}}', '{camera|fov}', '}{' and '%s \\1'"
    error = OptionError(option="drop", **{field: text})
    assert text in str(error)
    assert text in error.worded(spell)
    assert text in OptionError(problem=Text("broken: ", error)).worded(spell)


def test_an_error_of_another_library_keeps_its_braces_inside_a_message() -> None:
    error = ValueError("unexpected {fov=60}")
    assert Note(Text("cannot be read: ", error)) == "cannot be read: unexpected {fov=60}"
    assert note_of(error).worded(spell_flag) == "unexpected {fov=60}"


def test_a_text_comes_whole_through_json_and_pickle() -> None:
    camera = AnyOf(OptionName("camera", "..."), OptionName("fov"))
    text = Text("'{fov}': give ", camera, " or ", OptionName("known", "u,v,metres"), "")
    assert text_from_json(json.loads(json.dumps(text.to_json()))) == text
    assert pickle.loads(pickle.dumps(text)) == text


def test_notes_are_joined_with_their_options() -> None:
    notes = [Note(Text("give ", OptionName("fov"))), "the folder '{fov}' is empty"]
    joined = join_notes(notes)
    assert joined == "give fov; the folder '{fov}' is empty"
    assert worded(joined, spell_flag) == "give --fov; the folder '{fov}' is empty"
    assert join_notes([]) is None


def test_a_replaced_string_leaves_options_as_they_are() -> None:
    text = Text(
        "scratch/a.jpg: give ", OptionName("output", "scratch/b"), " or ", OptionName("fov")
    )
    assert text.replace("scratch/", "s3://").worded(spell_flag) == (
        "s3://a.jpg: give --output s3://b or --fov"
    )
