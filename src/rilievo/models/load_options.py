"""Options for loading a model, among them the settings that only some models have.

A model declares its settings as a dataclass, whose docstrings are the help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text, join_alternatives
from rilievo.extensions.subpackages import resolve_name
from rilievo.options.run_options import Engine, TrustOptions
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import (
    Interface,
    Record,
    field_docstrings,
    option,
    option_names,
    read_annotations,
)

AUTO = "auto"
ONNX_ENGINES = ("onnxruntime", "openvino")
PRECISIONS = {
    "onnxruntime": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
}
"""Precisions that each engine can compute in, the default first."""

Settings = TypeVar("Settings")
_TYPES_IN_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class LoadOptions(TrustOptions, Engine):
    """Options for loading a model; each prediction records those that change it."""

    kind: Annotated[
        str | None,
        option(available_in=Interface.COMMAND, expected=f"one of {', '.join(DepthKind)}"),
    ] = None
    """Kind of depth that the model predicts; None for a model that states it itself."""
    settings: Annotated[
        Mapping[str, Setting],
        option(
            available_in=Interface.COMMAND,
            expected='a mapping of names to values, such as {"steps": 4}',
            python_type=Mapping | None,
        ),
    ] = field(default_factory=dict)
    """Settings of this model, by name; ``read_settings`` parses them."""
    revision: Annotated[str | None, option(hidden=True)] = None
    """Branch, tag or commit on the hub; None for the main branch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "settings", dict(self.settings or {}))

    @classmethod
    def from_records(cls, *records: Record, **values: Any) -> "LoadOptions":
        """Collect the options from records of a command; ``values`` take precedence."""
        collected: dict[str, Any] = {}
        for record in records:
            for name in option_names(cls):
                if hasattr(record, name):
                    collected[name] = getattr(record, name)
        return cls(**{**collected, **values})

    @cached_property
    def depth_kind(self) -> DepthKind | None:
        """Kind of depth that ``kind`` names; None if it is None."""
        return None if self.kind is None else read_kind(self.kind)


def read_kind(kind: str) -> DepthKind:
    """Parse the name of a kind of depth; ``OptionError`` if there is no such kind."""
    if not isinstance(kind, str):
        expected = f"one of {', '.join(DepthKind)}"
        raise OptionError(option="kind", value=kind, expected=expected)
    if kind not in list(DepthKind):
        raise OptionError(f"no kind '{kind}'; {suggest(kind, DepthKind)}")
    return DepthKind(kind)


def resolve_engine(
    options: LoadOptions,
    *,
    engines: tuple[str, ...],
    what: str,
    precisions: Mapping[str, tuple[str, ...]] = PRECISIONS,
) -> LoadOptions:
    """Check engine and precision, and replace "auto" by the first engine that has the precision.

    Args:
        options: Options of the user.
        engines: Engines that can run the model, the preferred one first.
        what: Name of the model in messages.
        precisions: Precisions of each engine.
    """
    if options.engine not in (AUTO, *PRECISIONS):
        suggestion = suggest(options.engine, [AUTO, *PRECISIONS])
        raise OptionError(f"no engine '{options.engine}'; {suggestion}")
    engine = options.engine
    if engine == AUTO:
        capable_engines = [name for name in engines if options.precision in precisions[name]]
        # If no engine has the precision, the error below names the preferred engine.
        engine = capable_engines[0] if capable_engines else engines[0]
    if engine not in engines:
        raise OptionError(f"{what} runs with {join_alternatives(engines)}, not with {engine}")
    if options.precision not in precisions[engine]:
        raise OptionError(
            f"the engine {engine} does not offer the precision '{options.precision}'; "
            f"expected {join_alternatives(precisions[engine])}"
        )
    return replace(options, engine=engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting of a model, in words."""

    name: str
    type: str
    default: str | None
    help: str


def parse_pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """Parse strings ``NAME=VALUE`` into values by name."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise OptionError(option="set", expected="NAME=VALUE", value=text)
        if name in pairs:
            raise OptionError(option="set", problem=f"{name} is given twice")
        pairs[name] = value.strip()
    return pairs


def read_settings(record: type[Settings], settings: Mapping[str, Setting], model: str) -> Settings:
    """Parse the user's values into the dataclass of a model's settings.

    The values are texts or have the right type already. ``model`` is its name in messages.
    """
    fields_by_name = read_annotations(record)
    parsed_values: dict[str, Setting] = {}
    for name, value in settings.items():
        if name not in fields_by_name:
            suggestion = suggest(name, fields_by_name)
            raise OptionError(f"model '{model}' has no setting '{name}'; {suggestion}")
        field = fields_by_name[name]
        if value is None and field.is_optional:
            parsed_values[name] = None
            continue
        try:
            parsed_values[name] = _parse_setting(field.value_type, value)
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"model '{model}': {name} must be {_TYPES_IN_WORDS[field.value_type]}, "
                f"got {value!r}"
            ) from error
    try:
        return record(**parsed_values)
    except OptionError as error:
        raise OptionError(path=f"model '{model}'", problem=Text(error)) from error


def describe_settings(import_path: str) -> tuple[SettingDescription, ...]:
    """Describe the settings that a dataclass at ``module:class`` declares."""
    record: Any = resolve_name(import_path)
    declared_fields, docstrings = read_annotations(record), field_docstrings(record)
    return tuple(
        SettingDescription(
            name=field.name,
            type=_TYPES_IN_WORDS[declared_fields[field.name].value_type],
            default=None if field.default is None else f"{field.default}",
            help=docstrings[field.name],
        )
        for field in fields(record)
    )


def _parse_setting(value_type: Any, value: Setting) -> Setting:
    """Convert a value to its type."""
    if isinstance(value, str) and value_type is bool:
        return _BOOLEANS[value.strip().lower()]
    if isinstance(value, str) and value_type is not str:
        return value_type(value)
    if value_type is float and type(value) is int:
        return float(value)
    # Not isinstance: bool is a subclass of int in Python, but true is not a number for a user.
    if type(value) is not value_type:
        raise ValueError
    return value
