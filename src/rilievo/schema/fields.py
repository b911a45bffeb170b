"""Schema of options: a field of a dataclass declares an option for every entry point.

A field with its docstring, such as ::

    tile: Annotated[int | None, option(metavar="PIXELS")] = None
    \"\"\"Side in pixels of overlapping tiles.\"\"\"

is the flag ``--tile PIXELS`` with its help, the keyword ``tile`` of Python, and the parameter
``tile`` of requests. The module calls such a dataclass a record, and an entry point an interface.
``options_of`` lists the options of a record. Records may be nested: a field whose type is a record
stands for the options of that record.
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

AnyRecord = TypeVar("AnyRecord")
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

Groups = Mapping[str, tuple[str, ...]]
"""Names of fields by the title under which the help shows them."""
Effect = Literal["answer", "files", "speed"]
"""What an option changes: the model's answer, the files of results, or only the speed."""

_METAVARS = {int: "N", float: "NUMBER", Path: "PATH"}
_TYPES_IN_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


class Interface(Flag):
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
    """Declaration of an option, for what the type of its field cannot say.

    Attributes:
        metavar: Placeholder for the value in the help.
        name: Name in place of the field's. "" for a nested record puts its options among those of
            the record around it, without a prefix.
        aliases: Further flags, such as ``-o``.
        default: Description of the default, if the value itself does not say enough.
        without: Fields of a nested record that are not offered.
        positional: Whether it is an argument of the command, without a flag.
        repeats: Whether the flag is repeated for several values.
        comma_separated: Whether a text is a list with commas.
        hidden: Whether no interface offers it.
        minimum: Smallest number that is allowed.
        maximum: Largest number that is allowed.
        above: Number that is just too small; used in place of ``minimum``.
        below: Number that is just too large; used in place of ``maximum``.
        unit: Unit of a number, in messages.
        names_unit: Whether a length is that of one stored number, so that "mm" alone is a value.
        choices: Words that a text may be.
        names: Function that lists known names for the help.
        expected: Description of the allowed values, for messages.
        available_in: Interfaces that offer it.
        affects: What it changes.
        subject: Outputs that it is about, if it is not about all.
        recorded: When the JSON beside results has it; "changed" if it differs from the default.
        request: Description for requests, where the docstring does not fit.
        in_short_help: Whether the short help shows it.
        python_type: Type of the keyword in Python, if that accepts more than the field.
    """

    metavar: str = ""
    name: str | None = None
    aliases: tuple[str, ...] = ()
    default: str = ""
    without: tuple[str, ...] = ()
    positional: bool = False
    repeats: bool = False
    comma_separated: bool = False
    hidden: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    names_unit: bool = False
    choices: tuple[str, ...] = ()
    names: Callable[[], Iterable[str]] | None = None
    expected: str = ""
    available_in: Interface = Interface.EVERYWHERE
    affects: Effect = "answer"
    subject: str = ""
    recorded: Literal["changed", "always", "never"] = "changed"
    request: str = ""
    in_short_help: bool = False
    python_type: Any = None

    @property
    def range(self) -> str:
        """Range of a number in words; "" if it has none."""
        unit = f" {self.unit}" if self.unit else ""
        if self.above == 0 and self.below is None:
            return f"a positive number of{unit}" if unit else "a positive number"
        lower = self.above if self.minimum is None else self.minimum
        upper = self.below if self.maximum is None else self.maximum
        if lower is None and upper is None:
            return ""
        if upper is None:
            return f"{lower:g}{unit} or more"
        return f"between {lower:g} and {upper:g}{unit}"

    def allows(self, value: Any) -> bool:
        """Whether a value is one of the choices, or in the range if there are none."""
        if self.choices:
            return value in self.choices
        if not self.range:
            return True
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value < math.inf
        )


_NO_DECLARATION = option()
"""Declaration of a field that has none."""


