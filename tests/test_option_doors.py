"""Every option stands at every door: command line, Python, requests, and the JSON of results."""

import ast
import pickle
import runpy
from collections.abc import Mapping
from copy import copy
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest

import rilievo
from rilievo.cli import main
from rilievo.errors.messages import OptionName, Text, spell_flag
from rilievo.models.model_options import Network
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.photo_options import Refine
from rilievo.options.run_options import Speed
from rilievo.predicting.options import RECORDS, PredictOptions
from rilievo.schema.fields import (
    Effect,
    Interface,
    Record,
    Switch,
    list_options,
    option_names,
    recorded_options,
)
from support.option_offers import offers

ROOT = Path(__file__).parents[1]
EVERY = [(kind, name) for kind in RECORDS.values() for name in option_names(kind)]


@pytest.fixture(scope="module")
def parameters() -> Mapping[str, Mapping[str, Any]]:
    pytest.importorskip("pydantic", reason="the extra 'serve' is not installed")
    pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
    from rilievo.serving.server.endpoints import ENDPOINTS
    from rilievo.serving.server.openapi import openapi_document

    entries = openapi_document(ENDPOINTS)["paths"]["/v1/predict"]["post"]["parameters"]
    return {entry["name"]: entry for entry in entries}


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_explained_on_the_command_line(kind: type[Record], name: str) -> None:
    [option] = [field for field in list_options(PredictOptions) if field.name == name]
    assert option.help
    assert option.group == kind.HELP_TITLE
    assert option.flags


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_a_keyword_of_python(kind: type[Record], name: str) -> None:
    assert name in signature(PredictOptions).parameters
    of_predict = signature(rilievo.predict).parameters
    assert (name in of_predict) is (name in option_names(kind, Interface.PYTHON))
    if name in of_predict and kind not in (Network, Speed):
        default = signature(rilievo.predict).parameters[name].default
        assert default == getattr(kind(), name) or default is bool(getattr(kind(), name))


def test_predict_has_no_other_arguments_than_those_of_records() -> None:
    names = {name for kind in RECORDS.values() for name in option_names(kind, Interface.PYTHON)}
    assert {*signature(rilievo.predict).parameters} == names | {"image"}
    flat = {name for _, name in EVERY}
    assert {*signature(PredictOptions).parameters} == flat
    assert len(flat) == len(EVERY), "an option stands in one record"


def test_the_stub_of_keywords_is_that_of_the_records() -> None:
    """``python tools/write_keywords.py`` writes it anew."""
    tools = runpy.run_path(str(ROOT / "tools/write_keywords.py"))
    made, stored = ast.parse(tools["stub"]()), ast.parse(tools["STUB"].read_text())
    for kind in (ast.ClassDef, ast.ImportFrom):
        texts = [
            sorted(ast.unparse(row) for row in tree.body if isinstance(row, kind))
            for tree in (made, stored)
        ]
        assert texts[0] == texts[1]


def test_the_table_of_offers_names_every_option_at_every_door() -> None:
    assert {(offer.record, offer.option.name) for offer in offers()} == {*EVERY}
    for effect in get_args(Effect):
        assert {offer.option.declaration.affects for offer in offers(effect)} == {effect}
    assert {offer.door for offer in offers()} == {*Interface}


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_a_parameter_of_requests_or_marked(
    kind: type[Record], name: str, parameters: Mapping[str, Mapping[str, Any]]
) -> None:
    if name in option_names(kind, Interface.HTTP):
        assert parameters[name]["description"]
        default = getattr(kind(), name)
        assert parameters[name]["schema"].get("default") == ([] if default == () else default)
    elif name not in ("model", "save"):  # those of requests have their own meaning
        assert name not in parameters


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_recorded_or_marked(kind: type[Record], name: str) -> None:
    record = copy(kind())
    object.__setattr__(record, name, changed(getattr(record, name)))
    [one] = [field for field in list_options(kind) if field.name == name]
    assert (name in recorded_options(record)) is (one.declaration.recorded != "never")


def changed(value: Any) -> Any:
    if isinstance(value, Switch):
        return Switch.OFF if value else Switch.ON
    return not value if isinstance(value, bool) else "another"


def test_an_option_that_there_is_not_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match=r"predict\(\).* unexpected keyword argument 'trimm'"):
        rilievo.predict("photo.jpg", trimm=True)  # pyright: ignore
    with pytest.raises(TypeError, match=r"PredictOptions\(\).* argument 'trimm'"):
        PredictOptions(trimm=True)  # pyright: ignore


def test_options_are_given_flat_and_held_in_records() -> None:
    options = PredictOptions(trim=False, fov=60.0, refine=Refine(tile=128))
    assert options.refine == Refine(tile=128, trim=Switch.OFF)
    assert options.view == CameraOptions(fov=60.0)
    assert options == PredictOptions(tile=128, trim="off", fov=60)
    with pytest.raises(AttributeError, match="no attribute 'trimm'"):
        _ = options.trimm  # pyright: ignore


@pytest.mark.parametrize(
    ("keywords", "flags", "option", "rest"),
    [
        ({"fov": 200.0}, "--fov 200", "fov", "must be between 0 and 180 degrees, got 200.0"),
        (
            {"drop": "walls"},
            "--drop walls",
            "drop",
            "does not accept 'walls'; known: sky, background",
        ),
        (
            {"same_camera": True},
            "--same-camera",
            "same_camera",
            "needs known sizes that all photographs share",
        ),
    ],
)
def test_an_error_has_its_facts_and_a_door_words_it(
    keywords: dict[str, Any], flags: str, option: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(rilievo.OptionError) as refused:
        PredictOptions(**keywords)
    error = refused.value
    assert error.option == option
    assert str(error).startswith(f"{option} {rest}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert main(["predict", "a.jpg", *flags.split()]) == 2
    assert capsys.readouterr().err.startswith(f"rilievo: {spell_flag(option)} {rest}")


def test_options_in_a_remedy_are_worded_by_the_door_too() -> None:
    hint = Text("give ", OptionName("known_length"))
    error = rilievo.OptionError(option="sparse_unit", expected="a unit", hint=hint)
    assert error.worded(spell_flag) == "--sparse-unit is a unit; give --known-length"
    assert str(error) == "sparse_unit is a unit; give known_length"
