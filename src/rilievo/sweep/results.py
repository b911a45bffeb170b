"""What a sweep leaves behind: one record a cell, from which tables and plots are made."""

from dataclasses import dataclass

from rilievo.metrics.metric import Better

FORMAT = "rilievo-sweep-cell/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One metric of one cell under one benchmark.

    Attributes:
        metric: Its name.
        label: For tables.
        unit: "" for none.
        better: Which way it improves.
        value: By the benchmark's averaging.
        each: Of single images, in the order of ``Measured.ids``.
    """

    metric: str
    label: str
    unit: str
    better: Better
    value: float
    each: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One cell under one benchmark.

    Attributes:
        benchmark: Its name.
        sha256: Of the benchmark's settings.
        images: How many have a score.
        unscored: How many have none.
        reason: Why the first of those has none.
        values: One a metric, the leading one first; empty where no image has a score.
        ids: Of the images that have a score.
    """

    benchmark: str
    sha256: str
    images: int
    unscored: int
    reason: str | None = None
    values: tuple[Value, ...]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One trained probe and its scores.

    Attributes:
        format: Of this file.
        title: What tables call the backbone.
        backbone: Its name.
        layers: That were taken.
        alone: Whether it is one layer alone, for the plot of layers.
        probe: Its kind.
        task: What it reads out.
        seed: Of the run.
        run: Its folder below that of the sweep.
        backbone_parameters: Of the backbone.
        probe_parameters: Of the probe.
        training_cpu_seconds: What training took, features included that were not kept before.
        predicting_cpu_seconds: What one image takes from photograph to answer.
        predicting_seconds: The same by the clock on the wall.
        measured: One a benchmark.
    """

    format: str = FORMAT
    title: str
    backbone: str
    layers: tuple[int, ...]
    alone: bool
    probe: str
    task: str
    seed: int
    run: str
    backbone_parameters: int
    probe_parameters: int
    training_cpu_seconds: float
    predicting_cpu_seconds: float
    predicting_seconds: float
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A cell that came to nothing.

    Attributes:
        name: Of the cell.
        reason: One line.
    """

    name: str
    reason: str
