"""Schema of options: a field of a dataclass declares an option for every entry point.

A field with its docstring, such as ::

    tile: Annotated[int | None, option(metavar="PIXELS")] = None
    \"\"\"Side in pixels of overlapping tiles.\"\"\"

is the flag ``--tile PIXELS`` with its help, the keyword ``tile`` of Python, and the parameter
``tile`` of requests. The module calls such a dataclass a record, and an entry point an interface.
``list_options`` lists the options of a record. Records may be nested: a field whose type is a
record stands for the options of that record.
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
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from rilievo.errors import OptionError
from rilievo.errors.messages import join_alternatives
from rilievo.schema.typed_values import UNITS, parse_metres, parse_unit, to_option_type

AnyRecord = TypeVar("AnyRecord")
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

FieldsByTitle = Mapping[str, tuple[str, ...]]
"""Names of fields by the title under which the help shows them."""
Effect = Literal["prediction", "files", "speed"]
"""What an option changes: what the model predicts, the files of results, or only the speed."""

_METAVARS = {int: "N", float: "NUMBER", Path: "PATH"}
_TYPES_IN_WORDS = {int: "an integer", float: "a number", str: "text", Path: "a path"}


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
        name: Name in place of the field's.
        inline: Whether the options of a nested record are among those of the record around it,
            without the field's name as a prefix.
        aliases: Further flags, such as ``-o``.
        default: Description of the default, if the value itself does not say enough.
        without: Fields of a nested record that are not offered.
        positional: Whether it is an argument of the command, without a flag.
        repeats: Whether the flag is repeated for several values.
        comma_separated: Whether a text is a list with commas.
        hidden: Whether no interface offers it.
        minimum: Lower limit of a number, which is allowed itself.
        maximum: Upper limit of a number, which is allowed itself.
        above: Exclusive lower limit, in place of ``minimum``.
        below: Exclusive upper limit, in place of ``maximum``.
        unit: Unit of a number, in messages.
        names_unit: Whether the value is the unit of stored numbers, so that "mm" alone is allowed.
        choices: Words that a text may be.
        names: Function that lists known names for the help.
        expected: What messages say was expected; "" for a description of the type and range.
        available_in: Interfaces that offer it.
        affects: What it changes.
        subject: Outputs that it applies to; "" if it applies to all.
        recorded: When the JSON beside results stores it; "changed" if it differs from the default.
        request: Description for requests, where the docstring does not fit.
        in_short_help: Whether the short help shows it.
        python_type: Type of the keyword in Python, if that accepts more than the field.
    """

    metavar: str = ""
    name: str | None = None
    inline: bool = False
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
    affects: Effect = "prediction"
    subject: str = ""
    recorded: Literal["changed", "always", "never"] = "changed"
    request: str = ""
    in_short_help: bool = False
    python_type: Any = None

    @property
    def range_in_words(self) -> str:
        """Range of a number for messages; "" if every number is allowed."""
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
        if not self.range_in_words:
            return True
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value < math.inf  # also refuses NaN
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
    """Option or argument of a command, read from a field of a record.

    Attributes:
        path: Path of the field from the command's record, such as ``config.losses.ssim``.
        value_type: Type of the field without None.
        item_type: Type of an item, if ``value_type`` is a tuple; otherwise ``value_type``.
        takes_many: Whether the command line gives a tuple as one word for each item. A tuple of
            numbers is a single word with commas instead.
        is_switch: Whether the flag needs no value.
        words: What may follow "=" at the flag of a switch, such as ``--resume=hash``.
        is_optional: Whether None is allowed.
        declaration: Declaration in the annotation of the field.
        flag: Flag, which turns a switch on; "" for a positional argument.
        off_flag: Flag that turns a switch off; "" if it is no switch.
        group: Title under which the help shows it.
        off_help: Help of ``off_flag``; "" for the field's docstring, negated.
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
    off_flag: str
    group: str
    off_help: str

    @property
    def help(self) -> str:
        """Docstring of the field, followed by the known names if it takes names."""
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
        """Flags that the help shows; for a switch, the one that changes the default."""
        if not self.flag:
            return ()
        is_on_by_default = self.off_flag and self.default is True
        shown = self.off_flag if is_on_by_default else self.flag
        return (*self.declaration.aliases, shown)

    @property
    def all_flags(self) -> tuple[str, ...]:
        """All flags that a command line may have; none for a positional argument."""
        return tuple(filter(None, (*self.declaration.aliases, self.flag, self.off_flag)))

    @property
    def is_list(self) -> bool:
        """Whether one word of the command line is a list with commas."""
        is_tuple_of_any_length = ... in get_args(self.value_type)
        return self.declaration.comma_separated or (is_tuple_of_any_length and not self.takes_many)

    @property
    def is_length(self) -> bool:
        """Whether it is a length, in metres or with a unit."""
        return self.value_type is float and self.metavar == "METRES"

    def _read_length(self, text: str) -> float:
        """Read a length, or the unit of stored numbers [m]."""
        return parse_unit(text) if self.declaration.names_unit else parse_metres(text)

    @property
    def label(self) -> str:
        """Name in messages."""
        return self.flags[-1] if self.flag else self.name.replace("_", " ")

    @property
    def choices(self) -> Mapping[str, Any]:
        """Allowed words and their values; empty if any value of the type is allowed."""
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
    def known_names(self) -> tuple[str, ...]:
        """Names that the help lists, such as those of outputs; it may accept others, too."""
        return () if self.declaration.names is None else tuple(self.declaration.names())

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
    def accepted_values(self) -> str:
        """Description of the values that it accepts, for messages."""
        if self.words:  # such as ``--resume`` or ``--resume=hash``
            return f"given without a value, or with {join_alternatives(self.words)}"
        if self._is_tuple_of_numbers:
            item_types = get_args(self.value_type)
            count = "" if ... in item_types else f"{len(item_types)} "
            numbers = "integers" if self.item_type is int else "numbers"
            return f"{count}{numbers} separated by commas"
        if self.takes_many:  # a flag that is repeated
            return f"a list of strings, each of the form {self.metavar}"
        if self.declaration.names_unit:
            return f"the metres per stored number, such as 0.001, or a unit ({UNITS})"
        if self.is_length:
            return f"a number of metres, or a number with a unit ({UNITS})"
        if self.choices:
            return join_alternatives(self.choices)
        return _TYPES_IN_WORDS[self.item_type]

    def check(self, value: Any) -> Any:
        """Convert a Python value to the field's type; raise ``OptionError`` if not allowed."""
        if value is None and self.is_optional:
            return None
        with suppress(ValueError):  # A value that cannot be converted is not allowed.
            if self._accepts_unconverted(value):
                return tuple(value) if self.takes_many else value
            converted = self._convert(value)
            if self.declaration.allows(converted):
                return converted
        raise OptionError(option=self.name, value=value, expected=self._expected)

    def _convert(self, value: Any) -> Any:
        """Convert a Python value to ``value_type``; raise ``ValueError`` if it is of another."""
        is_length_text = self.is_length and isinstance(value, str)
        return to_option_type(
            self.value_type, self._read_length(value) if is_length_text else value
        )

    @property
    def _expected(self) -> str:
        if self.declaration.names_unit:
            return self.accepted_values
        declaration = self.declaration
        return declaration.expected or declaration.range_in_words or self.accepted_values

    def _accepts_unconverted(self, value: Any) -> bool:
        """Whether a value, such as an array, is passed on unconverted.

        Such values have the wider type ``python_type`` of the Python keyword. The command line
        has none of them, so ``value_type`` does not describe them.
        """
        keyword_type = self.declaration.python_type
        # A text or path means the same in Python as on the command line, and is converted alike.
        if keyword_type is None or isinstance(value, str | Path):
            return False
        if self.value_type in (str, Switch):
            return False
        if self.takes_many:
            is_list_of_str = get_args(keyword_type) == (str,)
            return isinstance(value, tuple | list) and not is_list_of_str
        return isinstance(value, keyword_type)

    @property
    def shown_default(self) -> str:
        """Default as the help shows it; "" for none."""
        return self.declaration.default or _default_text(self.default)

    def read(self, text: str) -> Any:
        """Convert a word of the command line; raise ``ValueError`` if it stands for no value."""
        if self.is_optional and text == "None":
            return None
        choices = self.choices
        if choices:
            if text not in choices:
                raise ValueError(f"expected {self.accepted_values}")
            return choices[text]
        if self.is_length:
            return self._read_length(text)
        if self._is_tuple_of_numbers:
            return self._read_numbers(text)
        return self.item_type(text)

    def _read_numbers(self, text: str) -> tuple[Any, ...]:
        """Read finite numbers with commas between, as many as the type of the field has."""
        item_types = get_args(self.value_type)
        values = tuple(self.item_type(part) for part in text.split(","))
        has_right_length = ... in item_types or len(values) == len(item_types)
        if not has_right_length or not all(map(math.isfinite, values)):
            raise ValueError(f"expected {self.accepted_values}")
        return values


