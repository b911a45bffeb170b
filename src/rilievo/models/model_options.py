"""Options of running a model, which several commands share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.models import load_model
from rilievo.models.settings import parse_pairs

if TYPE_CHECKING:
    from rilievo.models.base import Model


Rule = tuple[str, Callable[[float | int], bool], str]
"""Name of an option, whether a value is in its range, and the range in words."""


def check_rules(options: object, rules: Iterable[Rule]) -> None:
    """Refuse an option that is out of its range; None is always in it."""
    for name, is_fine, words in rules:
        value = getattr(options, name)
        if value is not None and not is_fine(value):
            raise OptionError(f"--{name.replace('_', '-')} is {words}, got {value}")


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Device and engine of a model."""

    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: str = "auto"
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'models', which the others run too, converted once); auto takes the model's default.
    """
    precision: str = "fp32"
    """Precision of the arithmetic: fp32; or, faster and less exact, bf16 with openvino or torch,
    fp16 with torch on cuda, int8 with onnxruntime for published models and those of the extra
    'models'. It is recorded in the results. The embedded network in 8 bits is a model of its own,
    rilievo/small-int8.
    """
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of the network; by default one per core."""

    def __post_init__(self) -> None:
        check_rules(self, (("threads", lambda value: value >= 1, "1 or more"),))

    def load(self, name: str | Path) -> "Model":
        """Load a model to run so."""
        return load_model(
            name,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
            threads=self.threads,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(EngineOptions):
    """Device, engine and settings of a model."""

    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Kind of depth that an unknown checkpoint predicts: metric, up_to_scale, affine or
    affine_inverse."""
    settings: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(name="set", metavar="NAME=VALUE"),
    ] = ()
    """Setting of the model, such as steps=4. 'rilievo models NAME' lists its settings. Repeat the
    option for several.
    """
    yes: bool = False
    """Agree in advance to the cost of a paid model."""
    flip: bool = False
    """Average with the prediction for the mirror image; takes twice the time."""

    @property
    def model_settings(self) -> Mapping[str, str]:
        """Settings of ``--set``, by name."""
        return parse_pairs(self.settings)

    def load(self, name: str | Path) -> "Model":
        """Load a model to run so, with its settings."""
        return load_model(
            name,
            kind=self.kind,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
            threads=self.threads,
            settings=self.model_settings,
        )
