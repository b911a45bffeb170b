"""Training of a model further, into a run folder that is a model."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets import Dataset, find_dataset, open_dataset
from rilievo.errors import MissingExtraError, needing
from rilievo.io.json_record import to_json
from rilievo.pages.training import write_training_page
from rilievo.training.adapters.run_models import is_tuned_run
from rilievo.training.engine.differences import with_whole_paths
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_frames import open_training_set
from rilievo.training.tuning.tuning_config import TuningConfig
from rilievo.training.tuning.tuning_record import TuningRecord


def tuned_folder(run: Path) -> RunFolder[TuningConfig, TuningRecord]:
    """Return the folder of a run, as far as its configuration and record go."""
    return RunFolder(path=run, config=TuningConfig, record=TuningRecord, is_ours=is_tuned_run)


def fine_tune(
    config: TuningConfig, run: Path, options: RunOptions | None = None
) -> TuningRecord | None:
    """Train a model further on photographs with depth, normals or both.

    The folder of the run is a model, which ``load_model`` takes: that of the weights with the least
    error on the images kept out, of which the start's count too. A finished run is not repeated.
    The folder gets ``config.json``, ``weights.safetensors``, ``log.csv``, ``validation.csv`` and
    ``record.json``, and ``checkpoint.pt`` while the run is in progress.

    >>> fine_tune(
    ...     TuningConfig(
    ...         data=DataChoice(dataset="folder", root="kitchen/"),
    ...         tuning=TuningOptions(start="rilievo/small"),
    ...     ),
    ...     Path("run"),
    ... )

    Args:
        config: Configuration of the run.
        run: Folder of the run.
        options: Options that do not change the result.

    Returns:
        Record of the run; None if it was stopped before its end.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
        RilievoError: If an option, the data, the model or a checkpoint cannot be used.
    """
    options = options or RunOptions()
    folder, config = tuned_folder(run), _with_whole_paths(config)
    # Data that are missing are reported before torch is imported, which takes seconds.
    dataset = open_training_set(config.data)
    second = _second_set(config)
    with needing("training", "train"):
        from rilievo.training.adapters.tuned import open_start
        from rilievo.training.engine.loop import Devices, TrainingLoop, make_fabric
        from rilievo.training.probe.probe_frames import TargetFrames
        from rilievo.training.tuning.judging import Judge
        from rilievo.training.tuning.kept_out import divided, judged_of
        from rilievo.training.tuning.tuning_task import TuningData, TuningTask
    assert config.tuning.start is not None, "the configuration checks it"
    start = open_start(config.tuning.start)
    config = folder.check(replace(config, network=start.blueprint), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()
    parts, window = divided(dataset, config.data), config.data.window
    frames = TargetFrames(
        dataset,
        parts.training,
        config.data,
        preparation=start.network.preparation,
        largest=config.largest or float("inf"),
    )
    judge = None
    if second is not None:
        judge = Judge(second, judged_of(second, second.ids), None)
    data = TuningData(
        divided=parts, frames=frames, kept_out=Judge(dataset, parts.judged, window), second=judge
    )
    fabric = make_fabric(Devices(device=options.device, precision=config.precision, partly=True))
    task = TuningTask(config, run, fabric, data, start)
    printed = f"{start.sha256} {to_json(config)}".encode()
    engine = TrainingLoop(task, run, fabric=fabric, fingerprint=hashlib.sha256(printed).hexdigest())
    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
    if not engine.go(
        tensorboard=options.tensorboard,
        stop_at=options.stop_at,
        shown=options.shown,
        resumes=options.resume,
    ):
        return None
    with engine.failures():
        record = task.record()
    if fabric.is_global_zero:
        task.saved()
        folder.finish(record)
    fabric.barrier()
    return record


def _with_whole_paths(config: TuningConfig) -> TuningConfig:
    config = with_whole_paths(config)
    tuning, second = config.tuning, config.tuning.second
    if second.root is not None:
        second = replace(second, root=os.path.abspath(second.root))
    start = tuning.start
    if start is not None and os.path.exists(start):
        start = os.path.abspath(start)
    return replace(config, tuning=replace(tuning, start=start, second=second))


def _second_set(config: TuningConfig) -> Dataset | None:
    chosen = config.tuning.second
    card = find_dataset(chosen.dataset).card
    if chosen.root is None and card.needs_root:
        return None
    return open_dataset(chosen.dataset, chosen.root, split=chosen.split, variant=chosen.variant)


def tuning_page(run: Path, record: TuningRecord) -> str:
    """Write the page of a finished run, and tell where; the run is whole without its page."""
    notes = [] if record.second is None else [record.second.words]
    try:
        page = write_training_page(
            run,
            kind="A model trained further",
            verdict=f"{record.kept_out.words}.",
            counts=f"{record.steps:,} steps on {record.images:,} images, {record.held_out:,} kept "
            f"out, {record.cpu_seconds:.0f} CPU seconds on {record.device}",
            doubts=record.doubts,
            notes=notes,
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