class Switch(StrEnum):
    """Value of an option that is on or off, and that users write as a word."""

    ON = "on"
    OFF = "off"

    def __bool__(self) -> bool:
        return self is Switch.ON


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OptionField:
    """Option or argument of a command, made of a field of a record.

    Attributes:
        name: Name of the field.
        path: Path of the field from the command's record, such as ``config.losses.ssim``.
        record: Record that declares the field.
        value_type: Type of the field without None.
        item_type: Type of an item, if ``value_type`` is a tuple; otherwise ``value_type``.
        takes_many: Whether the value is a tuple of which each item is a word of the command line.
            A tuple of numbers is one word with commas.
        is_switch: Whether the flag needs no value.
        words: What may follow "=" at the flag of a switch, such as ``--resume=hash``.
        is_optional: Whether None is a value.
        default: Default; ``dataclasses.MISSING`` if it has none.
        declaration: Declaration of the field.
        flag: Flag, which turns a switch on; "" for a positional argument.
        opposite: Flag that turns a switch off; "" if it is no switch.
        group: Title under which the help shows it.
        off_help: Help of ``opposite``; "" for the field's docstring, negated.
    """

    name: str
    path: str
    record: type
    value_type: Any
    item_type: Any
    takes_many: bool
    is_switch: bool
    words: tuple[str, ...]
    is_optional: bool
    default: Any
    declaration: option
    flag: str
    opposite: str
    group: str
    off_help: str

    @property
    def help(self) -> str:
        """Docstring of the field, and the names that it takes."""
        text = field_docstrings(self.record).get(self.name, "")
        list_names = self.declaration.names
        if list_names is None:
            return text
        return f"{text} Known: {', '.join(list_names())}."

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags in the help; of a switch the flag that changes the default."""
        if not self.flag:
            return ()
        is_on_by_default = self.opposite and self.default is True
        shown = self.opposite if is_on_by_default else self.flag
        return (*self.declaration.aliases, shown)

    @property
    def all_flags(self) -> tuple[str, ...]:
        """All flags that a command line may have; none for a positional argument."""
        return tuple(filter(None, (*self.declaration.aliases, self.flag, self.opposite)))

    @property
    def is_list(self) -> bool:
        """Whether one word is a list with commas."""
        is_tuple_of_any_length = ... in get_args(self.value_type)
        return self.declaration.comma_separated or (is_tuple_of_any_length and not self.takes_many)

    @property
    def is_length(self) -> bool:
        """Whether it is a length, in metres or with a unit."""
        return self.value_type is float and self.metavar == "METRES"

    def _read_length(self, text: str) -> float:
        """Read a length, or the unit of a stored number, as metres."""
        return metres_of_unit(text) if self.declaration.names_unit else metres_of(text)

    @property
    def label(self) -> str:
        """Name in messages."""
        return self.flags[-1] if self.flag else self.name.replace("_", " ")

    @property
    def choices(self) -> Mapping[str, Any]:
        """Values by the words that stand for them; empty if any value of the type is allowed."""
        if self.words:
            return {"yes": True, **{word: word for word in self.words}}
        if self.item_type is bool:
            return {"True": True, "False": False}
        if isinstance(self.item_type, type) and issubclass(self.item_type, Enum):
            return {str(member.value): member for member in self.item_type}
        if get_origin(self.item_type) is Literal:
            return {word: word for word in get_args(self.item_type)}
        return {word: word for word in self.declaration.choices}

    @property
    def annotation(self) -> Any:
        """Type of the keyword in Python."""
        if self.declaration.python_type is not None:
            return self.declaration.python_type
        return self.value_type | None if self.is_optional else self.value_type

    @property
    def metavar(self) -> str:
        """Placeholder for the value in the help."""
        if self.is_switch:
            return f"[={'|'.join(self.words)}]" if self.words else ""
        if self.declaration.metavar:
            return self.declaration.metavar
        if self.choices:
            return "|".join(self.choices)
        item = self.name.upper() if self.item_type is str else _METAVARS[self.item_type]
        return f"{item},..." if self._is_tuple_of_numbers else item

    @property
    def _is_tuple_of_numbers(self) -> bool:
        is_tuple = self.item_type is not self.value_type
        return is_tuple and not self.takes_many

    @property
    def takes(self) -> str:
        """Description of the values that it takes, for messages."""
        if self.words:
            return " or ".join(("alone", *self.words))
        if self._is_tuple_of_numbers:
            item_types = get_args(self.value_type)
            count = "" if ... in item_types else f"{len(item_types)} "
            numbers = "whole numbers" if self.item_type is int else "numbers"
            return f"{count}{numbers} with commas between"
        if self.takes_many:
            return f"a list of texts {self.metavar}"
        if self.declaration.names_unit:
            return f"the metres of one number, such as 0.001, or its unit ({UNITS})"
        if self.is_length:
            return f"a number of metres, or of another unit with its symbol ({UNITS})"
        return " or ".join(self.choices) or _TYPES_IN_WORDS[self.item_type]

    def check(self, value: Any) -> Any:
        """Convert a Python value to the type of the field, and check it.

        Raises:
            OptionError: If it is of another type or out of range.
        """
        if value is None and self.is_optional:
            return None
        with suppress(ValueError):
            if self._is_only_of_python(value):
                return tuple(value) if self.takes_many else value
            if self.is_length and isinstance(value, str):
                value = self._read_length(value)
            converted = to_option_type(self.value_type, value)
            if self.declaration.allows(converted):
                return converted
        raise OptionError(option=self.name, value=value, expected=self._expected)

    @property
    def _expected(self) -> str:
        if self.declaration.names_unit:
            return self.takes
        return self.declaration.expected or self.declaration.range or self.takes

    def _is_only_of_python(self, value: Any) -> bool:
        """Whether it is a value that only the keyword takes, such as an array; it is kept."""
        keyword_type = self.declaration.python_type
        if keyword_type is None or self.value_type in (str, Switch):
            return False
        if isinstance(value, str | Path):
            return False
        if self.takes_many:
            takes_texts_alone = get_args(keyword_type) == (str,)
            return isinstance(value, tuple | list) and not takes_texts_alone
        return isinstance(value, keyword_type)

    @property
    def shown_default(self) -> str:
        """Default as the help shows it; "" for none."""
        return self.declaration.default or _default_text(self.default)

    def read(self, text: str) -> Any:
        """Convert a word of a command line.

        Raises:
            ValueError: If it is no value.
        """
        if self.is_optional and text == "None":
            return None
        choices = self.choices
        if choices:
            if text not in choices:
                raise ValueError(f"expected {self.takes}")
            return choices[text]
        if self.is_length:
            return self._read_length(text)
        if self._is_tuple_of_numbers:
            return self._read_numbers(text)
        return self.item_type(text)

    def _read_numbers(self, text: str) -> tuple[Any, ...]:
        item_types = get_args(self.value_type)
        values = tuple(self.item_type(part) for part in text.split(","))
        has_right_length = ... in item_types or len(values) == len(item_types)
        if not has_right_length or not all(map(math.isfinite, values)):
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
    """List the options of a record and of the records nested in it, in the order of the help.

    The class attribute ``GROUPS`` of a record maps titles of the help to names of fields; its
    other fields come first, under the title ``GROUP``. ``OFF_HELP`` has the help of flags that
    turn a switch off.
    """
    return tuple(_walk_options(record))


def _walk_options(
    record: type,
    flag_prefix: str = "",
    path_prefix: str = "",
    defaults: object = None,
    without: tuple[str, ...] = (),
) -> Iterator[OptionField]:
    """List the options of a record, which may be nested in another one.

    The prefixes of a nested record are such as "losses."; ``defaults`` is the instance of it that
    has the defaults, or None for those of the class.
    """
    declared_fields = declared_fields_of(record)
    for field in _fields_in_order_of_help(record):
        declared = declared_fields[field.name]
        declaration = declared.declaration
        if declaration.hidden or field.name in without:
            continue
        default = _default_of(field) if defaults is None else getattr(defaults, field.name)
        name = field.name if declaration.name is None else declaration.name
        flag_name = name.replace("_", "-")
        if is_dataclass(declared.value_type):
            yield from _walk_options(
                declared.value_type,
                f"{flag_prefix}{flag_name}." if flag_name else flag_prefix,
                f"{path_prefix}{field.name}.",
                None if default is MISSING else default,
                declaration.without,
            )
        else:
            path = f"{path_prefix}{field.name}"
            yield _option_field(record, declared, default, path, flag_prefix, flag_name)


def _fields_in_order_of_help(record: type) -> "list[Field[Any]]":
    """Fields without a title first, then those of each title."""
    titled_names = [*_titles_of_fields(record)]

    def place(field: "Field[Any]") -> int:
        return titled_names.index(field.name) + 1 if field.name in titled_names else 0

    return sorted(fields(record), key=place)


def _titles_of_fields(record: type) -> Mapping[str, str]:
    groups: Groups = getattr(record, "GROUPS", {})
    return {name: title for title, names in groups.items() for name in names}


def _option_field(
    record: type,
    declared: "DeclaredField",
    default: Any,
    path: str,
    flag_prefix: str,
    flag_name: str,
) -> OptionField:
    value_type, declaration = declared.value_type, declared.declaration
    is_tuple = get_origin(value_type) is tuple
    item_type = get_args(value_type)[0] if is_tuple else value_type

    is_plain_switch = value_type is bool and not declared.is_optional
    takes_bool_or_word = bool in get_args(value_type)
    is_switch = is_plain_switch or takes_bool_or_word
    words = get_args(get_args(value_type)[1]) if takes_bool_or_word else ()

    title = getattr(record, "GROUP", "Options")
    return OptionField(
        name=declared.name,
        path=path,
        record=record,
        value_type=value_type,
        item_type=item_type,
        takes_many=is_tuple and item_type not in (int, float),
        is_switch=is_switch,
        words=words,
        is_optional=declared.is_optional,
        default=default,
        declaration=declaration,
        flag="" if declaration.positional else f"--{flag_prefix}{flag_name}",
        opposite=f"--{flag_prefix}no-{flag_name}" if is_switch else "",
        group=_titles_of_fields(record).get(declared.name, title),
        off_help=getattr(record, "OFF_HELP", {}).get(declared.name, ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """What the annotation of a field declares.

    Attributes:
        name: Name of the field.
        value_type: Type without None.
        is_optional: Whether None is a value.
        declaration: The ``option`` of the annotation.
    """

    name: str
    value_type: Any
    is_optional: bool
    declaration: option


@cache
def declared_fields_of(record: type) -> Mapping[str, DeclaredField]:
    """Fields of a record by their names, with what their annotations declare."""
    annotations = get_type_hints(record, include_extras=True)
    return {
        field.name: _read_annotation(field.name, annotations[field.name])
        for field in fields(record)
    }


def _read_annotation(name: str, annotation: Any) -> DeclaredField:
    value_type = annotation
    declaration = _NO_DECLARATION
    if get_origin(annotation) is Annotated:
        value_type, *metadata = get_args(annotation)
        declarations = [item for item in metadata if isinstance(item, option)]
        declaration = next(iter(declarations), _NO_DECLARATION)

    is_optional = False
    if get_origin(value_type) in (Union, UnionType):
        members = get_args(value_type)
        is_optional = NoneType in members
        types = [member for member in members if member is not NoneType]
        # ``bool | Literal["hash"]`` is a switch that may be a word, and stays a union. In
        # ``float | int`` the first type takes the values of both.
        is_switch_or_word = types[0] is bool and len(types) == 2
        if not is_switch_or_word:
            value_type = types[0]
    return DeclaredField(
        name=name, value_type=value_type, is_optional=is_optional, declaration=declaration
    )


def _default_of(field: "Field[Any]") -> Any:
    """Default of a field, or what its factory makes; ``MISSING`` if it has neither."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def build_record(
    record: type[AnyRecord],
    values: Mapping[str, Any],
    path_prefix: str = "",
    default: AnyRecord | None = None,
) -> AnyRecord:
    """Make a record, and the records nested in it, from values of options.

    Args:
        record: Class of the record.
        values: Values by the paths of their options, such as ``losses.ssim``.
        path_prefix: Beginning of the paths of this record, such as "losses.".
        default: Instance that has all other values; None for the defaults of the class. It is
            returned itself if no value differs.
    """
    changes: dict[str, Any] = {}
    template: Any = record if default is None else default
    for field in fields(template):
        value_type = declared_fields_of(record)[field.name].value_type
        path = f"{path_prefix}{field.name}"
        if is_dataclass(value_type):
            old = _default_of(field) if default is None else getattr(default, field.name)
            new = build_record(value_type, values, f"{path}.", None if old is MISSING else old)
            if new is not old:
                changes[field.name] = new
        elif path in values:
            changes[field.name] = values[path]

    if default is None:
        return record(**changes)
    return replace(template, **changes) if changes else default


