"""``fine_tune``, which trains a model further into a run folder."""

import os
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets import Dataset, find_dataset, open_dataset
from rilievo.errors import OptionError, needing
from rilievo.errors.messages import OptionName, Text
from rilievo.training.adapters.run_models import PIPELINE_FOLDER, is_tuned_run
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.run_folder import RunFolder
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_frames import open_training_set
from rilievo.training.tuning.tuning_config import SecondSet, TuningConfig
from rilievo.training.tuning.tuning_record import TuningRecord


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
    config = _with_absolute_paths(config)
    # Missing data are reported before torch is imported, which takes seconds.
    dataset, second = open_training_set(config.data), _open_second_set(config.tuning.second)
    with needing("training", "train"):
        from rilievo.training.tuning.train_further import train_further

    folder = RunFolder(
        path=run,
        config=TuningConfig,
        record=TuningRecord,
        is_run_of_kind=is_tuned_run,
        initial_folders=(PIPELINE_FOLDER,),
    )
    return train_further(config, dataset, second, folder=folder, options=options or RunOptions())


def plan_tuning(config: TuningConfig) -> tuple[str, ...]:
    """Describe in a few lines what a run would do, after opening its model and first image."""
    config = _with_absolute_paths(config)
    dataset, second = open_training_set(config.data), _open_second_set(config.tuning.second)
    with needing("training", "train"):
        from rilievo.training.tuning.train_further import describe_run
    return describe_run(config, dataset, second)


def _with_absolute_paths(config: TuningConfig) -> TuningConfig:
    """Make all paths absolute, so that a run can be resumed from another folder."""
    config = with_absolute_paths(config)
    start, second = config.tuning.start, config.tuning.second
    if second.root is not None:
        second = replace(second, root=os.path.abspath(second.root))
    if start is not None and os.path.exists(start):
        start = os.path.abspath(start)
    return replace(config, tuning=replace(config.tuning, start=start, second=second))


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
