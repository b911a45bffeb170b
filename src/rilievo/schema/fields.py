"""Schema of options: a record's field is the option at every door.

A field of a record, with its docstring::

    tile: Annotated[int | None, option(metavar="PIXELS")] = None
    \"\"\"Side in pixels of overlapping tiles.\"\"\"
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import Enum, Flag, StrEnum, auto
from functools import cache, cached_property
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from rilievo.errors import OptionError
from rilievo.schema.typed_values import UNITS, metres_of, metres_of_unit, to_option_type

Made = TypeVar("Made")
Call = TypeVar("Call", bound=Callable[..., Any])

Groups = Mapping[str, tuple[str, ...]]
Effect = Literal["answer", "files", "speed"]

_METAVARS = {int: "N", float: "NUMBER", Path: "PATH"}
_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


class Door(Flag):
    """Entry points where users give options."""

    COMMAND = auto()
    """Files: ``rilievo predict``."""
    PYTHON = auto()
    """Photographs in memory: ``rilievo.predict``."""
    HTTP = auto()
    """Requests, which name no file and have bounds on their cost."""
    LOCAL = COMMAND | PYTHON
    EVERYWHERE = COMMAND | PYTHON | HTTP


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class option:
    """Declaration of an option.

    Attributes:
        above: Largest number that is too small; ``below`` is the least that is too large.
        unit: Unit of a number, in messages.
        names_unit: Whether a length is that of one stored number, so that a unit alone is one too.
        choices: Words that a text may be.
        names: Function that lists names for the help.
        takes: Description of the value in messages.
        subject: Subject of an option that only some outputs show.
        recorded: Condition for a place in the JSON beside results; "changed" is unlike the default.
        request: Description for requests, where the docstring does not fit.
        first: Whether the first help shows it.
        python: Type of the keyword, where it takes more than the field.
        name: Name in place of the field's; "" puts a record's fields among those around it.
        default: Description of the default.
        without: Fields of a record that are not offered.
        repeats: Whether the flag is written once a value.
        commas: Whether a text is a list with commas.
        hidden: Whether no door offers it.
    """

    metavar: str = ""
    name: str | None = None
    aliases: tuple[str, ...] = ()
    default: str = ""
    without: tuple[str, ...] = ()
    positional: bool = False
    repeats: bool = False
    commas: bool = False
    hidden: bool = False
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    names_unit: bool = False
    choices: tuple[str, ...] = ()
    names: Callable[[], Iterable[str]] | None = None
    takes: str = ""
    doors: Door = Door.EVERYWHERE
    affects: Effect = "answer"
    subject: str = ""
    recorded: Literal["changed", "always", "never"] = "changed"
    request: str = ""
    first: bool = False
    python: Any = None

    @property
    def range(self) -> str:
        """Range of a number in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.above == 0 and self.below is None:
            return f"a positive number{unit and ' of'}{unit}"
        least, most = (
            next((bound for bound in pair if bound is not None), None)
            for pair in ((self.least, self.above), (self.most, self.below))
        )
        if least is None and most is None:
            return ""
        if most is None:
            return f"{least:g}{unit} or more"
        return f"between {least:g} and {most:g}{unit}"

    def allows(self, value: Any) -> bool:
        """Whether a value is a choice, or in the range."""
        if self.choices:
            return value in self.choices
        return not self.range or (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value < math.inf
        )


_PLAIN = option()


