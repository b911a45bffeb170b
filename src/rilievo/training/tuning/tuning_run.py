"""Further training into a run folder."""

import os
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets import Dataset, find_dataset, open_dataset
from rilievo.errors import OptionError, needing
from rilievo.errors.messages import OptionName, Text
from rilievo.training.adapters.run_models import PIPELINE, is_tuned_run
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_frames import open_training_set
from rilievo.training.tuning.tuning_config import SecondSet, TuningConfig
from rilievo.training.tuning.tuning_record import TuningRecord


def tuned_run_folder(run: Path) -> RunFolder[TuningConfig, TuningRecord]:
    """Folder of a run of further training."""
    return RunFolder(
        path=run,
        config=TuningConfig,
        record=TuningRecord,
        is_ours=is_tuned_run,
        initial_folders=(PIPELINE,),
    )


def fine_tune(
    config: TuningConfig, run: Path, options: RunOptions | None = None
) -> TuningRecord | None:
    """Train a model further on photographs with depth, normals or both.

    The run's folder is a model, which ``load_model`` takes: the weights with the least error on the
    images kept out, the start's included. A finished run is not repeated.

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

    Returns None if the run was stopped before its end.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
        RilievoError: If an option, the data, the model or a checkpoint cannot be used.
    """
    options = options or RunOptions()
    config, folder = _with_absolute_paths(config), tuned_run_folder(run)
    # Data that are missing are reported before torch is imported, which takes seconds.
    dataset, second = open_training_set(config.data), _open_second_set_if_any(config)
    with needing("training", "train"):
        from rilievo.training.tuning.tuning_task import train_further
    return train_further(config, dataset, second, folder=folder, options=options)


def plan_tuning(config: TuningConfig) -> tuple[str, ...]:
    """Describe what a run would do; opens the model and the first image."""
    config = _with_absolute_paths(config)
    dataset, second = open_training_set(config.data), _open_second_set_if_any(config)
    with needing("training", "train"):
        from rilievo.training.tuning.tuning_task import plan_lines
    return plan_lines(config, dataset, second)


def _with_absolute_paths(config: TuningConfig) -> TuningConfig:
    config = with_absolute_paths(config)
    tuning, second = config.tuning, config.tuning.second
    if second.root is not None:
        second = replace(second, root=os.path.abspath(second.root))
    start = tuning.start
    if start is not None and os.path.exists(start):
        start = os.path.abspath(start)
    return replace(config, tuning=replace(tuning, start=start, second=second))


def _open_second_set_if_any(config: TuningConfig) -> Dataset | None:
    chosen = config.tuning.second
    card = find_dataset(chosen.dataset).card
    if chosen.root is None and card.needs_root:
        usual = SecondSet()
        for name in ("dataset", "split", "variant"):
            if getattr(chosen, name) != getattr(usual, name):
                raise OptionError(
                    option=f"second.{name}", problem=Text("goes with ", OptionName("second.root"))
                )
        return None
    return open_dataset(chosen.dataset, chosen.root, split=chosen.split, variant=chosen.variant)
