"""Cells of a sweep: how they are planned, trained and scored one after the other."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError, RilievoError
from rilievo.errors.messages import Note, Text, for_terminal
from rilievo.extensions.subpackages import load_service
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.predicting.work_processes import Failure
from rilievo.training.adapters.run_models import is_probe_run
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.progress import print_to_stderr
from rilievo.training.networks.backbones import Backbone
from rilievo.training.networks.blueprint import BackboneChoice
from rilievo.training.networks.probe_network import backbone_from_blueprint
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_frames import TrainingFrames, open_frames
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.sweep.sweep_cell import (
    CELLS_FOLDER,
    CellMetric,
    CellScores,
    SweepCell,
    read_cell,
    write_cell,
)
from rilievo.training.sweep.sweep_config import BackboneEntry, SweepConfig, SweepOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResults:
    """Finished cells of a sweep, and the cells or backbones that failed."""

    cells: tuple[SweepCell, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """Probe to train and score, with the title of its backbone in tables.

    ``run`` is the folder of its run, relative to the sweep's.
    """

    title: str
    config: ProbeConfig
    run: str


def run_cells(
    config: SweepConfig, folder: Path, options: SweepOptions, *, show: bool
) -> CellResults:
    """Train and score every cell of a sweep that is not finished.

    A cell that fails is skipped, and reported on standard error if ``show`` is set.

    Raises:
        KeyboardInterrupt: If a signal stopped the sweep; its message says how to continue.
    """
    resources = _SweepResources(config=config, folder=folder, device=options.device, show=show)
    resources.check_benchmarks()

    planned_cells: list[PlannedCell] = []
    failures: list[Failure] = []
    for entry in config.backbones:
        try:
            planned_cells += plan_cells(config, entry)
        except RilievoError as error:
            failures.append(_report_failure(entry.title, Note(Text(error)), show=show))

    cells: list[SweepCell] = []
    for number, planned_cell in enumerate(planned_cells, start=1):
        run = folder / planned_cell.run
        position = f"{number} of {len(planned_cells)}"
        try:
            cells.append(_read_or_train_cell(planned_cell, resources, position=position))
        # Torch raises RuntimeError for lack of memory, wrong sizes and missing operators.
        except (RilievoError, RuntimeError, MemoryError) as error:
            reason = _one_line_reason(error, run)
            failures.append(_report_failure(run.name, reason, show=show))
    return CellResults(cells=tuple(cells), failures=tuple(failures))


def _report_failure(name: str, reason: Note, *, show: bool) -> Failure:
    """Make the record of a failed cell or backbone, and print it if ``show`` is set."""
    if show:
        print_to_stderr(f"skipped: {name}: {for_terminal(reason)}")
    return Failure(name=name, reason=reason)


def _read_or_train_cell(
    planned_cell: PlannedCell, resources: "_SweepResources", *, position: str
) -> SweepCell:
    """Read a cell that is finished, or else train and score it.

    ``position`` is that of the cell in the sweep, such as "2 of 9", for the progress.
    """
    finished_cell = read_cell(resources.folder / planned_cell.run)
    if finished_cell is not None:
        return finished_cell
    if resources.show:
        print_to_stderr(f"{position}: {planned_cell.run}")
    with _advice_if_stopped(planned_cell):
        return _train_and_score(planned_cell, resources)


@contextmanager
def _advice_if_stopped(planned_cell: PlannedCell) -> Iterator[None]:
    """Say how to continue a sweep that a signal stops in the block.

    The loop of the cell advises an option that sweeps do not have.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        error.args = (
            f"stopped in {planned_cell.run}; the same command continues there, and finished "
            "cells are kept",
        )
        raise


def plan_cells(config: SweepConfig, entry: BackboneEntry) -> list[PlannedCell]:
    """Plan the cells of a backbone: one for each probe, task and seed.

    The name of a cell's folder ends in a hash of its configuration. Sweeps that have a cell in
    common therefore share its results, if they write to the same folder.
    """
    base = config.make_base_config()
    cells = []
    for probe, task, seed in itertools.product(config.probes, config.tasks, config.seeds):
        backbone = BackboneChoice(
            name=entry.name,
            weights=entry.weights,
            layers=entry.layers,
            tokens=entry.tokens,
            seed=seed if entry.redraw else 0,
        )
        blueprint = replace(base.blueprint, backbone=backbone, probe=probe, task=task)
        cell_config = replace(base, blueprint=blueprint, seed=seed)

        description = f"{to_json(cell_config)}{to_json(config.test)}"
        digest = hashlib.sha256(description.encode()).hexdigest()[:8]
        readable_name = f"{entry.title}-{probe.kind}-{task}-seed{seed}".lower()
        slug = re.sub(r"[^a-z0-9.]+", "-", readable_name).strip("-.")
        run = f"{CELLS_FOLDER}/{slug}-{digest}"
        cells.append(PlannedCell(title=entry.title, config=cell_config, run=run))
    return cells


