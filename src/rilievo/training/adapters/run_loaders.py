"""Folders of runs as models, converted to ONNX once."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import needing
from rilievo.extensions.trust import check_trusted
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.model_settings import read_settings
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.conversion import ConversionSource
from rilievo.records.prediction_record import Setting
from rilievo.training.adapters.run_models import (
    CONFIG,
    WEIGHTS,
    VideoSettings,
    read_probe_run,
    read_tuned_run,
    read_video_run,
)
from rilievo.training.conversion.engine_choice import (
    TORCH,
    choose_engine,
    load_converter,
    open_converted_or_in_torch,
)

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import TorchModel

MADE_BY = ("torch", "timm", "transformers")


def load_probe(card: ModelCard, options: LoadOptions) -> Model:
    """Open a probe's run with the chosen engine."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    blueprint = read_probe_run(folder).blueprint
    check_trusted(blueprint.backbone.name, "backbone", folder / CONFIG)
    check_trusted(blueprint.probe.kind, "probe", folder / CONFIG)
    settings: dict[str, Setting] = {
        "backbone": blueprint.backbone.name,
        "probe": blueprint.probe.kind,
        "treatment": blueprint.treatment,
    }
    return _open_run_by_engine(card, options, settings)


def load_video(card: ModelCard, options: LoadOptions) -> Model:
    """Open a run on video with the chosen engine."""
    assert card.source is not None, "the card of a run has its folder"
    blueprint = read_video_run(Path(card.source)).blueprint
    post_process = read_settings(VideoSettings, options.settings, card.name).post_process
    settings: dict[str, Setting] = {
        "encoder": blueprint.encoder,
        "unit": blueprint.unit,
        "post_process": post_process,
    }
    return _open_run_by_engine(card, options, settings)


def load_tuned(card: ModelCard, options: LoadOptions) -> Model:
    """Open further training with the chosen engine."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    network = read_tuned_run(folder).network
    if network.probed is not None:
        check_trusted(network.probed.backbone.name, "backbone", folder / CONFIG)
        check_trusted(network.probed.probe.kind, "probe", folder / CONFIG)
    return _open_run_by_engine(card, options, {"family": network.family.value})


def _open_run_by_engine(
    card: ModelCard, options: LoadOptions, settings: Mapping[str, Setting]
) -> Model:
    what = f"model '{card.name}'"
    choice = choose_engine(options, what)
    in_torch = partial(_load_in_torch, card, options.settings)
    if choice.usual and choice.options.engine != TORCH and find_spec("onnx") is None:
        return in_torch(choose_engine(replace(options, engine=TORCH), what).options)
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    digest = sha256(folder / WEIGHTS)
    origin = ConversionSource(
        card=card,
        files={
            WEIGHTS: digest,
            CONFIG: sha256(folder / CONFIG),
            **{name: str(value) for name, value in settings.items()},
        },
        name=card.loader,
        weights_sha256=digest,
        settings=settings,
        converter=partial(load_converter, in_torch),
        made_by=MADE_BY,
    )
    return open_converted_or_in_torch(origin, choice, in_torch)


def _load_in_torch(
    card: ModelCard, settings: Mapping[str, Setting], options: LoadOptions
) -> "TorchModel":
    with needing(f"model '{card.name}'", "train"):
        from rilievo.training.adapters import trained

    loaders = {
        "probe-run": trained.load_probe_in_torch,
        "video-run": trained.load_video_in_torch,
        "tuned-run": trained.load_tuned_in_torch,
    }
    return loaders[card.loader](card, replace(options, settings=settings))
