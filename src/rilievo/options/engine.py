"""Options of running networks: device, engine, precision, threads and batches."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypedDict

import tyro

from rilievo.options.option_marks import LIVE, UNRECORDED
from rilievo.options.option_record import Record, Rule


class SpeedOptions(TypedDict, total=False):
    """Keywords of ``Speed``."""

    device: str
    engine: str
    precision: str
    threads: int | None
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Engine(Record):
    """Device and engine of a model."""

    RULES: ClassVar[tuple[Rule, ...]] = (("threads", lambda value: value >= 1, "1 or more"),)

    device: Annotated[str, UNRECORDED, LIVE] = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: Annotated[str, UNRECORDED, LIVE] = "auto"
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'models', which the others run too, converted once); auto takes the model's default.
    """
    precision: Annotated[str, UNRECORDED, LIVE] = "fp32"
    """Precision of the arithmetic: fp32; or, faster and less exact, bf16 with openvino or torch,
    fp16 with torch on cuda, int8 with onnxruntime for published models and those of the extra
    'models'. It is recorded in the results.
    """
    threads: Annotated[int | None, tyro.conf.arg(metavar="N"), UNRECORDED, LIVE] = None
    """Threads of the network; by default one per core."""


@dataclass(frozen=True, kw_only=True)
class Speed(Engine):
    """Engine of a run's networks, and photographs that go through it together."""

    GROUP: ClassVar[str] = "Speed"
    RULES: ClassVar[tuple[Rule, ...]] = (("batch_size", lambda value: value >= 1, "1 or more"),)

    batch_size: Annotated[int, UNRECORDED] = 1
    """Photographs that go through the network together; more than one is faster on a GPU."""
