"""The feature cache filled by several processes: the same files whoever makes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from probed_scenes import scenes
from rilievo.errors import OptionError
from rilievo.predicting.batch_options import BatchOptions
from rilievo.training.networks.blueprint import BackboneChoice, Blueprint
from rilievo.training.probe.probe_batches import Source
from rilievo.training.probe.probe_config import Augmentation, DataChoice, ProbeConfig
from rilievo.training.sweep.sweep_config import SweepOptions
from rilievo.training.sweep.sweep_work import FeatureWork, fill_features


@pytest.fixture
def config(tmp_path: Path) -> ProbeConfig:
    scenes(tmp_path / "scenes")
    return ProbeConfig(
        data=DataChoice(dataset="tiny_dataset:Tiny", root=str(tmp_path / "scenes"), split="other"),
        blueprint=Blueprint(
            backbone=BackboneChoice(name="probed_scenes:Small", weights="random"), size=(24, 32)
        ),
        augmentation=Augmentation(flip=0.5, variants=2),
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_parts_keep_the_features_of_a_whole(tmp_path: Path, config: ProbeConfig) -> None:
    sources = [Source(index=index, number=number) for index in range(3) for number in range(2)]
    whole = FeatureWork(config=config, root=tmp_path / "whole").open()(sources, again=False)
    work = FeatureWork(config=config, root=tmp_path / "parts")
    parts = [work.open()(sources[start::2], again=False) for start in (1, 0)]
    kept = contents(tmp_path / "whole")
    assert contents(tmp_path / "parts") == kept
    assert whole.failures == ()
    assert whole.done == sum(name.endswith(".features") for name in kept) > 0
    # A picture that looks the same in both versions is made once by whoever comes first.
    assert sum(each.done for each in parts) == whole.done
    again = work.open()(sources, again=True)
    assert (again.done, again.finished_before) == (0, len(sources))


@pytest.mark.slow
def test_another_process_keeps_the_same_features(tmp_path: Path, config: ProbeConfig) -> None:
    sources = [Source(index=index, number=number) for index in range(3) for number in range(2)]
    FeatureWork(config=config, root=tmp_path / "here").open()(sources, again=False)
    work = FeatureWork(config=config, root=tmp_path / "there")
    filled = fill_features(work, BatchOptions(workers=1), threads=1, images=3)
    assert filled.done + filled.finished_before == len(sources)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_images_that_change_in_every_epoch_are_refused(config: ProbeConfig) -> None:
    changing = replace(config, augmentation=Augmentation(flip=0.5))
    with pytest.raises(OptionError, match="images that come again"):
        fill_features(FeatureWork(config=changing, root=Path("x")), BatchOptions(workers=1))


def test_a_sweep_refuses_less_than_one_process() -> None:
    with pytest.raises(OptionError, match="--workers is 1 or more, got 0"):
        SweepOptions(workers=0)
