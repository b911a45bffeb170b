"""Training of a probe, or of a whole network, into a run folder that is a model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import MissingExtraError, OptionError, needing
from rilievo.io.json_record import to_json
from rilievo.models.runs import is_run
from rilievo.pages.training import write_training_page
from rilievo.train.differences import Difference, with_whole_paths
from rilievo.train.engine.folder import RunFolder
from rilievo.train.probe.config import ProbeConfig, RunOptions
from rilievo.train.probe.frames import TrainingFrames, open_frames

_FLAT, _STRAIGHT = 0.01, 1.0
"""AbsRel and angle [degrees] of a constant below which the truth is one: nothing to learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantCheck:
    """Errors at the end of a run beside those of a constant; None for what is not predicted.

    Attributes:
        images: Number of images that were compared.
        held_out: Whether these are the images held out; else the first of those trained on.
        abs_rel: AbsRel of depth scaled by the median of each image.
        constant_abs_rel: AbsRel of a constant depth, the median of each image.
        angle: Mean angle between predicted and true normals [degrees].
        constant_angle: Mean angle between true normals and their mean direction [degrees].
    """

    images: int
    held_out: bool
    abs_rel: float | None = None
    constant_abs_rel: float | None = None
    angle: float | None = None
    constant_angle: float | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that nothing was learned; empty without any."""
        found, where = [], "held out" if self.held_out else "trained on"
        error, constant = self.abs_rel, self.constant_abs_rel
        if error is not None and constant is not None and error >= constant > _FLAT:
            found.append(
                f"the depth is no better than a constant on {self.images} images {where}: AbsRel "
                f"{error:.3f} against {constant:.3f}"
            )
        error, constant = self.angle, self.constant_angle
        if error is not None and constant is not None and error >= constant > _STRAIGHT:
            found.append(
                f"the normals are no better than a constant on {self.images} images {where}: "
                f"{error:.1f}° off against {constant:.1f}°"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        backbone_sha256: sha256 of the backbone's weights before training.
        layers: Layers of the backbone that features were taken from.
        backbone_parameters: Number of weights of the backbone.
        probe_parameters: Number of weights of the probe.
        images: Number of images to train on.
        held_out: Number of images held out for validation.
        passed_over: Number of images without a valid pixel, which were skipped.
        passed_over_ids: Ids of the first of them.
        steps: Number of steps.
        loss: Mean loss over the last epoch.
        check: Comparison with a constant at the end; None in runs of rilievo 0.1.
        cpu_seconds: CPU time spent in steps by all threads, interruptions not counted.
        device: Device that the run computed on.
        torch_version: Version of torch.
        version: Version of rilievo.
        differences: Differences from the preset ``default``.
    """

    backbone_sha256: str
    layers: tuple[int, ...]
    backbone_parameters: int
    probe_parameters: int
    images: int
    held_out: int
    passed_over: int
    passed_over_ids: tuple[str, ...]
    steps: int
    loss: float | None = None
    check: ConstantCheck | None = None
    cpu_seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[Difference, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that the run learned nothing; empty without any."""
        return () if self.check is None else self.check.doubts


def probe_folder(run: Path) -> RunFolder[ProbeConfig, TrainingRecord]:
    """Return the folder of a run, as far as its configuration and record go."""
    return RunFolder(path=run, config=ProbeConfig, record=TrainingRecord, is_ours=is_run)


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
    progress. A run that was stopped is a model of its last checkpoint's weights.

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
    options = options or RunOptions()
    if keeping is not None and config.backbone_rate:
        raise OptionError("features can be kept of a frozen backbone alone: backbone_rate is 0")
    folder = probe_folder(run)
    config = folder.check(with_whole_paths(config), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()
    # Data that are missing are reported before torch is imported, which takes seconds.
    frames = frames or open_frames(config)
    with needing("training", "train"):
        from rilievo.networks.backbones import weights_sha256
        from rilievo.networks.probed import make_chosen_backbone
        from rilievo.train.engine.loop import Devices, Engine, make_fabric
        from rilievo.train.probe.probe_task import ProbeTask
    backbone = backbone or make_chosen_backbone(config.blueprint)
    sha256 = weights_sha256(backbone)
    fabric = make_fabric(Devices(device=options.device, precision=config.precision))
    task = ProbeTask(config, run, fabric, frames, backbone, keeping, sha256=sha256)
    fingerprint = hashlib.sha256(to_json(config).encode()).hexdigest()
    engine = Engine(task, run, fabric=fabric, fingerprint=fingerprint)
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
