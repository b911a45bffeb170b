"""Files that training writes: run folders, checkpoints, cached features, records of sweeps."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lab.torture.reader import row, sample
from lab.torture.readers.pictures import colours
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.records.sample import Photo

if TYPE_CHECKING:
    from rilievo.training.engine.checkpoint import Stateful
    from rilievo.training.networks.backbones import Backbone
    from rilievo.training.probe.probe_config import ProbeConfig

_SIZE = (64, 64)


@lru_cache(1)
def _backbone() -> "Backbone":
    from rilievo.training.networks.probe_network import backbone_from_blueprint

    return backbone_from_blueprint(_config().blueprint)


@lru_cache(1)
def _config() -> "ProbeConfig":
    from rilievo.training.networks.blueprint import (
        BackboneChoice,
        Blueprint,
        DepthChoice,
        ProbeChoice,
        ProbeTarget,
    )
    from rilievo.training.probe.probe_config import DataChoice, ProbeConfig

    return ProbeConfig(
        blueprint=Blueprint(
            backbone=BackboneChoice(name="timm/test_vit", weights="random"),
            probe=ProbeChoice(kind="linear"),
            task=ProbeTarget.BOTH,
            size=_SIZE,
            depth=DepthChoice(bins=16),
        ),
        data=DataChoice(dataset="synthetic"),
        epochs=1,
        batch_size=2,
    )


def _run(folder: Path) -> None:
    from rilievo.training.adapters.run_models import WEIGHTS
    from rilievo.training.adapters.trained import BACKBONE_SHA256_KEY
    from rilievo.training.engine.checkpoint import save_weights
    from rilievo.training.networks.backbones import weights_sha256
    from rilievo.training.networks.probe_network import probe_from_blueprint

    backbone = _backbone()
    probe = probe_from_blueprint(_config().blueprint, backbone, seed=0)
    save_weights(probe, folder / WEIGHTS, {BACKBONE_SHA256_KEY: weights_sha256(backbone)})
    (folder / "config.json").write_text(to_json(_config(), indent=1))


def _read_run(folder: Path) -> object:
    model = load_model(folder, device="cpu", threads=1)
    return model.predict_raw([Photo(pixels=colours(0, _SIZE))])


def _tuned(folder: Path) -> None:
    from rilievo.records.depth_map import DepthKind
    from rilievo.training.adapters.run_models import WEIGHTS
    from rilievo.training.adapters.trained import make_tuned_network
    from rilievo.training.engine.checkpoint import save_weights
    from rilievo.training.networks.blueprint import Family, TunedBlueprint
    from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions

    config = TuningConfig(
        data=_config().data,
        network=TunedBlueprint(
            family=Family.PROBE,
            start="run",
            kind=DepthKind.METRIC,
            licence="CC0-1.0",
            probed=_config().blueprint,
        ),
        tuning=TuningOptions(start="run"),
    )
    assert config.network is not None, "it was just given"
    save_weights(make_tuned_network(config.network, folder), folder / WEIGHTS)
    (folder / "config.json").write_text(to_json(config, indent=1))


def _parts() -> dict[str, "Stateful"]:
    import torch

    from rilievo.training.networks.probe_network import probe_from_blueprint

    learned = probe_from_blueprint(_config().blueprint, _backbone(), seed=0)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
    for each in learned.parameters():
        each.grad = torch.ones_like(each)
    optimizer.step()
    return {"learned": learned, "optimizer": optimizer}


def _checkpoint(folder: Path) -> None:
    from rilievo.training.engine.checkpoint import save_checkpoint
    from rilievo.training.probe.probe_task import ProbeState

    state = ProbeState(step=3, epoch_loss=0.5, epoch_losses=1)
    save_checkpoint(folder / "checkpoint.pt", state, _parts(), fingerprint="f" * 64)


def _read_checkpoint(folder: Path) -> object:
    from torch.optim import Optimizer

    from rilievo.training.engine.checkpoint import load_checkpoint
    from rilievo.training.probe.probe_task import ProbeState

    parts = _parts()
    state = load_checkpoint(folder / "checkpoint.pt", ProbeState, parts, fingerprint="f" * 64)
    optimizer = parts["optimizer"]
    assert isinstance(optimizer, Optimizer)
    optimizer.step()
    # What the loop does with them: whoever goes on needs numbers.
    return state.step + 1, state.epoch_loss, state.cpu_seconds + 1.0, sorted(state.skipped_ids)


def _cached(folder: Path) -> object:
    import torch

    from rilievo.training.probe.feature_cache import FeatureCache

    cache = FeatureCache.open(folder / "features", _backbone())
    return cache.features(torch.from_numpy(colours(0, _SIZE))[None])


def write_features(folder: Path) -> None:
    _cached(folder)


def _read_record(folder: Path) -> object:
    from rilievo.training.probe.probe_run import probe_run_folder

    return probe_run_folder(folder).read_record()


READERS = (
    row("run of a probe: its configuration", _run, "config.json", _read_run),
    row("run of a probe: its weights", _run, "weights.safetensors", _read_run, 0.7),
    row("run that trained a model further: its configuration", _tuned, "config.json", _read_run),
    sample("run of a probe: its record", _read_record, 0.5),
    row("checkpoint of a probe", _checkpoint, "checkpoint.pt", _read_checkpoint, 1.5),
    row(
        "kept features of a backbone",
        write_features,
        "features/*.features:lengths features/*/features.json",
        _cached,
    ),
)
