"""Records of options: frozen dataclasses that check themselves, read by every door.

A field is a knob: its name, type, default, docstring and marks are all that the command line, the
keyword arguments of Python, the parameters of requests and the JSON beside results are made from.
Fields hold what the user wrote, which results record; what it means is a ``cached_property``, read
once, when the record is made.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import numpy as np

from rilievo.errors import OptionError
from rilievo.foreign_names import instead
from rilievo.options.on_off import Switch
from rilievo.options.option_marks import ALWAYS_RECORDED, UNRECORDED
from rilievo.options.removed_options import REMOVED
from rilievo.types import Setting

SomeRecord = TypeVar("SomeRecord", bound="Record")

Rule = tuple[str, Callable[[float], bool], str]
"""Name of an option, whether a value is in its range, and the range in words."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of options on one subject.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    GROUP: ClassVar[str]
    """Title of the options in the help."""
    TYPES: ClassVar[tuple[tuple[str, type | tuple[type, ...], str], ...]] = ()
    """Types that are checked early: others from Python callers would fail late and elsewhere."""
    RULES: ClassVar[tuple[Rule, ...]] = ()
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs that do not go together."""

    def __post_init__(self) -> None:
        kind = type(self)
        for name, kinds, words in _all_of(kind, "TYPES"):
            if not isinstance(getattr(self, name), kinds):
                raise OptionError(f"{name} is {words}, got {getattr(self, name)!r}")
        for name in _switches(kind):
            object.__setattr__(self, name, _switch(name, getattr(self, name)))
        check_rules(self, _all_of(kind, "RULES"))
        for name in _read_once(kind):
            getattr(self, name)
        for one, other in _all_of(kind, "EXCLUSIVE"):
            if _is_given(getattr(self, one)) and _is_given(getattr(self, other)):
                raise OptionError(f"{flag(one)} and {flag(other)} do not go together; give one")


def check_rules(options: object, rules: Iterable[Rule]) -> None:
    """Refuse an option that is out of its range; None is always in it."""
    for name, is_fine, words in rules:
        value = getattr(options, name)
        if value is not None and not is_fine(value):
            raise OptionError(f"{flag(name)} is {words}, got {value}")


def flag(name: str) -> str:
    """Flag of a field on the command line."""
    return "--" + name.replace("_", "-")


@cache
def names_of(kind: type) -> tuple[str, ...]:
    """Names of a record's fields."""
    return tuple(field.name for field in fields(kind))


def picked(kind: type[SomeRecord], given: Mapping[str, Any]) -> SomeRecord:
    """Make a record of those of the values that are its own."""
    return kind(**{name: given[name] for name in names_of(kind) if name in given})


def signature_with(
    call: Callable[..., Any], arguments: type, kinds: Iterable[type[Record]]
) -> inspect.Signature:
    """Signature of a function whose last parameter is the fields of records by their names."""
    usual = {field.name: _of_python(field.default) for kind in kinds for field in fields(kind)}
    signature = inspect.signature(call)
    own = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=usual[name], annotation=annotation
        )
        for name, annotation in arguments.__annotations__.items()
        if name in usual
    ]
    return signature.replace(parameters=[*[*signature.parameters.values()][:-1], *own])


def refuse_unknown(call: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a keyword argument that a call does not have, as Python does."""
    names = {*known}
    for name in given:
        if name in REMOVED:
            raise TypeError(f"{call}(): {name} {REMOVED[name]}")
        if name not in names:
            raise TypeError(
                f"{call}() got an unexpected keyword argument '{name}'{instead('predict', name)}"
            )


@cache
def marks_of(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """Annotations of each field of a record."""
    return {field.name: _annotations(field.type) for field in fields(kind)}


def recorded(record: Record) -> dict[str, Setting]:
    """Options as the JSON beside results records them.

    Defaults are left out, so that results from before an option was added still agree.
    """
    marks = marks_of(type(record))
    found: dict[str, Setting] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if UNRECORDED in marks[field.name]:
            continue
        if value != field.default or ALWAYS_RECORDED in marks[field.name]:
            found[field.name] = _plain(value)
    return found


def _of_python(value: Any) -> Any:
    return bool(value) if isinstance(value, Switch) else value


def _is_given(value: Any) -> bool:
    return isinstance(value, np.ndarray) or bool(value)


def _plain(value: Any) -> Setting:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if isinstance(value, str) else value


def _annotations(kind: Any) -> tuple[Any, ...]:
    return get_args(kind)[1:] if get_origin(kind) is Annotated else ()


def _without_annotations(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


@cache
def _all_of(kind: type, name: str) -> tuple[Any, ...]:
    """Rules of a record and of those that it inherits from."""
    return tuple(rule for each in kind.__mro__ for rule in vars(each).get(name, ()))


@cache
def _switches(kind: type) -> tuple[str, ...]:
    every = fields(kind)
    return tuple(each.name for each in every if _without_annotations(each.type) is Switch)


def _switch(name: str, value: object) -> Switch:
    if isinstance(value, bool):
        return Switch.ON if value else Switch.OFF
    if value not in ("on", "off"):
        raise OptionError(f"{flag(name)} is on or off, got {value!r}")
    return Switch(value)


@cache
def _read_once(kind: type) -> tuple[str, ...]:
    """Names of what a record's fields mean."""
    members = ((name, member) for each in kind.__mro__ for name, member in vars(each).items())
    return tuple(name for name, member in members if isinstance(member, cached_property))