class Record:
    """Base class of records: options of one subject, as the user wrote them.

    When a record is made, its options are converted and checked, and its cached properties are
    computed, so that what they refuse is refused then.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    GROUP: ClassVar[str]
    """Title under which the help shows the options."""
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of options that do not go together."""

    def __post_init__(self) -> None:
        record = type(self)
        for field in options_of(record):
            is_of_nested_record = field.name != field.path
            if not is_of_nested_record:  # Nested records check themselves.
                object.__setattr__(self, field.name, field.check(getattr(self, field.name)))
        for name in _cached_property_names(record):
            getattr(self, name)
        for first, second in record.EXCLUSIVE:
            if _is_set(getattr(self, first)) and _is_set(getattr(self, second)):
                raise OptionError(option=first, without=second)


def _is_set(value: Any) -> bool:
    is_empty = isinstance(value, str | tuple | list) and not value
    return not (is_empty or value is None or value is False)


@cache
def _cached_property_names(record: type) -> tuple[str, ...]:
    members = ((name, member) for base in record.__mro__ for name, member in vars(base).items())
    return tuple(name for name, member in members if isinstance(member, cached_property))


def option_names(record: type, interface: Interface | None = None) -> tuple[str, ...]:
    """Names of the options of a record that an interface offers; None for all options."""
    return tuple(
        field.name
        for field in options_of(record)
        if interface is None or interface in field.declaration.available_in
    )


