"""Training of a probe, or of a whole network, into a run folder that is a model."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import MissingExtraError, OptionError, needing
from rilievo.io.json_record import to_json
from rilievo.models.probe_run import WEIGHTS
from rilievo.pages.training import write_training_page
from rilievo.train.differences import with_whole_paths
from rilievo.train.probe.config import ProbeConfig, RunOptions
from rilievo.train.probe.frames import TrainingFrames, open_frames
from rilievo.train.probe.records import TrainingRecord, probe_folder

# torch is imported at the call, so that the core can import this module and report what is missing.
if TYPE_CHECKING:
    from rilievo.networks.backbones import Backbone
    from rilievo.train.probe.cache import FeatureCache


def train_probe(
    config: ProbeConfig,
    run: Path,
    options: RunOptions | None = None,
    *,
    frames: TrainingFrames | None = None,
    backbone: "Backbone | None" = None,
    keeping: "FeatureCache | None" = None,
) -> TrainingRecord | None:
    """Train a probe and write a run folder, which ``load_model`` takes.

    A finished run is not repeated. The folder gets ``config.json``, ``weights.safetensors``,
    ``log.csv``, ``validation.csv`` and ``record.json``, and ``checkpoint.pt`` while the run is in
    progress.

    Args:
        config: Configuration of the run.
        run: Folder of the run.
        options: Options that do not change the result.
        frames: Frames already opened, in place of those that ``config.data`` names.
        backbone: Backbone already made, in place of the one that the blueprint names.
        keeping: Cache of the features of a frozen backbone.

    Returns:
        Record of the run; None if it was stopped before its end.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
        RilievoError: If an option, the data, the backbone or a checkpoint cannot be used.
    """
    with needing("training a probe", "train"):
        from rilievo.models.probe import BACKBONE
        from rilievo.networks.backbones import weights_sha256
        from rilievo.networks.probed import make_chosen_backbone
        from rilievo.train.engine.checkpoint import save_weights
        from rilievo.train.engine.loop import Devices, Engine, make_fabric
        from rilievo.train.probe.probe_task import ProbeTask
    options = options or RunOptions()
    if keeping is not None and config.backbone_rate:
        raise OptionError("features can be kept of a frozen backbone alone: backbone_rate is 0")
    frames = frames or open_frames(config)
    backbone = backbone or make_chosen_backbone(config.blueprint)
    sha256 = weights_sha256(backbone)
    folder = probe_folder(run)
    config = folder.check(with_whole_paths(config), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()
    fabric = make_fabric(Devices(device=options.device, precision=config.precision))
    task = ProbeTask(config, fabric, frames, backbone, keeping)
    fingerprint = hashlib.sha256(to_json(config).encode()).hexdigest()
    engine = Engine(task, run, fabric=fabric, fingerprint=fingerprint)
    # Only now, so that a run that cannot begin leaves no folder behind.
    folder.write_config(config)
    if not engine.go(tensorboard=options.tensorboard, stop_at=options.stop_at, shown=options.shown):
        return None
    save_weights(task.learner.learned, run / WEIGHTS, {BACKBONE: sha256})
    with engine.failures():
        record = task.record(sha256)
    folder.finish(record)
    return record


def page_line(run: Path, record: TrainingRecord) -> str:
    """Write the page of a finished run, and tell where; the run is whole without its page."""
    try:
        page = write_training_page(
            run,
            kind="Training",
            verdict=f"The loss of the last epoch is {record.loss:.4g}.",
            counts=f"{record.steps:,} steps on {record.images:,} images, {record.held_out:,} held "
            f"out, {record.cpu_seconds:.0f} CPU seconds on {record.device}",
            doubts=record.doubts,
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
