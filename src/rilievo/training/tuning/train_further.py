"""Run of fine-tuning, from opening its model to its record; needs torch."""

import hashlib
import math
from dataclasses import replace

from rilievo.data.datasets import Dataset
from rilievo.errors.messages import count_text
from rilievo.io.json_record import to_json
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
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
    """Fine-tune a model on a dataset, a part of which is held out, unless the run is finished.

    On the ``second`` dataset, if any, the model is scored before and after. Return the record of
    the run, or None if it was stopped before its end.
    """
    start_model = _open_start(config)
    config = folder.config_to_train(
        replace(config, network=start_model.blueprint), resume=options.resume
    )
    if folder.is_finished():
        return folder.read_record()

    divided = divide_images(dataset, config.data)
    data = TuningData(
        divided=divided,
        frames=_training_frames(config, dataset, divided, start_model),
        held_out=ScoredImages(dataset, divided.held_out),
        second=None if second is None else ScoredImages(second, second.ids),
    )
    fabric = launch_fabric(options.device, precision=config.precision, allows_unused_weights=True)
    task = TuningTask(config, folder.path, fabric, data, start_model)
    fingerprint = hashlib.sha256(f"{start_model.sha256} {to_json(config)}".encode()).hexdigest()
    loop = TrainingLoop(task, folder.path, fabric=fabric, fingerprint=fingerprint)

    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
        has_adapters = config.tuning.lora > 0
        network = merge_adapters(start_model.network) if has_adapters else start_model.network
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
    config: TuningConfig, dataset: Dataset, divided: DividedImages, start_model: StartModel
) -> TargetFrames:
    return TargetFrames(
        dataset,
        divided.training,
        config.data,
        preparation=start_model.network.preparation,
        largest=float("inf"),
        needs_focal=start_model.needs_focal,
    )


def describe_run(config: TuningConfig, dataset: Dataset, second: Dataset | None) -> tuple[str, ...]:
    """Describe in a few lines what a run would learn, after opening its model and first image."""
    start_model = _open_start(config)
    divided = divide_images(dataset, config.data)
    num_weights = count_parameters(start_model.network)
    num_learning = count_learning_weights(make_parameter_groups(config, start_model.network))
    if config.tuning.checkpointing:
        # Only to raise an error for a network that cannot do it.
        checkpoint_activations(start_model.network)

    num_images = len(divided.training)
    num_batches = config.epochs * math.ceil(num_images / config.batch_size)
    num_steps = math.ceil(num_batches / config.tuning.accumulate)
    images_per_step = config.batch_size * config.tuning.accumulate
    lines = [
        f"start: {config.tuning.start}, {start_model.blueprint.kind} depth, {num_weights:,} "
        f"weights, of which {num_learning:,} are trained",
        f"images: {num_images} for training, {len(divided.held_out)} held out, {divided.gap} left "
        "out between them",
        describe_first_target(_training_frames(config, dataset, divided, start_model)),
        f"steps: at most {num_steps}, each with up to {count_text(images_per_step, 'image')}",
    ]
    if second is not None:
        second_images = count_text(len(second.ids), "image")
        lines.append(f"second dataset: {config.tuning.second.dataset}, {second_images}")
    return tuple(lines)
