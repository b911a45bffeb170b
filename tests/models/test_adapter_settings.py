"""Settings of models: names, types and ranges, from Python and from the command line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.models import MODELS, load_model
from rilievo.models.load_options import describe_settings, parse_pairs, read_settings
from rilievo.records.prediction_record import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """Settings of an oven."""

    heat: int = 180
    """Heat of the air, in degrees
    Celsius."""
    fan: bool = False
    """Whether it turns."""
    weight: float | None = None
    """Weight in kilograms."""
    name: str = "oven"
    """Name of the oven."""

    def __post_init__(self) -> None:
        if self.heat > 300:
            raise OptionError(f"heat is at most 300, got {self.heat}")


def test_texts_are_read_as_the_types_of_the_fields() -> None:
    given = {"heat": "220", "fan": "yes", "weight": "1.5", "name": "7"}
    assert read_settings(Oven, given, "oven") == Oven(heat=220, fan=True, weight=1.5, name="7")


def test_values_from_python_keep_their_types() -> None:
    given: dict[str, Setting] = {"heat": 220, "fan": True, "weight": 2}
    found = read_settings(Oven, given, "oven")
    assert found == Oven(heat=220, fan=True, weight=2.0)
    assert type(found.weight) is float
    assert read_settings(Oven, {"weight": None}, "oven") == Oven()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"heta": 1}, r"model 'oven' has no setting 'heta'; did you mean 'heat'"),
        ({"heat": "hot"}, "heat must be an integer, got 'hot'"),
        ({"heat": 1.5}, "heat must be an integer, got 1.5"),
        ({"heat": True}, "heat must be an integer, got True"),
        ({"heat": None}, "heat must be an integer, got None"),
        ({"fan": "perhaps"}, "fan must be true or false, got 'perhaps'"),
        ({"weight": "x\ny"}, r"weight must be a number, got 'x\\ny'"),
        ({"name": 3}, "name must be text, got 3"),
        ({"heat": "301"}, "model 'oven': heat is at most 300"),
    ],
)
def test_what_is_no_setting_or_none_of_its_type_is_refused(
    given: dict[str, Setting], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        read_settings(Oven, given, "oven")


def test_help_is_the_docstring_under_each_field() -> None:
    heat, fan, weight, _ = describe_settings(f"{__name__}:Oven")
    assert heat.help == "Heat of the air, in degrees Celsius."
    assert (heat.type, heat.default) == ("an integer", "180")
    assert (fan.type, fan.default) == ("true or false", "False")
    assert (weight.type, weight.default) == ("a number", None)


def test_pairs_of_the_command_line_are_split_at_the_first_sign() -> None:
    assert parse_pairs(["steps=4", ' inputs ={"a": "b=c"}', "name="]) == {
        "steps": "4",
        "inputs": '{"a": "b=c"}',
        "name": "",
    }


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["steps"], "NAME=VALUE, got 'steps'"),
        (["=4"], "NAME=VALUE, got '=4'"),
        (["a=1", "a=2"], "a is given twice"),
    ],
)
def test_pairs_that_are_none_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_pairs(texts)


def test_every_setting_of_the_table_has_a_help() -> None:
    places = {card.settings for card in MODELS.values() if card.settings is not None}
    assert len(places) >= 2
    for place in places:
        for facts in describe_settings(place):
            assert facts.help.endswith(".")


@pytest.mark.parametrize("name", ["{}", "{}.onnx", "replicate:{}", "/{}"])
@pytest.mark.parametrize("kind", [None, "affine"])
def test_a_name_longer_than_any_file_may_have_is_one_line(name: str, kind: str | None) -> None:
    for given in (name.format("a" * 5000), Path(name.format("a" * 5000))):
        with pytest.raises((ModelError, OptionError)) as caught:
            load_model(given, kind=kind)
        assert "\n" not in str(caught.value)


def test_a_model_with_nothing_to_set_says_so() -> None:
    with pytest.raises(OptionError, match="'rilievo/base' has no settings, but you gave steps"):
        load_model(settings={"steps": 4})
    with pytest.raises(OptionError, match="has no settings"):
        load_model("any.onnx", settings={"steps": 4})
