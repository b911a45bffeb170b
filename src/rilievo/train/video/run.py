"""Training on video, into a run folder that is a model."""

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.io.atomic import make_folder, replacing, sweep_parts
from rilievo.io.checksums import is_torn, write_checksums
from rilievo.io.facts import FileSum
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import printable, read_text
from rilievo.models.video_run import CONFIG, WEIGHTS, is_video_run
from rilievo.networks.video.blueprint import PoseKind
from rilievo.networks.video.networks import VideoNetworks, make_networks
from rilievo.train.differences import differing_options, with_whole_paths
from rilievo.train.finished import is_finished
from rilievo.train.progress import Decoding
from rilievo.train.video.checkpoint import CHECKPOINT
from rilievo.train.video.config import Scales, VideoConfig, VideoRunOptions
from rilievo.train.video.devices import make_fabric
from rilievo.train.video.embedded_start import start_from_embedded
from rilievo.train.video.footage_defaults import EMBEDDED_STARTS
from rilievo.train.video.frames import VideoFrames, all_offsets, open_frames
from rilievo.train.video.guide import Guide
from rilievo.train.video.learner import Learner
from rilievo.train.video.log import LOGS
from rilievo.train.video.loop import BEST, Loop
from rilievo.train.video.motion_files import FOLDER as MOTIONS
from rilievo.train.video.records import RECORD, VideoRecord, read_record
from rilievo.train.video.sources import list_sequences

CACHE = "frames"


def train_video(
    config: VideoConfig,
    run: Path,
    options: VideoRunOptions | None = None,
    *,
    frames: VideoFrames | None = None,
) -> VideoRecord | None:
    """Learn depth and motion from video and write a run folder, which ``load_model`` takes.

    A finished run is not repeated. The folder gets ``config.json``, ``weights.safetensors``,
    ``record.json``, ``log.csv``, ``validation.csv``, ``warnings.csv`` if there were any,
    ``pictures``, and ``best``, the weights with the least error on the held-out targets, which is a
    model too; ``checkpoint.pt`` is there while the run is in progress.

    Args:
        config: Configuration of the run.
        run: Folder of the run.
        options: Options that do not change the result.
        frames: Frames already opened, in place of those that ``config.data`` names.

    Returns:
        Record of the run; None if it was stopped before its end.

    Raises:
        RilievoError: If an option, the data, the weights to start from or a checkpoint cannot be
            used.
    """
    began = time.monotonic()
    options = options or VideoRunOptions()
    # As it will be read back: a whole number given for a float becomes that float.
    config = with_whole_paths(config)
    fabric = make_fabric(config, options)
    with _nothing_left(run, speaks=fabric.is_global_zero):
        if fabric.is_global_zero:
            _check_folder(config, run, resume=options.resume)
        fabric.barrier()
        if (run / CONFIG).exists() and not is_torn(run / CONFIG):
            config = read_config(run)  # its paths may be spelled differently
        if is_finished(run, weights=WEIGHTS, record=RECORD):
            return read_record(run)
        if frames is None:
            # Missing footage is reported before weights are fetched, and weights are refused before
            # frames are decoded, which takes minutes.
            list_sequences(config.data)
        learner = Learner(_networks(config, run, frames), config)
        cache = run / CACHE if options.cache is None else Path(options.cache)
        if frames is None:
            frames = _frames(config, cache, fabric)
        guide = None
        if config.blueprint.pose is PoseKind.GEOMETRY:
            guide = Guide(config, run, cache, learner=learner, fabric=fabric)
            frames = guide.begin(frames)
        if fabric.is_global_zero:
            # Only now, so that a run that cannot begin leaves nothing behind.
            _write_config(config, run)
    loop = Loop(
        config,
        run,
        options,
        fabric=fabric,
        frames=frames,
        learner=learner,
        fingerprint=_fingerprint(config, fabric.world_size),
        guide=guide,
        began=began,
    )
    if not loop.go():
        return None
    if fabric.is_global_zero:
        loop.write_weights()
        _finish(run, loop.record(), loop.state.sums)
    fabric.barrier()
    return read_record(run)


