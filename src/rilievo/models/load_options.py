"""Options for loading a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import join_alternatives
from rilievo.options.run_options import Engine
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import Interface, Record, option, option_names

AUTO = "auto"
ONNX_ENGINES = ("onnxruntime", "openvino")
PRECISIONS = {
    "onnxruntime": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
}
"""Precisions that each engine can compute in, the default first."""


@dataclass(frozen=True, kw_only=True)
class TrustOptions(Record):
    """Which code of the user may run because a file names it."""

    trust_code: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            metavar="MODULE:NAME",
            available_in=Interface.LOCAL,
            recorded="never",
            python_type=Sequence[str],
        ),
    ] = ()
    """Code that a file is allowed to run, such as the backbone of another person's training run.
    Write package.module:NAME or FILE.py:NAME, exactly as the file states it. Files that need other
    code are refused. Repeat the option for several.
    """


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
    """Settings of this model, by name (``rilievo.models.model_settings``)."""
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
        hint = suggest(options.engine, [AUTO, *PRECISIONS])
        raise OptionError(f"no engine '{options.engine}'; {hint}")
    engine = options.engine
    if engine == AUTO:
        capable_engines = [each for each in engines if options.precision in precisions[each]]
        engine = capable_engines[0] if capable_engines else engines[0]
    if engine not in engines:
        raise OptionError(f"{what} runs with {join_alternatives(engines)}, not with {engine}")
    if options.precision not in precisions[engine]:
        raise OptionError(
            f"the engine {engine} does not offer the precision '{options.precision}'; "
            f"expected {join_alternatives(precisions[engine])}"
        )
    return replace(options, engine=engine)