def settings_to_record(record: Record) -> dict[str, Any]:
    """Values of a record's options for the JSON beside results.

    Defaults are left out, so that the JSON stays the same when an option is added.
    """
    settings: dict[str, Any] = {}
    for field in options_of(type(record)):
        value = getattr(record, field.name)
        condition = field.declaration.recorded
        is_changed = condition == "changed" and value != field.default
        if condition != "always" and not is_changed:
            continue
        if isinstance(value, tuple):
            value = " ".join(map(str, value))
        # A member of a StrEnum becomes a plain string.
        settings[field.name] = str(value) if isinstance(value, str) else value
    return settings


def signature_with(
    function: Callable[..., Any],
    records: Iterable[type],
    interface: Interface | None = None,
    *,
    without: Collection[str] = (),
) -> Signature:
    """Signature of a function, with the options of records in place of its ``**keywords``.

    ``help`` and editors of notebooks show it. It is generated, because a written one would state
    each option a second time; type checkers read ``options/keywords.pyi`` instead. It has the
    options that ``interface`` offers, or all if that is None, except those in ``without``.
    """
    keywords = [
        _keyword_parameter(field)
        for record in records
        for field in options_of(record)
        if (interface is None or interface in field.declaration.available_in)
        and field.name not in without
    ]
    names = {parameter.name for parameter in keywords}
    written = signature(function)
    kept = [
        parameter
        for parameter in written.parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD and parameter.name not in names
    ]
    return written.replace(parameters=[*kept, *keywords])


