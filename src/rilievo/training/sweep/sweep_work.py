"""Runs the cells of a sweep: features, which other processes may compute, training, scores."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.models import load_model
from rilievo.predicting.batch_options import BatchOptions
from rilievo.predicting.workers.spreading import spread_out, threads_each
from rilievo.predicting.workers.work_protocol import Do, Failure, Report, joined
from rilievo.training.adapters.run_models import is_run
from rilievo.training.adapters.torch_model import find_device
from rilievo.training.networks.backbones import Backbone
from rilievo.training.networks.blueprint import BackboneChoice, Blueprint
from rilievo.training.networks.probed import make_chosen_backbone
from rilievo.training.probe.feature_cache import LIMIT_MEGABYTES, FeatureCache
from rilievo.training.probe.probe_batches import Source, changed_frame
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_frames import TargetFrames, TrainingFrames, open_frames
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.probe.stored_features import Storage
from rilievo.training.sweep.sweep_config import BackboneEntry, SweepConfig, SweepOptions
from rilievo.training.sweep.sweep_results import (
    CELLS,
    Cell,
    Planned,
    plan_cell,
    read_cell,
    write_cell,
)
from rilievo.training.sweep.sweep_scoring import Scoring, measured_of

Say = Callable[[str], None]


class Work:
    """A running sweep; state that its cells share is opened once."""

    def __init__(
        self,
        config: SweepConfig,
        folder: Path,
        options: SweepOptions,
        scoring: Scoring,
        say: Say,
        *,
        show: bool,
    ) -> None:
        self._config, self._folder, self._options, self._say = config, folder, options, say
        self._scoring = scoring
        self._show = show
        self._device = find_device(options.device)
        self._frames: TrainingFrames | None = None
        for task in config.tasks:
            scoring.check(depth=task.has_depth, normals=task.has_normals)

    def do(self) -> tuple[tuple[Cell, ...], tuple[Failure, ...]]:
        """Run every cell of this part; cells of other parts are included if they are finished."""
        planned, failures = self._planned()
        mine = {each.name for each in planned[self._options.share]}
        done: list[Cell] = []
        for number, each in enumerate(planned, start=1):
            try:
                cell = read_cell(self._folder / CELLS / each.name)
                if cell is None and each.name in mine:
                    self._say(f"{number} of {len(planned)}: {each.name}")
                    cell = self._cell(each)
            except (RilievoError, RuntimeError, MemoryError) as error:
                # Torch raises RuntimeError for lack of memory, wrong sizes and missing operators.
                reason = " ".join(str(error).split())
                self._say(f"  passed over: {reason}")
                failures.append(Failure(name=each.name, reason=reason))
                continue
            if cell is not None:
                done.append(cell)
        return tuple(done), tuple(failures)

    def _planned(self) -> tuple[list[Planned], list[Failure]]:
        """Plan all cells in order; a backbone that cannot be made gives one failure."""
        planned: list[Planned] = []
        failures: list[Failure] = []
        for entry in self._config.backbones:
            try:
                choices = list(self._layers(entry))
            except RilievoError as error:
                self._say(f"passed over: {entry.title}: {error}")
                failures.append(Failure(name=entry.title, reason=str(error)))
                continue
            planned += [
                plan_cell(entry, run, self._config.test, alone=alone)
                for layers, alone in choices
                for run in self._config.configs(entry, layers)
            ]
        return planned, failures

    def _layers(self, entry: BackboneEntry) -> Iterator[tuple[tuple[int, ...] | None, bool]]:
        """Layers to use, each with whether it is a single layer."""
        yield entry.layers, False
        if entry.each_layer:
            backbone = make_chosen_backbone(_probed_by(self._config, entry))
            yield from (((layer,), True) for layer in range(backbone.facts.depth))

    def _cell(self, planned: Planned) -> Cell:
        config, run = planned.config, self._folder / CELLS / planned.name
        backbone = make_chosen_backbone(config.blueprint).to(self._device)
        # Shared by all cells: they have the same data, size and largest depth.
        self._frames = self._frames or open_frames(config)
        keeping = self._cache(planned, backbone)
        if keeping is not None and self._options.filling is not None:
            self._fill(config, keeping.root, self._options.filling, len(self._frames.training))
        record = train_probe(
            config,
            run,
            RunOptions(device=self._options.device, resume=is_run(run), shown=self._show),
            frames=self._frames,
            backbone=backbone,
            keeping=keeping,
        )
        assert record is not None, "nothing stops it before its end"
        model = load_model(run, device=self._options.device)
        task = config.blueprint.task
        scores = self._scoring.score(model, depth=task.has_depth, normals=task.has_normals)
        cell = Cell(
            title=planned.entry.title,
            backbone=config.blueprint.backbone.name,
            layers=record.layers,
            alone=planned.alone,
            probe=config.blueprint.probe.kind,
            task=task,
            seed=config.seed,
            run=f"{CELLS}/{planned.name}",
            backbone_parameters=record.backbone_parameters,
            probe_parameters=record.probe_parameters,
            training_cpu_seconds=record.cpu_seconds,
            predicting_cpu_seconds=scores.cpu_seconds,
            predicting_seconds=scores.seconds,
            measured=tuple(map(measured_of, scores.benchmarks)),
            doubts=record.doubts,
        )
        write_cell(cell, run)
        return cell

    def _fill(self, config: ProbeConfig, root: Path, batch: BatchOptions, images: int) -> None:
        """Compute the features that are not cached yet, in other processes."""
        choice = self._config.cache
        work = FeatureWork(
            config=config,
            root=root,
            storage=Storage(choice.precision),
            limit_megabytes=1000 * choice.gigabytes,
            device=self._options.device,
        )
        filled = fill_features(work, batch, threads=self._options.threads, images=images)
        self._say(f"  features of {filled.done} images made, {filled.finished_before} were there")

    def _cache(self, planned: Planned, backbone: Backbone) -> FeatureCache | None:
        """Cache of features; None unless the backbone is frozen and images repeat."""
        choice, augmentation = self._config.cache, planned.config.augmentation
        comes_again = not augmentation.changes or augmentation.variants
        if not choice.enabled or planned.config.backbone_rate or not comes_again:
            return None
        root = Path(choice.folder) if choice.folder else self._folder / "features"
        return FeatureCache(
            root,
            backbone,
            storage=Storage(choice.precision),
            limit_megabytes=1000 * choice.gigabytes,
            precision=planned.config.precision,
        )


def _probed_by(config: SweepConfig, entry: BackboneEntry) -> Blueprint:
    """Minimal blueprint for making a backbone and counting its layers."""
    backbone = BackboneChoice(name=entry.name, weights=entry.weights)
    return Blueprint(backbone=backbone, size=config.size, treatment=config.preset)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureWork:
    """Feature computation for every image, or augmented version of one, of a training run.

    ``limit_megabytes`` is the largest size of ``root``, the folder of all caches [MB]; every
    process counts for itself.
    """

    config: ProbeConfig
    root: Path
    storage: Storage = Storage.FP16
    limit_megabytes: float = LIMIT_MEGABYTES
    device: str = "auto"
    threads: int = 1

    def open(self) -> Do:
        """Load the backbone and open the images."""
        torch.set_num_threads(self.threads)
        backbone = make_chosen_backbone(self.config.blueprint).to(find_device(self.device))
        cache = FeatureCache(
            self.root,
            backbone,
            storage=self.storage,
            limit_megabytes=self.limit_megabytes,
            precision=self.config.precision,
        )
        # An image is needed once, so none is kept in memory.
        return partial(self._do, open_frames(self.config, megabytes=0.0).training, cache)

    def name(self, item: Source) -> str:
        """The image, by its number in the training set."""
        return f"image {item.index + 1} of the training set"

    def _do(
        self, frames: TargetFrames, cache: FeatureCache, items: Sequence[Source], *, again: bool
    ) -> Report:
        """Cache the features of some images; those already cached are left unchanged."""
        del again  # the cache finds complete entries by their content
        failures, idle = list[Failure](), 0
        made, found = cache.made, cache.found
        for source in items:
            try:
                frame = changed_frame(frames, source, self.config)
                if not frame.teaches(self.config.blueprint.task):
                    idle += 1
                    continue
                image = np.ascontiguousarray(frame.image)  # a mirrored one runs backwards
                cache.features(torch.from_numpy(image)[None])
            except InputError as error:
                failures.append(Failure(name=frames.ids[source.index], reason=str(error)))
        return Report(
            done=cache.made - made,
            finished_before=cache.found - found + idle,
            failures=tuple(failures),
        )


def fill_features(
    work: FeatureWork, batch: BatchOptions, *, threads: int | None = None, images: int | None = None
) -> Report:
    """Compute all features that a run needs and that are not cached yet.

    Scripts must call this under ``if __name__ == "__main__"``, since it starts processes.

    Args:
        work: The features to compute, and their cache.
        batch: The part of the images to process, the number of processes, and the machines.
        threads: Threads of each process; by default its share of the cores.
        images: Number of images in the training set; None opens the set to count them.

    Returns:
        A report: ``done`` counts features computed now, ``finished_before`` those already cached
        or of images without ground truth to learn from.

    Raises:
        OptionError: If the run augments images anew in every epoch, or trains the backbone.
        RilievoError: If no features can be computed at all.
    """
    config, augmentation = work.config, work.config.augmentation
    if config.backbone_rate or (augmentation.changes and not augmentation.variants):
        raise OptionError(
            "features can be kept of a frozen backbone and of images that come again: set "
            "backbone_rate to 0, and variants of the augmentation"
        )
    count = len(open_frames(config).training) if images is None else images
    versions = augmentation.variants if augmentation.changes else 1
    sources = [
        Source(index=index, number=number)
        for index in range(count)
        for number in range(versions)
        if batch.share.takes(f"{index}/{number}")
    ]
    each = threads_each(batch, threads)
    given = replace(work, threads=each)
    return joined(
        spread_out(
            given, sources, count=len(sources), batch=batch, threads=each, device=work.device
        )
    )