def _one_line_reason(error: Exception, run: Path) -> Note:
    """Reason why a cell failed, with advice if its run folder is to blame."""
    if not isinstance(error, RilievoError):
        # Messages of torch have several lines.
        return Note(" ".join(str(error).split()))

    message = str(error)
    is_about_run = isinstance(error, InputError | ModelError) and str(run) in message
    has_advice = "delete " in message
    if not is_about_run or has_advice:
        return Note(Text(error))
    return Note(Text(error, "; delete the folder of the run to restart its training"))


@dataclass(kw_only=True)
class _SweepResources:
    """What all cells of a sweep share: options, training images and scoring."""

    config: SweepConfig
    folder: Path
    device: str
    show: bool

    def check_benchmarks(self) -> None:
        """Check that the benchmarks score what the probes predict."""
        for task in self.config.tasks:
            self.scoring.check(depth=task.has_depth, normals=task.has_normals)

    @cached_property
    def scoring(self) -> Any:
        """Test images and benchmarks, by a class of ``evaluation``, which is not imported here."""
        config = self.config
        return load_service("probe-scoring")(
            dataset=config.data.dataset,
            root=config.data.root,
            split=config.test.split,
            variant=config.data.variant,
            list_file=config.test.list_file,
            limit=config.test.limit,
            input_crop=config.test.input_crop,
            benchmarks=config.test.benchmarks,
        )

    @cached_property
    def frames(self) -> TrainingFrames:
        """Images to train on; cells have the same data, size and largest depth."""
        base_config = self.config.make_base_config()
        return open_frames(base_config.data, base_config.blueprint)

    def feature_cache(self, config: ProbeConfig, backbone: Backbone) -> FeatureCache | None:
        """Cache of a backbone's features; None if it is off, or they differ between epochs."""
        cache = self.config.cache
        backbone_learns = config.backbone_rate > 0
        if not cache.enabled or backbone_learns or config.augmentation.changes:
            return None
        return FeatureCache.open(
            Path(cache.folder) if cache.folder else self.folder / "features",
            backbone,
            limit_megabytes=1000 * cache.gigabytes,
            precision=config.precision,
        )


def _train_and_score(plan: PlannedCell, resources: _SweepResources) -> SweepCell:
    """Train the probe of a cell, score it on the test images, and write the cell's record."""
    frames = resources.frames  # first, so that no backbone is loaded if data are missing
    run = resources.folder / plan.run
    blueprint = plan.config.blueprint
    options = RunOptions(device=resources.device, resume=is_probe_run(run), shown=resources.show)
    backbone = backbone_from_blueprint(blueprint).to(torch_device(resources.device))
    record = train_probe(
        plan.config,
        run,
        options,
        frames=frames,
        backbone=backbone,
        feature_cache=resources.feature_cache(plan.config, backbone),
    )
    assert record is not None, "training without stop_at ends with a record"

    # With torch, since a conversion to ONNX would not pay for a model that is scored once.
    model = load_model(run, device=resources.device, engine="torch")
    task = blueprint.task
    scores = resources.scoring.score(model, depth=task.has_depth, normals=task.has_normals)
    cell = SweepCell(
        title=plan.title,
        layers=record.layers,
        probe=blueprint.probe.kind,
        task=task,
        seed=plan.config.seed,
        run=plan.run,
        backbone_parameters=record.backbone_parameters,
        probe_parameters=record.probe_parameters,
        training_cpu_seconds=record.cpu_seconds,
        predicting_cpu_seconds=scores.cpu_seconds,
        measured=tuple(map(_make_cell_scores, scores.benchmarks)),
        doubts=record.quality_warnings,
    )
    write_cell(cell, run)
    return cell


def _make_cell_scores(benchmark: Any) -> CellScores:
    """Convert a ``BenchmarkScores`` of ``evaluation`` to the form of a cell's record."""
    images = benchmark.scores
    unscored = benchmark.unscored
    metrics = [
        CellMetric(
            label=summary.label,
            unit=summary.unit,
            better=str(summary.better),
            value=summary.value,
            by_image=tuple(image.values[summary.metric] for image in images),
        )
        for summary in benchmark.summaries
    ]
    first_reason = f"{unscored[0].id}: {unscored[0].reason}" if unscored else None
    return CellScores(
        benchmark=benchmark.benchmark,
        unscored=len(unscored),
        reason=first_reason,
        metrics=tuple(metrics),
        ids=tuple(image.id for image in images),
        scenes=tuple(image.scene for image in images),
    )
