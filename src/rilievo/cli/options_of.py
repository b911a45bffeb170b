"""Facts about the options of a command, read from its dataclasses."""

import ast
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union

import tyro

_METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}
_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFacts:
    """One option or argument of a command.

    Attributes:
        name: Name of the field.
        flags: Flags as they are typed, short ones first; empty for a positional argument.
        metavar: Placeholder for its value; "" for a switch.
        takes: Description of its value, for error messages.
        help: Description, as one line.
        default: Default value as text; "" if there is none to show.
        required: Whether it has to be given.
        repeats: Whether it takes several values, or may be given again.
        group: Title of its group.
    """

    name: str
    flags: tuple[str, ...]
    metavar: str
    takes: str
    help: str
    default: str
    required: bool
    repeats: bool
    group: str


@cache
def options_of(command: type) -> tuple[OptionFacts, ...]:
    """List the options of a dataclass and of nested ones, in the order of their fields.

    A dataclass may sort its options into groups by ``GROUPS``, a mapping from titles to names of
    fields; fields that it does not name belong to its ``GROUP``.
    """
    return tuple(_walk(command, prefix=""))


def _walk(command: type, prefix: str) -> Iterator[OptionFacts]:
    hints = typing.get_type_hints(command, include_extras=True)
    texts = _attribute_texts(command)
    titles = {
        name: title for title, names in getattr(command, "GROUPS", {}).items() for name in names
    }
    for field in fields(command):
        kind, marks = _taken_apart(hints[field.name])
        if is_dataclass(kind):
            own = _first(marks, "name")
            deeper = f"{prefix}{field.name.replace('_', '-')}." if own is None else prefix
            yield from _walk(typing.cast(type, kind), deeper if own is None else prefix + own)
        else:
            title = titles.get(field.name, getattr(command, "GROUP", "Options"))
            yield _facts(field, kind, marks, prefix, texts.get(field.name, ""), title)


def _facts(
    field: "Field[Any]", kind: Any, marks: tuple[Any, ...], prefix: str, text: str, title: str
) -> OptionFacts:
    default = None if field.default is MISSING else field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    hint = _first(marks, "help_behavior_hint")
    switch = kind is bool
    name = (_first(marks, "name") or field.name).replace("_", "-")
    negative = "no-" if switch and default is True else ""
    by_place = tyro.conf.Positional in marks
    flags = (*(_first(marks, "aliases") or ()), f"--{prefix}{negative}{name}")
    inner, many = _value_type(kind)
    return OptionFacts(
        name=field.name,
        flags=() if by_place else flags,
        metavar=_first(marks, "metavar") or ("" if switch else _metavar(inner, field.name)),
        takes=_in_words(inner),
        help=_first(marks, "help") or text,
        default=hint.strip("()").removeprefix("default: ") if hint else _shown(default),
        required=field.default is MISSING and field.default_factory is MISSING,
        repeats=many,
        group=title if not by_place else "",
    )


def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split an annotated type into the type and its annotations."""
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    kind, *marks = typing.get_args(hint)
    inner, more = _taken_apart(kind)
    return inner, (*marks, *more)


def _first(marks: tuple[Any, ...], name: str) -> Any:
    found = (getattr(mark, name, None) for mark in marks if not isinstance(mark, str))
    return next((each for each in found if each is not None), None)


def _value_type(kind: Any) -> tuple[Any, bool]:
    """Type of one value, and whether several may be given."""
    if typing.get_origin(kind) in (Union, UnionType):
        kind = next(each for each in typing.get_args(kind) if each is not NoneType)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (tuple, list) and arguments:
        return _value_type(arguments[0])[0], True
    return kind, False


def _metavar(kind: Any, name: str = "") -> str:
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(each.value) for each in kind)
    return name.upper() if kind is str and name else _METAVARS.get(kind, "VALUE")


def _in_words(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    return " or ".join(_metavar(kind).split("|"))


def _shown(default: Any) -> str:
    if default is None or default is False or default is True or default == () or default == "":
        return ""
    if isinstance(default, Mapping):
        return ""
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, tuple):
        return " ".join(map(_shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


@cache
def _attribute_texts(command: type) -> Mapping[str, str]:
    """Docstring below each field of a class and of its bases."""
    texts: dict[str, str] = {}
    for each in reversed(command.__mro__):
        if not is_dataclass(each):
            continue
        [definition] = ast.parse(dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
        for one, next_one in zip(definition.body, definition.body[1:], strict=False):
            if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
                continue
            if isinstance(next_one, ast.Expr) and isinstance(next_one.value, ast.Constant):
                texts[one.target.id] = " ".join(str(next_one.value.value).split())
    return texts