def _frames(config: VideoConfig, cache: Path, fabric: Any) -> VideoFrames:
    """Open the frames: the first process decodes them, and the others find the cache."""
    with fabric.rank_zero_first():
        return open_frames(
            config.data,
            size=config.blueprint.size,
            offsets=config.offsets,
            cache=cache,
            progress=Decoding(shown=fabric.is_global_zero),
            hints=config.losses.hints,
            source_pyramids=config.losses.scales is Scales.NATIVE,
        )


def _networks(config: VideoConfig, run: Path, frames: VideoFrames | None) -> VideoNetworks:
    """Make the networks; with a checkpoint, weights to start from are not fetched again."""
    start = None if (run / CHECKPOINT).exists() else config.start
    if frames is None:
        offsets = all_offsets(config.data, config.offsets, hints=config.losses.hints)
    else:
        offsets = frames.offsets
    embedded = config.start in EMBEDDED_STARTS
    # Motion by geometry begins with the depth of the start, also where a run is resumed.
    if config.blueprint.pose is PoseKind.GEOMETRY:
        start = config.start
    networks = make_networks(
        config.blueprint, offsets=offsets, seed=config.seed, start=None if embedded else start
    )
    if embedded and start is not None:
        start_from_embedded(networks, start)
    return networks


@contextmanager
def _nothing_left(run: Path, *, speaks: bool) -> Iterator[None]:
    """Remove what a start that is refused has created in the run's folder."""
    made = [path for path in (run / CACHE, run / BEST, run / MOTIONS) if not path.exists()]
    is_new = not run.exists()
    try:
        yield
    except RilievoError:
        if speaks:
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
            if is_new:
                with suppress(OSError):
                    run.rmdir()
        raise


def read_config(run: Path) -> VideoConfig:
    """Read the configuration of a run.

    Raises:
        InputError: If its file is broken.
    """
    path = run / CONFIG
    try:
        return from_json(VideoConfig, read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: is no run on video: {error}") from error


def _fingerprint(config: VideoConfig, processes: int) -> str:
    return hashlib.sha256(f"{processes} {to_json(config)}".encode()).hexdigest()


def _finish(run: Path, record: VideoRecord, written: Mapping[str, FileSum]) -> None:
    """Write the record after the weights, and delete the checkpoint once all is synced."""
    with replacing(run / RECORD) as part:
        part.write_text(to_json(record, indent=2), encoding="utf-8")
    best = [f"{BEST}/{name}" for name in (CONFIG, WEIGHTS)]
    write_checksums(run, (CONFIG, WEIGHTS, RECORD, *best, *LOGS), known=written)
    (run / CHECKPOINT).unlink(missing_ok=True)


def _check_folder(config: VideoConfig, run: Path, *, resume: bool) -> None:
    """Make the folder, or check that the run in it is this one.

    Raises:
        OutputError: If something else is in the folder.
        InputError: If its configuration is broken.
    """
    make_folder(run)
    for folder in (run, run / BEST):
        if folder.exists():
            sweep_parts(folder)
    if (run / CONFIG).exists() and not is_torn(run / CONFIG):
        _check_same(config, run, resume=resume)


def _write_config(config: VideoConfig, run: Path) -> None:
    make_folder(run / BEST)
    for path in (run / BEST / CONFIG, run / CONFIG):
        with replacing(path) as part:
            part.write_text(to_json(config, indent=2), encoding="utf-8")


def _check_same(config: VideoConfig, run: Path, *, resume: bool) -> None:
    if not is_video_run(run):
        raise OutputError(f"{printable(run / CONFIG)}: is not ours: choose another folder")
    if not resume:
        raise OutputError(
            f"{printable(run)}: holds a run already: go on with it (--resume), or choose another "
            "folder"
        )
    changed = differing_options(with_whole_paths(read_config(run)), config)
    if changed:
        raise OutputError(
            f"{printable(run)}: holds a run with other options ({'; '.join(changed)}): give those "
            "of then, or choose another folder (--start takes weights from this one)"
        )