class Switch(StrEnum):
    """Option that is on or off."""

    ON = "on"
    OFF = "off"

    def __bool__(self) -> bool:
        return self is Switch.ON


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OptionField:
    """Option or argument of a command.

    Attributes:
        path: Path of the field from the command's record, such as ``config.losses.ssim``.
        record: Record that declares the field.
        kind: Type without None.
        inner: Type of one value.
        takes_many: Whether several words are its values.
        is_switch: Whether the flag needs no value.
        words: Words after "=", such as ``--resume=hash``.
        flag: Positive flag; "" for a positional argument.
        opposite: Flag that turns a switch off.
    """

    name: str
    path: str
    record: type
    kind: Any
    inner: Any
    takes_many: bool
    is_switch: bool
    words: tuple[str, ...]
    is_optional: bool
    default: Any
    facts: option
    flag: str
    opposite: str
    group: str
    off: str

    @property
    def help(self) -> str:
        """Docstring of the field, and its known names."""
        text, names = field_docstrings(self.record).get(self.name, ""), self.facts.names
        return text if names is None else f"{text} Known: {', '.join(names())}."

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags in the help, for a switch the one that changes it."""
        if not self.flag:
            return ()
        off = self.opposite and self.default is True
        return (*self.facts.aliases, self.opposite if off else self.flag)

    @property
    def every_flag(self) -> tuple[str, ...]:
        """All flags."""
        return tuple(filter(None, (*self.facts.aliases, self.flag, self.opposite)))

    @property
    def is_list(self) -> bool:
        """Whether a word is a list with commas."""
        return self.facts.commas or (not self.takes_many and ... in get_args(self.kind))

    @property
    def is_length(self) -> bool:
        """Whether it is a length, in metres or with a unit."""
        return self.kind is float and self.metavar == "METRES"

    def _read_length(self, text: str) -> float:
        """Metres of a length, or of the unit of a stored number."""
        return metres_of_unit(text) if self.facts.names_unit else metres_of(text)

    @property
    def label(self) -> str:
        """Name in messages."""
        return self.flags[-1] if self.flag else self.name.replace("_", " ")

    @property
    def choices(self) -> Mapping[str, Any]:
        """Values by their words."""
        if self.words:
            return {"yes": True, **{word: word for word in self.words}}
        if self.inner is bool:
            return {"True": True, "False": False}
        if isinstance(self.inner, type) and issubclass(self.inner, Enum):
            return {str(member.value): member for member in self.inner}
        literals = get_args(self.inner) if get_origin(self.inner) is Literal else ()
        return {word: word for word in literals or self.facts.choices}

    @property
    def annotation(self) -> Any:
        """Type of the keyword."""
        if self.facts.python is not None:
            return self.facts.python
        return self.kind | None if self.is_optional else self.kind

    @property
    def metavar(self) -> str:
        """Placeholder for the value."""
        if self.is_switch:
            return f"[={'|'.join(self.words)}]" if self.words else ""
        if self.facts.metavar or self.choices:
            return self.facts.metavar or "|".join(self.choices)
        several = "" if self.takes_many or self.inner is self.kind else ",..."
        return (self.name.upper() if self.inner is str else _METAVARS[self.inner]) + several

    @property
    def takes(self) -> str:
        """Description of the values that it takes."""
        if self.words:
            return " or ".join(("alone", *self.words))
        if self.inner is not self.kind and not self.takes_many:
            kinds = get_args(self.kind)
            count = "" if ... in kinds else f"{len(kinds)} "
            return f"{count}{'whole ' if self.inner is int else ''}numbers with commas between"
        if self.takes_many:
            return f"a list of texts {self.metavar}"
        if self.facts.names_unit:
            return f"the metres of one number, such as 0.001, or its unit ({UNITS})"
        if self.is_length:
            return f"a number of metres, or of another unit with its symbol ({UNITS})"
        return " or ".join(self.choices) or _WORDS[self.inner]

    def check(self, value: Any) -> Any:
        """Convert and check a value of Python.

        Raises:
            OptionError: If it is of another type or out of range.
        """
        if value is None and self.is_optional:
            return None
        with suppress(ValueError):
            if self._is_python_value(value):
                return tuple(value) if self.takes_many else value
            if self.is_length and isinstance(value, str):
                value = self._read_length(value)
            typed_value = to_option_type(self.kind, value)
            if self.facts.allows(typed_value):
                return typed_value
        takes = self.facts.takes or self.facts.range or self.takes
        if self.facts.names_unit:
            takes = self.takes
        raise OptionError(option=self.name, value=value, expected=takes)

    def _is_python_value(self, value: Any) -> bool:
        also = self.facts.python
        if also is None or self.kind in (str, Switch) or isinstance(value, str | Path):
            return False
        if self.takes_many:
            return get_args(also) != (str,) and isinstance(value, tuple | list)
        return isinstance(value, also)

    @property
    def shown_default(self) -> str:
        """Default as text."""
        return self.facts.default or _default_text(self.default)

    def read(self, text: str) -> Any:
        """Convert a word of a command line.

        Raises:
            ValueError: If it is no value.
        """
        if self.is_optional and text == "None":
            return None
        if choices := self.choices:
            if text not in choices:
                raise ValueError(f"expected {self.takes}")
            return choices[text]
        if self.is_length:
            return self._read_length(text)
        if self.inner is self.kind or self.takes_many:
            return self.inner(text)
        kinds = get_args(self.kind)
        values = tuple(self.inner(part) for part in text.split(","))
        if (... not in kinds and len(values) != len(kinds)) or not all(map(math.isfinite, values)):
            raise ValueError(f"expected {self.takes}")
        return values


def _default_text(default: Any) -> str:
    if default is True:
        return "yes"
    if default is MISSING or default is None or default is False or default in ((), ""):
        return ""
    if isinstance(default, Mapping):
        return ""
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, tuple):
        return ",".join(map(_default_text, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


@cache
def options_of(record: type) -> tuple[OptionField, ...]:
    """List the options of a record and of nested ones, by groups.

    ``GROUPS`` of a record maps titles to fields; others belong to ``GROUP``.
    """
    return tuple(_walk_options(record))


def _walk_options(
    record: type,
    prefix: str = "",
    path: str = "",
    instance: object = None,
    without: tuple[str, ...] = (),
) -> Iterator[OptionField]:
    titles = {
        name: title for title, names in getattr(record, "GROUPS", {}).items() for name in names
    }
    order = [*titles]
    kinds = field_kinds(record)
    for field in sorted(
        fields(record), key=lambda one: order.index(one.name) + 1 if one.name in titles else 0
    ):
        kind, is_optional, facts = kinds[field.name]
        default = default_of(field) if instance is None else getattr(instance, field.name)
        name = (field.name if facts.name is None else facts.name).replace("_", "-")
        if facts.hidden or field.name in without:
            continue
        if is_dataclass(kind):
            below = None if default is MISSING else default
            deeper = f"{prefix}{name}." if name else prefix
            yield from _walk_options(kind, deeper, f"{path}{field.name}.", below, facts.without)
        else:
            is_switch = (kind is bool and not is_optional) or bool in get_args(kind)
            is_tuple = get_origin(kind) is tuple
            inner = get_args(kind)[0] if is_tuple else kind
            yield OptionField(
                name=field.name,
                path=f"{path}{field.name}",
                record=record,
                kind=kind,
                inner=inner,
                takes_many=is_tuple and inner not in (int, float),
                is_switch=is_switch,
                words=get_args(get_args(kind)[1]) if is_switch and kind is not bool else (),
                is_optional=is_optional,
                default=default,
                facts=facts,
                flag="" if facts.positional else f"--{prefix}{name}",
                opposite=f"--{prefix}no-{name}" if is_switch else "",
                group=titles.get(field.name, getattr(record, "GROUP", "Options")),
                off=getattr(record, "OFF", {}).get(field.name, ""),
            )


@cache
def field_kinds(record: type) -> Mapping[str, tuple[Any, bool, option]]:
    """Type without None, whether it may be None, and declaration of each field."""
    hints, declared = get_type_hints(record, include_extras=True), {}
    for field in fields(record):
        kind, facts, is_optional = hints[field.name], _PLAIN, False
        if get_origin(kind) is Annotated:
            kind, *marks = get_args(kind)
            facts = next((mark for mark in marks if isinstance(mark, option)), facts)
        if get_origin(kind) in (Union, UnionType):
            is_optional = NoneType in get_args(kind)
            kinds = [part for part in get_args(kind) if part is not NoneType]
            # A switch with a word stays a union; of numbers the first takes all.
            kind = kind if kinds[0] is bool and len(kinds) == 2 else kinds[0]
        declared[field.name] = kind, is_optional, facts
    return declared


def default_of(field: "Field[Any]") -> Any:
    """Default of a field, made if need be; else ``MISSING``."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def build_record(
    record: type[Made], values: Mapping[str, Any], path: str = "", default: Made | None = None
) -> Made:
    """Make a record and nested ones of values by paths; ``default`` has the others."""
    own: dict[str, Any] = {}
    made: Any = record if default is None else default
    for field in fields(made):
        kind, _, _ = field_kinds(record)[field.name]
        place = f"{path}{field.name}"
        if is_dataclass(kind):
            usual = default_of(field) if default is None else getattr(default, field.name)
            below = build_record(kind, values, f"{place}.", None if usual is MISSING else usual)
            if below is not usual:
                own[field.name] = below
        elif place in values:
            own[field.name] = values[place]
    if default is None:
        return record(**own)
    return replace(made, **own) if own else default


