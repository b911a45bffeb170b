"""The run of a further training, from opening its model to its record; needs torch."""

import hashlib
import math
from dataclasses import replace

from rilievo.data.datasets import Dataset
from rilievo.io.json_record import to_json
from rilievo.training.engine.loop import Devices, TrainingLoop, launch_fabric
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_frames import TargetFrames, describe_first_target
from rilievo.training.tuning.held_out import DividedImages, divide_images
from rilievo.training.tuning.library_folders import write_library_config
from rilievo.training.tuning.low_rank import merge_adapters
from rilievo.training.tuning.network_layers import checkpoint_activations
from rilievo.training.tuning.parameter_groups import count_learning_weights, make_parameter_groups
from rilievo.training.tuning.scored_images import ScoredImages
from rilievo.training.tuning.start_models import StartModel, open_start_model
from rilievo.training.tuning.tuning_config import TuningConfig
from rilievo.training.tuning.tuning_record import TuningRecord
from rilievo.training.tuning.tuning_task import TuningData, TuningTask


def train_further(
    config: TuningConfig,
    dataset: Dataset,
    second: Dataset | None,
    *,
    folder: RunFolder[TuningConfig, TuningRecord],
    options: RunOptions,
) -> TuningRecord | None:
    """Train a model on a dataset, a part of which is held out, unless the run is finished already.

    On the ``second`` dataset, if any, the model is scored before and after. Returns the record of
    the run, or None if it was stopped before its end.
    """
    start = _open_start(config)
    config = folder.check_config(replace(config, network=start.blueprint), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()

    divided = divide_images(dataset, config.data)
    data = TuningData(
        divided=divided,
        frames=_training_frames(config, dataset, divided, start),
        held_out=ScoredImages(dataset, divided.held_out),
        second=None if second is None else ScoredImages(second, second.ids),
    )
    fabric = launch_fabric(Devices(device=options.device, precision=config.precision, partly=True))
    task = TuningTask(config, folder.path, fabric, data, start)
    fingerprint = hashlib.sha256(f"{start.sha256} {to_json(config)}".encode()).hexdigest()
    loop = TrainingLoop(task, folder.path, fabric=fabric, fingerprint=fingerprint)

    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
        has_adapters = config.tuning.lora > 0
        network = merge_adapters(start.network) if has_adapters else start.network
        write_library_config(network, folder.path)

    is_at_end = loop.train_to_end(
        tensorboard=options.tensorboard,
        stop_at=options.stop_at,
        shown=options.shown,
        resumes=options.resume,
    )
    return loop.finish(folder, task.record) if is_at_end else None


def _open_start(config: TuningConfig) -> StartModel:
    assert config.tuning.start is not None, "the configuration checks it"
    return open_start_model(config.tuning.start, config.tuning.kind)


def _training_frames(
    config: TuningConfig, dataset: Dataset, divided: DividedImages, start: StartModel
) -> TargetFrames:
    return TargetFrames(
        dataset,
        divided.training,
        config.data,
        preparation=start.network.preparation,
        largest=float("inf"),
        needs_focal=start.needs_focal,
    )


def describe_run(config: TuningConfig, dataset: Dataset, second: Dataset | None) -> tuple[str, ...]:
    """Describe in a few lines what a run would learn, after opening its model and first image."""
    start = _open_start(config)
    divided = divide_images(dataset, config.data)
    weight_count = count_parameters(start.network)
    learning_count = count_learning_weights(make_parameter_groups(config, start.network))
    if config.tuning.checkpointing:
        # Only to raise an error for a network that cannot do it.
        checkpoint_activations(start.network)

    images, accumulate = len(divided.training), config.tuning.accumulate
    batches = config.epochs * math.ceil(images / config.batch_size)
    steps = math.ceil(batches / accumulate)
    lines = [
        f"start: {config.tuning.start}, {start.blueprint.kind} depth, {weight_count:,} weights, "
        f"of which {learning_count:,} learn",
        f"images: {images} to learn from, {len(divided.held_out)} kept out, {divided.gap} left out "
        "between them",
        describe_first_target(_training_frames(config, dataset, divided, start)),
        f"steps: {steps} at most, of {config.batch_size * accumulate} images",
    ]
    if second is not None:
        lines.append(f"second set: {config.tuning.second.dataset}, {len(second.ids)} images")
    return tuple(lines)
