"""Facts about the options of a command, read from its dataclasses."""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union

import tyro

from rilievo.cli.switches import switch_words
from rilievo.models.adapter_settings import field_texts

_METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}
_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFacts:
    """One option or argument of a command.

    Attributes:
        path: Path of the field from the command's dataclass, such as ``config.losses.ssim``.
        flags: Flags as they are typed, short ones first; empty for a positional argument.
        opposite: Flag that turns a switch the other way; "" for other options.
        off: Description of the flag that turns a switch off; "" where there is none.
        metavar: Placeholder for its value; "" for a switch.
        takes: Description of its value, for error messages.
        help: Description, as one line.
        default: Default value as text; "" if there is none to show.
        required: Whether it has to be given.
        repeats: Whether it takes several values, or may be given again.
    """

    path: str
    flags: tuple[str, ...]
    opposite: str
    metavar: str
    takes: str
    help: str
    default: str
    required: bool
    repeats: bool
    group: str
    off: str = ""

    @property
    def name(self) -> str:
        """Name of the field."""
        return self.path.rpartition(".")[2]


@cache
def options_of(command: type) -> tuple[OptionFacts, ...]:
    """List the options of a dataclass and of nested ones, in the order of their fields.

    A dataclass may sort its options into groups by ``GROUPS``, a mapping from titles to names of
    fields; those that it does not name belong to its ``GROUP`` and come first. What the flags that
    turn its switches off do is said by ``OFF``, a mapping from names of fields.
    """
    return tuple(_walk(command))


def _walk(
    command: type, prefix: str = "", path: str = "", instance: object = None
) -> Iterator[OptionFacts]:
    hints = typing.get_type_hints(command, include_extras=True)
    texts = field_texts(command)
    titles = {
        name: title for title, names in getattr(command, "GROUPS", {}).items() for name in names
    }
    order = [*titles]
    for field in sorted(
        fields(command), key=lambda each: order.index(each.name) + 1 if each.name in titles else 0
    ):
        kind, marks = _taken_apart(hints[field.name])
        if tyro.conf.Suppress in marks:
            continue
        default = _default(field) if instance is None else getattr(instance, field.name)
        if is_dataclass(kind):
            own = _first(marks, "name")
            deeper = prefix + (f"{field.name.replace('_', '-')}." if own is None else own)
            below = None if default is MISSING else default
            yield from _walk(typing.cast(type, kind), deeper, f"{path}{field.name}.", below)
        else:
            title = titles.get(field.name, getattr(command, "GROUP", "Options"))
            facts = _facts(f"{path}{field.name}", kind, marks, prefix, default)
            yield replace(
                facts,
                help=facts.help or texts.get(field.name, ""),
                group=title,
                off=getattr(command, "OFF", {}).get(field.name, ""),
            )


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _facts(path: str, kind: Any, marks: tuple[Any, ...], prefix: str, default: Any) -> OptionFacts:
    hint = _first(marks, "help_behavior_hint")
    field = path.rpartition(".")[2]
    name = (_first(marks, "name") or field).replace("_", "-")
    both = f"--{prefix}{name}", f"--{prefix}no-{name}"
    words = switch_words(kind)
    switch = kind is bool or bool(words)
    shown, opposite = both[::-1] if switch and default is True else both
    by_place = tyro.conf.Positional in marks
    inner, many = (bool, False) if words else _value_type(kind)
    several = ",..." if _numbers(kind) is not None else ""
    return OptionFacts(
        path=path,
        flags=() if by_place else (*(_first(marks, "aliases") or ()), shown),
        opposite=opposite if kind is bool else "",
        metavar=f"[={'|'.join(words)}]"
        if words
        else _first(marks, "metavar") or ("" if switch else _metavar(inner, field) + several),
        takes=" or ".join(("alone", *words)) if words else _in_words(kind, inner),
        help=_first(marks, "help") or "",
        default=hint.strip("()").removeprefix("default: ") if hint else _shown(default),
        required=default is MISSING,
        repeats=many,
        group="",
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
        inner = _value_type(arguments[0])[0]
        # Numbers are one word, with commas between.
        return inner, inner not in (int, float)
    return kind, False


def _metavar(kind: Any, name: str = "") -> str:
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(each.value) for each in kind)
    return name.upper() if kind is str and name else _METAVARS.get(kind, "VALUE")


def _in_words(kind: Any, inner: Any) -> str:
    numbers = _numbers(kind)
    if numbers is not None:
        kinds = typing.get_args(numbers)
        count = "" if ... in kinds else f"{len(kinds)} "
        return f"{count}{'whole ' if inner is int else ''}numbers with commas between"
    return _WORDS.get(inner) or " or ".join(_metavar(inner).split("|"))


def _numbers(kind: Any) -> Any:
    """The tuple of numbers that a type is, or that it is a union with; None for others."""
    for each in (kind, *typing.get_args(kind)):
        if typing.get_origin(each) is tuple and typing.get_args(each)[0] in (int, float):
            return each
    return None


def _shown(default: Any) -> str:
    if default is True:
        return "yes"
    if default is MISSING or default is None or default is False or default in ((), ""):
        return ""
    if isinstance(default, Mapping):
        return ""
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, tuple):
        return ",".join(map(_shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
