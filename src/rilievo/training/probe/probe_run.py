"""Training of a probe, or of a whole network, into a run folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import MissingExtraError, OptionError, explain_missing_extra
from rilievo.io.json_record import to_json
from rilievo.training.adapters.run_models import is_probe_run
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.engine.run_page import write_training_page
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_frames import TrainingFrames, open_frames
from rilievo.training.probe.probe_record import ProbeRecord

# torch is imported at the call, so that the core can import this module and report what is missing.
if TYPE_CHECKING:
    from rilievo.training.networks.backbones import Backbone
    from rilievo.training.probe.feature_cache import FeatureCache


def probe_run_folder(run: Path) -> RunFolder[ProbeConfig, ProbeRecord]:
    """Folder of a probe's run."""
    return RunFolder(path=run, config=ProbeConfig, record=ProbeRecord, is_run_of_kind=is_probe_run)


def train_probe(
    config: ProbeConfig,
    run: Path,
    options: RunOptions | None = None,
    *,
    frames: TrainingFrames | None = None,
    backbone: "Backbone | None" = None,
    feature_cache: "FeatureCache | None" = None,
) -> ProbeRecord | None:
    """Train a probe and write a run folder, which ``load_model`` takes.

    A finished run is not repeated; a stopped one is a model of its last checkpoint.

    Examples:
        >>> from rilievo.training.networks.blueprint import BackboneChoice, Blueprint
        >>> from rilievo.training.probe.probe_config import DataChoice, ProbeConfig, RunOptions
        >>> backbone = BackboneChoice(name="timm/test_resnet", weights="random")
        >>> config = ProbeConfig(
        ...     blueprint=Blueprint(backbone=backbone, size=(32, 32)),
        ...     data=DataChoice(dataset="folder", root="rooms"),
        ...     epochs=1,
        ... )
        >>> rilievo.train_probe(config, Path("probe"), RunOptions(device="cpu", shown=False)).steps
        1

    Args:
        config: Network, data and options of the training.
        run: Folder to write.
        options: Options that do not change the result.
        frames: Images to use in place of those of ``config``.
        backbone: Backbone to use in place of that of ``config``.
        feature_cache: Cache of the features of a frozen backbone.

    Returns:
        The record of the run; None if it was stopped before its end.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
        RilievoError: If an option, the data, the backbone or a checkpoint cannot be used.
    """
    options = options or RunOptions()
    if feature_cache is not None and config.backbone_rate:
        raise OptionError(
            "features can only be cached for a frozen backbone: set backbone_rate to 0"
        )
    folder = probe_run_folder(run)
    config = folder.config_to_train(with_absolute_paths(config), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()
    # Opened first, so that missing data are reported before torch is imported, which takes seconds.
    frames = frames or open_frames(config.data, config.blueprint)
    with explain_missing_extra("training", "train"):
        from rilievo.training.engine.loop import TrainingLoop, launch_fabric
        from rilievo.training.networks.backbones import tensors_sha256
        from rilievo.training.networks.probe_network import backbone_from_blueprint
        from rilievo.training.probe.probe_task import ProbeTask
    backbone = backbone or backbone_from_blueprint(config.blueprint)
    fabric = launch_fabric(options.device, precision=config.precision)
    task = ProbeTask(
        config,
        run,
        fabric,
        frames,
        backbone,
        feature_cache,
        backbone_sha256=tensors_sha256(backbone.stored_weights()),
    )
    fingerprint = hashlib.sha256(to_json(config).encode()).hexdigest()
    loop = TrainingLoop(task, run, fabric=fabric, fingerprint=fingerprint)
    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
    is_at_end = loop.train_to_end(
        tensorboard=options.tensorboard,
        stop_at=options.stop_at,
        shown=options.shown,
        resumes=options.resume,
    )
    return loop.finish(folder, task.record) if is_at_end else None


def write_page(
    run: Path, verdict: str, counts: str, warnings: Sequence[str], notes: Sequence[str] = ()
) -> str:
    """Write the page of a finished run.

    ``verdict`` is a sentence on how well the run learned, ``counts`` one on its steps, images and
    time, and ``warnings`` are reasons to think that it learned nothing. Return a line that says
    where the page is, or why there is none.
    """
    try:
        page = write_training_page(
            run,
            kind="Training",
            verdict=verdict,
            counts=counts,
            warnings=warnings,
            notes=notes,
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