def _keyword_parameter(field: OptionField) -> Parameter:
    default = bool(field.default) if field.value_type is Switch else field.default
    return Parameter(
        field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.annotation
    )


def with_options(
    *records: type, interface: Interface | None = None, without: Collection[str] = ()
) -> Callable[[AnyFunction], AnyFunction]:
    """Make a decorator that gives a function the signature of ``signature_with``."""

    def set_signature(function: AnyFunction) -> AnyFunction:
        new_signature = signature_with(function, records, interface, without=without)
        # ``inspect.signature`` reads this attribute, which functions do not declare.
        function.__signature__ = new_signature  # pyright: ignore[reportAttributeAccessIssue]
        return function

    return set_signature


def refuse_unknown_keywords(function: str, keywords: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a keyword argument that a function does not have, and say which one is meant.

    Raises:
        TypeError: If a keyword is unknown, as Python does.
    """
    names = {*known}
    for name in keywords:
        if name not in names:
            hint = _hint_for_unknown_keyword(name, names)
            end = f"; {hint}" if hint else ""
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{end}")


def _hint_for_unknown_keyword(name: str, names: Collection[str]) -> str:
    # Imported on demand, because most keywords are known.
    from difflib import get_close_matches

    from rilievo.errors.foreign_names import hint_for_keyword

    hint = hint_for_keyword(name, names)
    if hint:
        return hint
    similar = get_close_matches(name, names, n=1, cutoff=0.75)
    return f"did you mean '{similar[0]}'?" if similar else ""


@cache
def field_docstrings(record: type) -> Mapping[str, str]:
    """Docstrings of a record's fields by their names, in one line each.

    Python does not keep the string after a field, so it is read from the source.
    """
    # Imported on demand, because only help and the documents of servers show docstrings.
    import ast
    import inspect
    import itertools
    import textwrap

    docstrings: dict[str, str] = {}
    for base in filter(is_dataclass, reversed(record.__mro__)):
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
        for statement, next_statement in itertools.pairwise(definition.body):
            match statement, next_statement:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(text)):
                    docstrings[name] = " ".join(str(text).split())
    return docstrings


SwitchLike = Switch | bool | Literal["on", "off"]
"""What users may write for a ``Switch`` in Python."""
