"""Settings of models: one dataclass each, named by the model's card.

The fields are the settings, with their types and defaults; the docstring under each is its help.
Settings are given by name: ``settings={"steps": 4}`` to ``load_model``, ``--set steps=4`` on the
command line, where the text is converted to the field's type.
"""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from rilievo.errors import OptionError, suggest
from rilievo.types import Setting

Record = TypeVar("Record")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFacts:
    """Description of one setting."""

    name: str
    type: str
    default: str | None
    help: str


def parse_pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """Parse the strings ``name=value`` of the command line."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise OptionError(f"--set is NAME=VALUE, got '{text}'")
        if name in pairs:
            raise OptionError(f"--set {name} is given twice")
        pairs[name] = value.strip()
    return pairs


def settings_class(place: str) -> type[Any]:
    """Import the dataclass that a card names as ``module:class``."""
    module, _, name = place.partition(":")
    found = getattr(import_module(module), name)
    assert is_dataclass(found), "settings are a dataclass"
    assert isinstance(found, type), "its class, not an object"
    return found


def read_settings(record: type[Record], given: Mapping[str, Setting], model: str) -> Record:
    """Settings of a model from the user's values, with defaults for the others.

    Args:
        record: Dataclass of the model's settings; it checks its own ranges.
        given: Values by name; strings are converted to the types of the fields.
        model: Name of the model in messages.
    """
    types = _types(record)
    values: dict[str, Setting] = {}
    for name, value in given.items():
        if name not in types:
            raise OptionError(f"model '{model}' has no setting '{name}'; {suggest(name, types)}")
        values[name] = _converted(f"model '{model}': {name}", types[name], value)
    try:
        return record(**values)
    except OptionError as error:
        raise OptionError(f"model '{model}': {error}") from error


def describe_settings(record: type[Any]) -> tuple[SettingFacts, ...]:
    """Describe every setting of a model, in the order of the fields."""
    types, helps = _types(record), field_texts(record)
    return tuple(
        SettingFacts(
            name=field.name,
            type=_WORDS[_plain(types[field.name])],
            default=None if field.default is None else f"{field.default}",
            help=helps[field.name],
        )
        for field in fields(record)
    )


def _types(record: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _plain(kind: Any) -> type:
    """The field's type without None."""
    if isinstance(kind, UnionType):
        [kind] = [each for each in get_args(kind) if each is not NoneType]
    return kind


def _converted(what: str, kind: Any, value: Setting) -> Setting:
    plain = _plain(kind)
    if value is None and plain is not kind:
        return None
    if isinstance(value, str) and plain is not str:
        return _read(what, plain, value)
    # bool is a subclass of int in Python, but true is not a number here.
    exact = type(value) is plain or (plain is float and type(value) is int)
    if not exact:
        raise OptionError(f"{what} is {_WORDS[plain]}, got {value!r}")
    return float(value) if plain is float and isinstance(value, int) else value


def _read(what: str, plain: type, text: str) -> Setting:
    truths = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        if plain is bool:
            return truths[text.strip().lower()]
        return int(text) if plain is int else float(text)
    except (KeyError, ValueError) as error:
        raise OptionError(f"{what} is {_WORDS[plain]}, got '{text}'") from error


def field_texts(record: type[Any]) -> Mapping[str, str]:
    """The docstring under each field of a dataclass and of its bases, on one line."""
    texts: dict[str, str] = {}
    for each in filter(is_dataclass, reversed(record.__mro__)):
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
        for one, below in itertools.pairwise(definition.body):
            match one, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(text)):
                    texts[name] = " ".join(str(text).split())
    return texts
