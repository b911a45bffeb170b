"""Every option stands at every door: command line, Python, requests, and the JSON of results."""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from inspect import signature
from typing import Any

import numpy as np
import pytest

import rilievo
from fixed_depth import FixedDepth
from rilievo.cli import main
from rilievo.cli.options_of import options_of
from rilievo.models.arguments import PredictArguments
from rilievo.options.anchor_use import AnchorUse
from rilievo.options.given_camera import GivenCamera
from rilievo.options.known_sizes import KnownArguments, KnownSizes
from rilievo.options.on_off import Switch
from rilievo.options.option_marks import LOCAL, UNRECORDED
from rilievo.options.option_record import Record, flag, marks_of, recorded
from rilievo.options.refine import Refine
from rilievo.options.removed_options import REMOVED
from rilievo.options.saving_options import Saving
from rilievo.predicting.options import RECORDS, PredictKeywords, PredictOptions

OF_REQUESTS = (GivenCamera, KnownSizes, AnchorUse, Refine, Saving)
"""Records that requests have; the others are of runs over files."""
EVERY = [(kind, field.name) for kind in RECORDS.values() for field in fields(kind)]


@pytest.fixture(scope="module")
def parameters() -> Mapping[str, Mapping[str, Any]]:
    pytest.importorskip("pydantic", reason="the extra 'serve' is not installed")
    pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
    from rilievo.serving.server.openapi import document

    found = document([])["paths"]["/v1/predict"]["post"]["parameters"]
    return {each["name"]: each for each in found}


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_explained_on_the_command_line(kind: type[Record], name: str) -> None:
    [option] = [each for each in options_of(PredictOptions) if each.name == name]
    assert option.help
    assert option.group == kind.GROUP
    assert option.flags


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_a_keyword_of_python(kind: type[Record], name: str) -> None:
    assert name in PredictKeywords.__annotations__
    assert name in signature(PredictOptions).parameters
    of_predict = {*PredictArguments.__annotations__}
    if kind in (GivenCamera, AnchorUse, Refine):
        assert name in of_predict
    if name in of_predict:
        default = signature(rilievo.predict).parameters[name].default
        assert default == getattr(kind(), name) or default is bool(getattr(kind(), name))


def test_predict_has_no_other_arguments_than_those_of_records() -> None:
    names = {field.name for kind in (GivenCamera, AnchorUse, Refine) for field in fields(kind)}
    assert {*PredictArguments.__annotations__} == names | {*KnownArguments.__annotations__}
    flat = {name for _, name in EVERY}
    assert {*PredictKeywords.__annotations__} == flat | {*RECORDS}
    assert len(flat) == len(EVERY), "an option stands in one record"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_a_parameter_of_requests_or_marked(
    kind: type[Record], name: str, parameters: Mapping[str, Mapping[str, Any]]
) -> None:
    if kind in OF_REQUESTS and LOCAL not in marks_of(kind)[name]:
        assert parameters[name]["description"]
        default = getattr(kind(), name)
        assert parameters[name]["schema"].get("default") == ([] if default == () else default)
    elif name not in ("model", "save"):  # those of requests have their own meaning
        assert name not in parameters


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_is_recorded_or_marked(kind: type[Record], name: str) -> None:
    record = copy(kind())
    object.__setattr__(record, name, changed(getattr(record, name)))
    assert (name in recorded(record)) is (UNRECORDED not in marks_of(kind)[name])


def changed(value: Any) -> Any:
    if isinstance(value, Switch):
        return Switch.OFF if value else Switch.ON
    return not value if isinstance(value, bool) else "another"


def test_an_option_that_there_is_not_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match=r"predict\(\).* unexpected keyword argument 'trimm'"):
        rilievo.predict("photo.jpg", trimm=True)  # pyright: ignore
    with pytest.raises(TypeError, match=r"PredictOptions\(\).* argument 'trimm'"):
        PredictOptions(trimm=True)  # pyright: ignore


@pytest.mark.parametrize(("name", "words"), REMOVED.items())
def test_an_option_that_is_gone_is_answered_at_every_door(
    name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for call in (rilievo.predict, FixedDepth(np.ones((8, 8))).predict):
        with pytest.raises(TypeError, match=rf"predict\(\): {name} {words}"):
            call("photo.jpg", **{name: False})  # pyright: ignore
    with pytest.raises(TypeError, match=rf"PredictOptions\(\): {name} {words}"):
        PredictOptions(**{name: "off"})  # pyright: ignore
    with pytest.raises(TypeError, match=f"argument '{name}'"):
        rilievo.stream("clip.mp4", **{name: False})  # pyright: ignore
    for line in (["photo.jpg", f"{flag(name)}=off"], ["--live", "0", flag(name), "off"]):
        assert main(["predict", *line]) == 2
        assert capsys.readouterr().err == f"rilievo: {flag(name)} {words}\n"


@pytest.mark.parametrize(("name", "words"), REMOVED.items())
def test_requests_are_answered_so_too(name: str, words: str) -> None:
    pytest.importorskip("pydantic", reason="the extra 'serve' is not installed")
    pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
    from rilievo.serving.server.request_refusals import Refusal
    from rilievo.serving.server.requests import asked

    for kind in (asked.PredictAsked, asked.MeasureAsked, asked.StreamAsked):
        for query, form in (([(name, "off")], {}), ([], {name: ["off"]})):
            with pytest.raises(Refusal) as refused:
                asked.read_asked(kind, query, form)
            assert (refused.value.status, refused.value.line) == (400, f"{name} {words}")


def test_options_are_given_flat_and_held_in_records() -> None:
    options = PredictOptions(trim=False, fov=60.0, refine=Refine(tile=128))
    assert options.refine == Refine(tile=128, trim=Switch.OFF)
    assert options.view == GivenCamera(fov=60.0)
    assert options == PredictOptions(tile=128, trim="off", fov=60)
    with pytest.raises(AttributeError, match="no option 'trimm'"):
        _ = options.trimm  # pyright: ignore