class Record:
    """Options of one subject, as the user wrote them; properties are read when it is made.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    GROUP: ClassVar[str]
    # Pairs that do not go together.
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __post_init__(self) -> None:
        kind = type(self)
        for one in options_of(kind):
            if one.name == one.path:  # records within check themselves
                object.__setattr__(self, one.name, one.check(getattr(self, one.name)))
        for name in _cached_property_names(kind):
            getattr(self, name)
        for first, second in kind.EXCLUSIVE:
            if _is_set(getattr(self, first)) and _is_set(getattr(self, second)):
                raise OptionError(option=first, without=second)


def _is_set(value: Any) -> bool:
    empty = isinstance(value, str | tuple | list) and not value
    return not (empty or value is None or value is False)


@cache
def _cached_property_names(kind: type) -> tuple[str, ...]:
    members = ((name, member) for base in kind.__mro__ for name, member in vars(base).items())
    return tuple(name for name, member in members if isinstance(member, cached_property))


def option_names(record: type, door: Door | None = None) -> tuple[str, ...]:
    """Names of fields that a door offers."""
    options = options_of(record)
    return tuple(one.name for one in options if door is None or door in one.facts.doors)


def settings_to_record(record: Record) -> dict[str, Any]:
    """Values for the JSON beside results; defaults are left out, so that options can be added."""
    settings: dict[str, Any] = {}
    for one in options_of(type(record)):
        value, when = getattr(record, one.name), one.facts.recorded
        if when == "always" or (when == "changed" and value != one.default):
            if isinstance(value, tuple):
                value = " ".join(map(str, value))
            settings[one.name] = str(value) if isinstance(value, str) else value
    return settings


def signature_with(
    call: Callable[..., Any],
    records: Iterable[type],
    door: Door | None = None,
    *,
    without: Collection[str] = (),
) -> Signature:
    """Signature of a call, with the options of records in place of its ``**keywords``.

    ``help`` and editors of notebooks show it. It is generated, because a written one would state
    each option a second time; type checkers read ``options/keywords.pyi`` instead.
    """
    options = [
        _keyword_parameter(field)
        for record in records
        for field in options_of(record)
        if (door is None or door in field.facts.doors) and field.name not in without
    ]
    names = {parameter.name for parameter in options}
    written = signature(call)
    kept = [
        parameter
        for parameter in written.parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD and parameter.name not in names
    ]
    return written.replace(parameters=[*kept, *options])


def _keyword_parameter(field: OptionField) -> Parameter:
    default = bool(field.default) if field.kind is Switch else field.default
    return Parameter(
        field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.annotation
    )


def with_options(
    *records: type, door: Door | None = None, without: Collection[str] = ()
) -> Callable[[Call], Call]:
    """Decorator that gives a function the signature of ``signature_with``."""

    def attach(call: Call) -> Call:
        # ``inspect.signature`` reads this attribute, which functions do not declare.
        call.__signature__ = signature_with(call, records, door, without=without)  # pyright: ignore[reportAttributeAccessIssue]
        return call

    return attach


def refuse_unknown_keywords(call: str, keywords: Iterable[str], choices: Iterable[str]) -> None:
    """Refuse an unknown keyword, as Python does, and name the one that is meant."""
    names = {*choices}
    for name in keywords:
        if name not in names:
            hint = _keyword_hint(name, names)
            end = f"; {hint}" if hint else ""
            raise TypeError(f"{call}() got an unexpected keyword argument '{name}'{end}")


def _keyword_hint(name: str, names: Collection[str]) -> str:
    # Imported on demand: most keywords are known.
    from difflib import get_close_matches

    from rilievo.errors.foreign_names import hint_for_keyword

    near = get_close_matches(name, names, n=1, cutoff=0.75)
    return hint_for_keyword(name, names) or (f"did you mean '{near[0]}'?" if near else "")


@cache
def field_docstrings(record: type) -> Mapping[str, str]:
    """Docstrings of a record's fields."""
    # Imported on demand: only help and the documents of servers show them.
    import ast
    import inspect
    import itertools
    import textwrap

    texts: dict[str, str] = {}
    for base in filter(is_dataclass, reversed(record.__mro__)):
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
        for one, below in itertools.pairwise(definition.body):
            match one, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(text)):
                    texts[name] = " ".join(str(text).split())
    return texts


SwitchLike = Switch | bool | Literal["on", "off"]