def _default_text(default: Any) -> str:
    """Default as the help shows it; "" for one that turns the option off or leaves it empty."""
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
def list_options(record: type) -> tuple[OptionField, ...]:
    """List the options of a record and of the records nested in it, in the order of the help.

    The class attribute ``FIELDS_BY_TITLE`` of a record maps titles in the help to names of fields.
    Fields that it does not name come first, under the title ``HELP_TITLE``. ``OFF_HELP`` maps names
    of switches to the help of the flags that turn them off.
    """
    return tuple(_walk_options(record))


def _walk_options(
    record: type,
    flag_prefix: str = "",
    path_prefix: str = "",
    defaults: object = None,
    without: tuple[str, ...] = (),
) -> Iterator[OptionField]:
    """Yield the options of a record, and recursively those of the records nested in it.

    The prefixes of a nested record are such as "losses.". ``defaults`` is an instance that has the
    defaults; None for those of the class.
    """
    annotations = read_annotations(record)
    for field in _fields_in_help_order(record):
        annotation = annotations[field.name]
        declaration = annotation.declaration
        if declaration.hidden or field.name in without:
            continue

        default = _default_value(field) if defaults is None else getattr(defaults, field.name)
        option_name = field.name if declaration.name is None else declaration.name
        flag_name = option_name.replace("_", "-")
        path = f"{path_prefix}{field.name}"
        if is_dataclass(annotation.value_type):
            yield from _walk_options(
                record=annotation.value_type,
                flag_prefix=flag_prefix if declaration.inline else f"{flag_prefix}{flag_name}.",
                path_prefix=f"{path}.",
                defaults=None if default is MISSING else default,
                without=declaration.without,
            )
        else:
            yield _make_option_field(record, annotation, default, path, flag_prefix, flag_name)


