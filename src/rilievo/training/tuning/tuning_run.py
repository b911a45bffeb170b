"""``fine_tune``, which trains a model further into a run folder."""

import hashlib
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import OptionError, explain_missing_extra
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.io.json_record import to_json
from rilievo.training.adapters.run_models import PIPELINE_FOLDER, is_tuned_run
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.probe.probe_config import DataChoice, RunOptions
from rilievo.training.probe.probe_frames import (
    TargetFrames,
    describe_first_target,
    open_training_set,
)
from rilievo.training.tuning.held_out import divide_images
from rilievo.training.tuning.tuning_config import SecondSet, TuningConfig
from rilievo.training.tuning.tuning_record import TuningRecord

# torch is imported at the call, so that the core can import this module and report what is missing.
if TYPE_CHECKING:
    from rilievo.training.tuning.start_models import StartModel


def fine_tune(
    config: TuningConfig, run: Path, options: RunOptions | None = None
) -> TuningRecord | None:
    """Train a model further on photographs with depth, normals or both.

    The run's folder is a model, which ``load_model`` takes. Its weights are those with the least
    error on the held-out images, among them the weights of the model that the run began with. A
    finished run is not repeated.

    Examples:
        >>> from rilievo.training.probe.probe_config import DataChoice, RunOptions
        >>> from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions
        >>> config = TuningConfig(
        ...     data=DataChoice(dataset="folder", root="rooms"),
        ...     tuning=TuningOptions(start="rilievo/small"),
        ...     epochs=1,
        ... )
        >>> rilievo.fine_tune(config, Path("run"), RunOptions(device="cpu", shown=False)).steps
        1

    Returns:
        The record of the run; None if it was stopped before its end.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
        RilievoError: If an option, the data, the model or a checkpoint cannot be used.
    """
    options = options or RunOptions()
    config = _with_absolute_paths(config)
    # Missing data are reported before torch is imported, which takes seconds.
    dataset = open_training_set(config.data)
    second = _open_second_set(config.tuning.second)
    with explain_missing_extra("training", "train"):
        from rilievo.training.engine.loop import TrainingLoop, launch_fabric
        from rilievo.training.tuning.library_folders import write_library_config
        from rilievo.training.tuning.scored_images import ScoredImages
        from rilievo.training.tuning.start_models import open_start_model
        from rilievo.training.tuning.tuning_task import TuningTask

    assert config.tuning.start is not None, "the configuration checks it"
    start = open_start_model(config.tuning.start, config.tuning.kind)
    replay_weight = _decide_replay_weight(config.tuning.replay, start)
    folder = RunFolder(
        path=run,
        config=TuningConfig,
        record=TuningRecord,
        is_run_of_kind=is_tuned_run,
        initial_folders=(PIPELINE_FOLDER,),
    )
    config = folder.config_to_train(replace(config, network=start.blueprint), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()

    divided = divide_images(dataset, config.data)
    fabric = launch_fabric(options.device, precision=config.precision, allows_unused_weights=True)
    task = TuningTask(
        config,
        run,
        fabric,
        start,
        divided,
        frames=_training_frames(start, dataset, divided.training, config.data),
        held_out=ScoredImages(dataset, divided.held_out),
        second=None if second is None else ScoredImages(second, second.ids),
        replay_weight=replay_weight,
    )
    fingerprint = hashlib.sha256(f"{start.sha256} {to_json(config)}".encode()).hexdigest()
    loop = TrainingLoop(task, run, fabric=fabric, fingerprint=fingerprint)
    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
        write_library_config(task.without_adapters(start.network), run)

    is_at_end = loop.train_to_end(
        tensorboard=options.tensorboard,
        stop_at=options.stop_at,
        shown=options.shown,
        resumes=options.resume,
    )
    return loop.finish(folder, task.record) if is_at_end else None


def _training_frames(
    start: "StartModel", dataset: Dataset, ids: tuple[str, ...], data: DataChoice
) -> TargetFrames:
    """Images to learn from, as the model sees them."""
    return TargetFrames(
        dataset,
        ids,
        data,
        preparation=start.network.preparation,
        max_depth=math.inf,
        needs_focal=start.needs_focal,
    )


def plan_tuning(config: TuningConfig) -> tuple[str, ...]:
    """Describe in a few lines what a run would do, after opening its model and first image."""
    config = _with_absolute_paths(config)
    dataset = open_training_set(config.data)
    second = _open_second_set(config.tuning.second)
    with explain_missing_extra("training", "train"):
        from rilievo.training.networks.backbones.own_backbone import count_parameters
        from rilievo.training.tuning.network_layers import checkpoint_activations
        from rilievo.training.tuning.parameter_groups import (
            count_learning_weights,
            make_parameter_groups,
        )
        from rilievo.training.tuning.start_models import open_start_model

    tuning = config.tuning
    assert tuning.start is not None, "the configuration checks it"
    start = open_start_model(tuning.start, tuning.kind)
    _decide_replay_weight(tuning.replay, start)  # raises as training would
    divided = divide_images(dataset, config.data)
    num_weights = count_parameters(start.network)
    groups = make_parameter_groups(
        start.network, tuning, learning_rate=config.learning_rate, seed=config.seed
    )
    if tuning.checkpointing:
        # Only to raise an error for a network that cannot do it.
        checkpoint_activations(start.network)

    num_images = len(divided.training)
    num_steps = _count_steps(config, num_images)
    images_per_step = config.batch_size * tuning.accumulate
    frames = _training_frames(start, dataset, divided.training, config.data)
    lines = [
        f"start: {tuning.start}, {start.blueprint.kind} depth, {num_weights:,} "
        f"weights, of which {count_learning_weights(groups):,} are trained",
        f"images: {num_images} for training, {len(divided.held_out)} held out, {divided.gap} left "
        "out between them",
        describe_first_target(frames),
        f"steps: at most {num_steps}, each with up to {count_text(images_per_step, 'image')}",
    ]
    if second is not None:
        second_images = count_text(len(second.ids), "image")
        lines.append(f"second dataset: {tuning.second.dataset}, {second_images}")
    return tuple(lines)


def _count_steps(config: TuningConfig, num_images: int) -> int:
    """Number of steps of all epochs, if the run does not end early."""
    num_batches = config.epochs * math.ceil(num_images / config.batch_size)
    return math.ceil(num_batches / config.tuning.accumulate)


def _with_absolute_paths(config: TuningConfig) -> TuningConfig:
    """Make all paths absolute, so that a run can be resumed from another folder."""
    config = with_absolute_paths(config)
    start = config.tuning.start
    second = config.tuning.second
    if second.root is not None:
        second = replace(second, root=os.path.abspath(second.root))
    if start is not None and os.path.exists(start):
        start = os.path.abspath(start)
    return replace(config, tuning=replace(config.tuning, start=start, second=second))


def _decide_replay_weight(replay: float | None, start: "StartModel") -> float:
    """Weight of the loss on pictures of other places: 1 by default, and 0 for pipelines.

    Raises:
        OptionError: If the user wants replay for a pipeline.
    """
    if not start.is_pipeline:
        return 1.0 if replay is None else replay
    if replay:
        problem = "cannot be used for a pipeline, because pipelines predict in several steps"
        hint = Text("leave out ", OptionName("replay"))
        raise OptionError(option="replay", problem=problem, hint=hint)
    return 0.0


def _open_second_set(second: SecondSet) -> Dataset | None:
    """Open the second dataset; None if there is none.

    Raises:
        OptionError: If an option of the second dataset is set, but not its folder.
    """
    needs_root = find_dataset(second.dataset).card.needs_root
    if second.root is not None or not needs_root:
        return open_dataset(second.dataset, second.root, split=second.split, variant=second.variant)

    default = SecondSet()
    for name in ("dataset", "split", "variant"):
        if getattr(second, name) != getattr(default, name):
            raise OptionError(
                option=f"second.{name}", problem=Text("needs ", OptionName("second.root"))
            )
    return None
