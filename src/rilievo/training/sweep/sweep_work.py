"""Cells of a sweep."""

import hashlib
import itertools
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError, RilievoError
from rilievo.errors.messages import Note, Text, for_terminal
from rilievo.extensions.subpackages import load_service
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.predicting.work_processes import Failure
from rilievo.training.adapters.run_models import is_run
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.progress import say
from rilievo.training.networks.blueprint import BackboneChoice
from rilievo.training.networks.probe_network import backbone_from_blueprint
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_frames import TrainingFrames, open_frames
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.sweep.sweep_config import BackboneEntry, SweepConfig, SweepOptions
from rilievo.training.sweep.sweep_results import (
    CELLS,
    CellMetric,
    Measured,
    SweepCell,
    read_cell,
    write_cell,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """A cell to do, in a folder of its own."""

    title: str
    config: ProbeConfig
    run: str


def run_cells(
    config: SweepConfig, folder: Path, options: SweepOptions, *, show: bool
) -> tuple[tuple[SweepCell, ...], tuple[Failure, ...]]:
    """Run unfinished cells; return all, and failures."""
    scoring: Any = load_service("probe-scoring")(
        dataset=config.data.dataset,
        root=config.data.root,
        split=config.test.split,
        variant=config.data.variant,
        list_file=config.test.list_file,
        limit=config.test.limit,
        input_crop=config.test.input_crop,
        benchmarks=config.test.benchmarks,
    )
    for task in config.tasks:
        scoring.check(depth=task.has_depth, normals=task.has_normals)

    @cache
    def frames() -> TrainingFrames:
        # Shared by all cells: they have the same data, size and largest depth.
        return open_frames(planned[0].config)

    planned, cells, failures = list[PlannedCell](), list[SweepCell](), list[Failure]()

    def note_failure(name: str, error: Exception, mend: str = "") -> None:
        # Messages of torch have several lines.
        problem = error if isinstance(error, RilievoError) else " ".join(str(error).split())
        reason = Note(Text(problem, mend))
        failures.append(Failure(name=name, reason=reason))
        if show:
            say(f"skipped: {name}: {for_terminal(reason)}")

    for entry in config.backbones:
        try:
            planned += plan_cells(config, entry)
        except RilievoError as error:
            note_failure(entry.title, error)
    for number, plan in enumerate(planned, start=1):
        try:
            cell = read_cell(folder / plan.run)
            if cell is None:
                if show:
                    say(f"{number} of {len(planned)}: {plan.run}")
                run = RunOptions(
                    device=options.device, resume=is_run(folder / plan.run), shown=show
                )
                cell = _train_and_score(config, folder, plan, run, frames(), scoring)
        # Torch raises RuntimeError for lack of memory, wrong sizes and missing operators.
        except (RilievoError, RuntimeError, MemoryError) as error:
            note_failure(
                Path(plan.run).name, error, mend=_hint_to_remove_run(error, folder / plan.run)
            )
        else:
            cells.append(cell)
    return tuple(cells), tuple(failures)


def _hint_to_remove_run(error: Exception, run: Path) -> str:
    words, is_of_run = str(error), isinstance(error, InputError | ModelError)
    if not is_of_run or str(run) not in words or "anew" in words:
        return ""
    return ": take the folder of the run away to train anew"


def plan_cells(config: SweepConfig, entry: BackboneEntry) -> list[PlannedCell]:
    """Plan a backbone's cells, by probe, task and seed."""
    cells = []
    for probe, task, seed in itertools.product(config.probes, config.tasks, config.seeds):
        backbone = BackboneChoice(
            name=entry.name,
            weights=entry.weights,
            layers=entry.layers,
            tokens=entry.tokens,
            seed=seed if entry.redraw else 0,
        )
        blueprint = replace(config.base.blueprint, backbone=backbone, probe=probe, task=task)
        run = replace(config.base, blueprint=blueprint, seed=seed)
        digest = hashlib.sha256(f"{to_json(run)}{to_json(config.test)}".encode()).hexdigest()[:8]
        words = f"{entry.title}-{probe.kind}-{task}-seed{seed}".lower()
        name = re.sub(r"[^a-z0-9.]+", "-", words).strip("-.")
        cells.append(PlannedCell(title=entry.title, config=run, run=f"{CELLS}/{name}-{digest}"))
    return cells


def _train_and_score(
    config: SweepConfig,
    folder: Path,
    plan: PlannedCell,
    options: RunOptions,
    frames: TrainingFrames,
    scoring: Any,
) -> SweepCell:
    run, task, choice = folder / plan.run, plan.config.blueprint.task, config.cache
    backbone = backbone_from_blueprint(plan.config.blueprint).to(torch_device(options.device))
    features = None
    # Features are the same in every epoch if the backbone is frozen and images repeat.
    if choice.enabled and not plan.config.backbone_rate and not plan.config.augmentation.changes:
        features = FeatureCache(
            Path(choice.folder) if choice.folder else folder / "features",
            backbone,
            limit_megabytes=1000 * choice.gigabytes,
            precision=plan.config.precision,
        )
    record = train_probe(
        plan.config, run, options, frames=frames, backbone=backbone, keeping=features
    )
    assert record is not None, "nothing stops it before its end"
    model = load_model(run, device=options.device, engine="torch")  # scored once
    scores = scoring.score(model, depth=task.has_depth, normals=task.has_normals)
    cell = SweepCell(
        title=plan.title,
        layers=record.layers,
        probe=plan.config.blueprint.probe.kind,
        task=task,
        seed=plan.config.seed,
        run=plan.run,
        backbone_parameters=record.backbone_parameters,
        probe_parameters=record.probe_parameters,
        training_cpu_seconds=record.cpu_seconds,
        predicting_cpu_seconds=scores.cpu_seconds,
        measured=tuple(map(_cell_scores_of_benchmark, scores.benchmarks)),
        doubts=record.doubts,
    )
    write_cell(cell, run)
    return cell


def _cell_scores_of_benchmark(scores: Any) -> Measured:
    return Measured(
        benchmark=scores.benchmark,
        unscored=len(scores.unscored),
        reason="".join(f"{image.id}: {image.reason}" for image in scores.unscored[:1]) or None,
        metrics=tuple(
            CellMetric(
                label=summary.label,
                unit=summary.unit,
                better=str(summary.better),
                value=summary.value,
                by_image=tuple(score.values[summary.metric] for score in scores.scores),
            )
            for summary in scores.summaries
        ),
        ids=tuple(score.id for score in scores.scores),
        scenes=tuple(score.scene for score in scores.scores),
    )
