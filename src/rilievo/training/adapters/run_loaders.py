"""Training runs as models: their network is converted to ONNX once, or runs in torch."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rilievo.errors import explain_missing_extra
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, read_settings
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.conversion import ConversionSource
from rilievo.records.prediction_record import Setting
from rilievo.training.adapters.run_models import (
    CONFIG,
    WEIGHTS,
    VideoSettings,
    check_code_is_trusted,
    probe_settings,
    read_probe_run,
    read_tuned_run,
    read_video_run,
    run_folder,
    video_settings,
)
from rilievo.training.conversion.engine_choice import (
    TORCH,
    choose_engine,
    load_converter,
    open_converted_or_in_torch,
)

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import TorchModel

_CONVERSION_PACKAGES = ("torch", "timm", "transformers")
"""Packages on whose versions the ONNX file of a run depends."""


def load_probe(card: ModelCard, options: LoadOptions) -> Model:
    """Load the run of a probe with the chosen engine.

    Raises:
        ModelError: If the run is broken.
        UntrustedCodeError: If it names code that the user does not trust.
    """
    folder = run_folder(card)
    blueprint = read_probe_run(folder).blueprint
    check_code_is_trusted(blueprint, folder)
    return _open_run_by_engine(card, options, probe_settings(blueprint))


def load_video(card: ModelCard, options: LoadOptions) -> Model:
    """Load a run on video with the chosen engine; ``ModelError`` if the run is broken."""
    blueprint = read_video_run(run_folder(card)).blueprint
    settings = read_settings(VideoSettings, options.settings, card.name)
    return _open_run_by_engine(card, options, video_settings(blueprint, settings))


def load_tuned(card: ModelCard, options: LoadOptions) -> Model:
    """Load a fine-tuned network with the chosen engine; raises as ``load_probe`` does."""
    folder = run_folder(card)
    network = read_tuned_run(folder).network
    if network.probed is not None:
        check_code_is_trusted(network.probed, folder)
    return _open_run_by_engine(card, options, {"family": network.family.value})


def _open_run_by_engine(
    card: ModelCard, options: LoadOptions, recorded_settings: Mapping[str, Setting]
) -> Model:
    """Open a run with the engine of ``options``.

    Falls back to torch if the user chose no engine, and onnx, which converts the run, is not
    installed. ``recorded_settings`` are those to record with predictions.
    """
    subject = f"model '{card.name}'"
    choice = choose_engine(options, subject)
    load_in_torch = partial(_load_in_torch, card, options.settings)
    needs_conversion = choice.options.engine != TORCH
    if choice.is_default and needs_conversion and find_spec("onnx") is None:
        torch_choice = choose_engine(replace(options, engine=TORCH), subject)
        return load_in_torch(torch_choice.options)

    folder = run_folder(card)
    weights_sha256 = sha256(folder / WEIGHTS)
    source = ConversionSource(
        card=card,
        # The run is converted again if its weights, its configuration or a setting changes.
        files={
            WEIGHTS: weights_sha256,
            CONFIG: sha256(folder / CONFIG),
            **{name: str(value) for name, value in recorded_settings.items()},
        },
        name=card.loader,
        weights_sha256=weights_sha256,
        settings=recorded_settings,
        load_converter=partial(load_converter, load_in_torch),
        packages=_CONVERSION_PACKAGES,
    )
    return open_converted_or_in_torch(source, choice, load_in_torch)


def _load_in_torch(
    card: ModelCard, settings: Mapping[str, Setting], options: LoadOptions
) -> "TorchModel":
    """Load a run in torch with ``settings`` of the user, by the loader that its card names."""
    with explain_missing_extra(f"model '{card.name}'", "train"):
        from rilievo.training.adapters import trained

    loaders = {
        "probe-run": trained.load_probe_in_torch,
        "video-run": trained.load_video_in_torch,
        "tuned-run": trained.load_tuned_in_torch,
    }
    return loaders[card.loader](card, replace(options, settings=settings))