def _fields_in_help_order(record: type) -> "list[Field[Any]]":
    """Fields without a title first, then those of each title."""
    titled_names = [*_help_titles(record)]

    def position(field: "Field[Any]") -> int:
        return titled_names.index(field.name) + 1 if field.name in titled_names else 0

    return sorted(fields(record), key=position)


def _help_titles(record: type) -> Mapping[str, str]:
    """Titles under which the help shows fields, by the names of the fields."""
    fields_by_title: FieldsByTitle = getattr(record, "FIELDS_BY_TITLE", {})
    return {name: title for title, names in fields_by_title.items() for name in names}


def _make_option_field(
    record: type,
    annotation: "FieldAnnotation",
    default: Any,
    path: str,
    flag_prefix: str,
    flag_name: str,
) -> OptionField:
    """Make the option that a field of a record declares by its annotation."""
    value_type, declaration = annotation.value_type, annotation.declaration
    is_tuple = get_origin(value_type) is tuple
    item_type = get_args(value_type)[0] if is_tuple else value_type

    is_plain_switch = value_type is bool and not annotation.is_optional
    takes_bool_or_word = bool in get_args(value_type)  # such as bool | Literal["hash"]
    is_switch = is_plain_switch or takes_bool_or_word
    words: tuple[str, ...] = ()
    if takes_bool_or_word:
        _, literal_type = get_args(value_type)
        words = get_args(literal_type)

    title = getattr(record, "HELP_TITLE", "Options")
    return OptionField(
        name=annotation.name,
        path=path,
        record=record,
        value_type=value_type,
        item_type=item_type,
        takes_many=is_tuple and item_type not in (int, float),
        is_switch=is_switch,
        words=words,
        is_optional=annotation.is_optional,
        default=default,
        declaration=declaration,
        flag="" if declaration.positional else f"--{flag_prefix}{flag_name}",
        off_flag=f"--{flag_prefix}no-{flag_name}" if is_switch else "",
        group=_help_titles(record).get(annotation.name, title),
        off_help=getattr(record, "OFF_HELP", {}).get(annotation.name, ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAnnotation:
    """The annotation of a field, split into its parts.

    Attributes:
        declaration: The ``option`` in the annotation.
    """

    name: str
    value_type: Any
    is_optional: bool
    declaration: option


@cache
def read_annotations(record: type) -> Mapping[str, FieldAnnotation]:
    """Read the annotations of a record's fields, by the names of the fields."""
    annotations = get_type_hints(record, include_extras=True)
    return {
        field.name: _read_annotation(field.name, annotations[field.name])
        for field in fields(record)
    }


def _read_annotation(name: str, annotation: Any) -> FieldAnnotation:
    """Split the annotation of a field, such as ``Annotated[int | None, option(...)]``."""
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
        # ``float | int`` the first type accepts the values of both.
        is_switch_or_word = types[0] is bool and len(types) == 2
        if not is_switch_or_word:
            value_type = types[0]
    return FieldAnnotation(
        name=name, value_type=value_type, is_optional=is_optional, declaration=declaration
    )


def _default_value(field: "Field[Any]") -> Any:
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
        default: Instance that provides all other values, and is returned itself if no value
            changes; None for the defaults of the class.
    """
    changes: dict[str, Any] = {}
    annotations = read_annotations(record)
    for field in fields(cast("Any", record)):
        value_type = annotations[field.name].value_type
        path = f"{path_prefix}{field.name}"
        if is_dataclass(value_type):
            current = _default_value(field) if default is None else getattr(default, field.name)
            # MISSING is a nested record that the class requires.
            nested_default = None if current is MISSING else current
            nested = build_record(value_type, values, f"{path}.", nested_default)
            if nested is not current:
                changes[field.name] = nested
        elif path in values:
            changes[field.name] = values[path]

    if default is None:
        return record(**changes)
    return replace(cast("Any", default), **changes) if changes else default


class Record:
    """Base class of records: options of one subject, as the user wrote them.

    Making a record converts and checks its options. It also computes the cached properties, because
    they check how options go together, and errors should appear at once.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    HELP_TITLE: ClassVar[str]
    """Title under which the help shows the options."""
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of options that do not go together."""

    def __post_init__(self) -> None:
        record = type(self)
        for field in list_options(record):
            belongs_to_nested_record = field.name != field.path
            if belongs_to_nested_record:  # It was checked when that record was made.
                continue
            converted = field.check(getattr(self, field.name))
            object.__setattr__(self, field.name, converted)  # The dataclass is frozen.
        # Cached properties parse several options. They are computed now, so that errors arise here.
        for name in _cached_property_names(record):
            getattr(self, name)
        for first, second in record.EXCLUSIVE:
            if _is_set(getattr(self, first)) and _is_set(getattr(self, second)):
                raise OptionError(option=first, without=second)


def _is_set(value: Any) -> bool:
    """Whether an option has a value other than None, False or nothing; 0 is a value."""
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
        for field in list_options(record)
        if interface is None or interface in field.declaration.available_in
    )


def changed_options(options: object, names: Collection[str]) -> Iterator[str]:
    """Yield those of ``names`` that are options of a record with another value than the default."""
    for field in list_options(type(options)):
        if field.name in names and getattr(options, field.name) != field.default:
            yield field.name


def recorded_options(options: Record) -> dict[str, Any]:
    """Collect the options that the JSON file beside results states, with their values, by name.

    The declaration of each option says whether the file states it (``option.recorded``). Most are
    stated only if the user changed them. So the same run has the same JSON in a later version of
    rilievo that has more options.
    """
    return {
        field.name: _json_value(getattr(options, field.name))
        for field in list_options(type(options))
        if _is_recorded(field, getattr(options, field.name))
    }


def _is_recorded(field: OptionField, value: Any) -> bool:
    """Whether the JSON file beside results states an option that has this value."""
    recorded = field.declaration.recorded
    if recorded == "changed":
        return bool(value != field.default)
    return recorded == "always"


def _json_value(value: Any) -> Any:
    """Write an option's value for JSON: a tuple as words, and a member of a StrEnum as a text."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if isinstance(value, str) else value


def signature_with(
    function: Callable[..., Any],
    records: Iterable[type],
    interface: Interface | None = None,
    *,
    without: Collection[str] = (),
) -> Signature:
    """Signature of a function, with the options of records in place of its ``**keywords``.

    It has the options that ``interface`` offers, or all if that is None, except ``without``.

    ``help`` and editors of notebooks show it. It is generated, because a written one would state
    each option a second time; type checkers read ``options/keywords.pyi`` instead.
    """
    keywords = [
        _keyword_parameter(field)
        for record in records
        for field in list_options(record)
        if (interface is None or interface in field.declaration.available_in)
        and field.name not in without
    ]
    option_names = {parameter.name for parameter in keywords}
    written_signature = signature(function)
    other_parameters = [
        parameter
        for parameter in written_signature.parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD and parameter.name not in option_names
    ]
    return written_signature.replace(parameters=[*other_parameters, *keywords])


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


def check_keywords(function: str, keywords: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``TypeError`` for an unknown keyword of a function, with a suggestion."""
    known_names = {*known}
    for name in keywords:
        if name not in known_names:
            hint = _suggest_keyword(name, known_names)
            suffix = f"; {hint}" if hint else ""
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{suffix}")


def _suggest_keyword(name: str, known_names: Collection[str]) -> str:
    """Suggest the keyword that an unknown one may stand for; "" if none is similar."""
    # Imported on demand, because most keywords are known.
    from rilievo.errors.foreign_names import hint_for_keyword
    from rilievo.errors.typing_errors import names_meant_by

    hint = hint_for_keyword(name, known_names)
    if hint:
        return hint
    similar = names_meant_by(name, sorted(known_names))
    return f"did you mean '{similar[0]}'?" if similar else ""


@cache
def field_docstrings(record: type) -> Mapping[str, str]:
    """Read the docstrings of a record's fields, by the names of the fields, in one line each.

    Python does not keep the string after a field, so the source is parsed.
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
