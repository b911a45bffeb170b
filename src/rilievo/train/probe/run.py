"""Training of a probe, or of a whole network, into a run folder that is a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import OptionError, OutputError, needing
from rilievo.io.atomic import make_folder, replacing, sweep_parts
from rilievo.io.checksums import is_torn, write_checksums
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import printable, read_text
from rilievo.models.probe_run import CONFIG, WEIGHTS, is_run
from rilievo.train.differences import differing_options, with_whole_paths
from rilievo.train.finished import is_finished
from rilievo.train.probe.config import ProbeConfig, RunOptions
from rilievo.train.probe.frames import TrainingFrames, open_frames
from rilievo.train.probe.log import LOGS
from rilievo.train.probe.records import CHECKPOINT, RECORD, TrainingRecord, read_record

# torch is imported at the call, so that the core can import this module and report what is missing.
if TYPE_CHECKING:
    from rilievo.networks.backbones import Backbone
    from rilievo.train.probe.cache import FeatureCache
    from rilievo.train.probe.loop import Loop


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
        from rilievo.networks.backbones import weights_sha256
        from rilievo.networks.probed import make_chosen_backbone
        from rilievo.train.probe.loop import Loop
    options = options or RunOptions()
    if keeping is not None and config.backbone_rate:
        raise OptionError("features can be kept of a frozen backbone alone: backbone_rate is 0")
    frames = frames or open_frames(config)
    backbone = backbone or make_chosen_backbone(config.blueprint)
    sha256 = weights_sha256(backbone)
    config = _check_folder(config, run, resume=options.resume)
    if is_finished(run, weights=WEIGHTS, record=RECORD):
        return read_record(run)
    loop = Loop(config, run, options, frames, backbone, keeping)
    # Only now, so that a run that cannot begin leaves no folder behind.
    _write_config(config, run)
    if not loop.go():
        return None
    return _finished(loop, run, sha256)


def _finished(loop: "Loop", run: Path, sha256: str) -> TrainingRecord:
    """Write the weights, then their record, and delete the checkpoint once all is synced."""
    loop.write_weights(sha256)
    record = loop.record(sha256)
    with replacing(run / RECORD) as part:
        part.write_text(to_json(record, indent=2), encoding="utf-8")
    write_checksums(run, (CONFIG, WEIGHTS, RECORD, *LOGS))
    (run / CHECKPOINT).unlink(missing_ok=True)
    return record


def _check_folder(config: ProbeConfig, run: Path, *, resume: bool) -> ProbeConfig:
    """Check that a run in the folder, if there is one, is this one.

    Returns:
        Configuration as the run has it; its paths may be spelled differently.

    Raises:
        OutputError: If something else is in the folder.
    """
    if run.is_dir():
        sweep_parts(run)
    path, config = run / CONFIG, with_whole_paths(config)
    if path.exists() and not is_torn(path):
        if not is_run(run):
            raise OutputError(f"{printable(path)}: is not ours: choose another folder")
        if not resume:
            raise OutputError(
                f"{printable(run)}: holds a run already: go on with it (--resume), or choose "
                "another folder"
            )
        before = _read_config(path)
        differ = differing_options(with_whole_paths(before), config)
        if differ:
            raise OutputError(
                f"{printable(run)}: holds a run of another configuration ({'; '.join(differ)}): "
                "give those options, or choose another folder"
            )
        return before
    return config


def _write_config(config: ProbeConfig, run: Path) -> None:
    path = run / CONFIG
    if path.exists() and not is_torn(path):
        return
    make_folder(run)
    with replacing(path) as part:
        part.write_text(to_json(config, indent=2), encoding="utf-8")


def _read_config(path: Path) -> ProbeConfig:
    try:
        return from_json(ProbeConfig, read_text(path))
    except NotThisRecord as error:
        raise OutputError(
            f"{printable(path)}: holds a run of another configuration or version ({error}): choose "
            "another folder"
        ) from error
