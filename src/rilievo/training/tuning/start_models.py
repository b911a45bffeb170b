"""Models that can be fine-tuned, opened with their networks in torch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import BASE, SMALL, embedded_file
from rilievo.models.hub.diffusion_cards import DiffusionSettings
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256 as file_sha256
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.preparation import Rule
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.run_models import (
    WEIGHTS,
    is_probe_run,
    is_tuned_run,
    is_video_run,
    read_probe_run,
    read_tuned_run,
)
from rilievo.training.adapters.torch_model import DepthProNetwork, TorchModel, TransformersNetwork
from rilievo.training.adapters.trained import DEPTH_PRO, SmallNetwork
from rilievo.training.networks.blueprint import Family, TunedBlueprint
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.networks.small_weights import fill_from_onnx
from rilievo.training.tuning.network_layers import TunedNetwork

_EXPECTED_START = (
    f"{SMALL}, the folder of a run of 'train supervised' or 'train probe', an ONNX file with the "
    f"network of {SMALL}, a depth model from transformers, or a Marigold depth pipeline"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartModel:
    """Model with which fine-tuning begins, and the checksum of its weights."""

    blueprint: TunedBlueprint
    network: TunedNetwork
    card: ModelCard
    sha256: str

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a pipeline of diffusers, which predicts in several steps."""
        return isinstance(self.network, LatentNetwork)

    @property
    def needs_focal(self) -> bool:
        """Whether its depth is that of a camera whose focal length is the photograph's width."""
        return self.blueprint.architecture == DEPTH_PRO

    def model_with(self, network: TunedNetwork, device: torch.device) -> Model:
        """Model that predicts as this one does, with a copy of its network on a device."""
        options = LoadOptions(device=str(device))
        if isinstance(network, LatentNetwork):
            return DiffusionModel(
                self.card,
                network.pipeline,
                options,
                DiffusionSettings(),
                weights_sha256=self.sha256,
            )
        return TorchModel(
            self.card, network, options, weights_sha256=self.sha256, needs_focal=self.needs_focal
        )


def open_start_model(name: str, kind: DepthKind | None = None) -> StartModel:
    """Open a model in order to fine-tune it; ``name`` may be a folder or a file.

    ``kind`` is the kind of depth of a transformers or diffusers folder that does not state it.

    Raises:
        OptionError: If the model cannot be fine-tuned, or its kind of depth is not ``kind``.
    """
    start = _open_by_family(name, kind)
    if kind not in (None, start.blueprint.kind):
        problem = f"is {kind}, but {name} predicts {start.blueprint.kind} depth"
        raise OptionError(
            option="kind", problem=problem, hint=Text("leave out ", OptionName("kind"))
        )
    return start


def _open_by_family(name: str, kind: DepthKind | None) -> StartModel:
    """Open a run, the small embedded network, or a model of transformers or diffusers."""
    path = Path(name)
    if is_tuned_run(path) or is_probe_run(path):
        return _start_from_run(name, path)
    if name == SMALL:
        return _start_from_onnx(name, embedded_file(SMALL))
    if path.suffix == ".onnx":
        return _start_from_onnx(name, path)
    if name == BASE:
        hint = f"{BASE} contains two networks in one graph, so start from {SMALL}"
        raise OptionError(option="start", value=name, expected=_EXPECTED_START, hint=hint)
    if is_video_run(path):
        hint = "use 'rilievo train video --start' to continue from a run on video"
        raise OptionError(option="start", value=name, expected=_EXPECTED_START, hint=hint)

    model = load_model(name, kind=kind, device="cpu", engine="torch")
    if isinstance(model, DiffusionModel):
        return _start_from_pipeline(name, model)
    if isinstance(model, TorchModel) and isinstance(
        model.network, TransformersNetwork | DepthProNetwork
    ):
        return _start_from_transformers(name, model, model.network)
    raise OptionError(option="start", value=name, expected=_EXPECTED_START)


def _start_from_run(name: str, folder: Path) -> StartModel:
    """Start from a run of ``train probe`` or ``train supervised``, which may be fine-tuned."""
    model = load_model(folder, device="cpu", engine="torch")
    if is_tuned_run(folder):
        blueprint = replace(read_tuned_run(folder).network, start=name)
    elif model.kind is None:
        problem = "is a model that only predicts normals; expected one that predicts depth"
        raise OptionError(option="start", problem=problem)
    else:
        blueprint = TunedBlueprint(
            family=Family.PROBE,
            start=name,
            kind=model.kind,
            licence=model.card.licence,
            probed=read_probe_run(folder).blueprint,
        )
    assert isinstance(model, DiffusionModel | TorchModel), "runs are loaded in torch"
    is_pipeline = isinstance(model, DiffusionModel)
    return StartModel(
        blueprint=blueprint,
        network=LatentNetwork(model.pipeline) if is_pipeline else model.network,
        card=model.card,
        sha256=file_sha256(folder / WEIGHTS),
    )


def _start_from_onnx(name: str, path: Path) -> StartModel:
    """Copy the weights of an ONNX file of the small embedded network into a network in torch."""
    model = OnnxModel(path, LoadOptions(device="cpu", engine="onnxruntime"))
    card = model.card
    sizing = model.preparation.sizing
    if sizing.rule is not Rule.AREA or card.kind is None:
        raise ModelError(
            f"{path}: is not the network of {SMALL}, the only one that can be fine-tuned from an "
            "ONNX file"
        )
    network = SmallNetwork(sizing.pixel_count)
    fill_from_onnx(network.network, path)
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.SMALL,
            start=name,
            kind=card.kind,
            licence=card.licence,
            teacher=model.description.teacher,
            area=sizing.pixel_count,
        ),
        network=network,
        card=replace(card, confidence=False, sky=False),
        sha256=model.weights_sha256,
    )


def _start_from_pipeline(name: str, model: DiffusionModel) -> StartModel:
    """Start from a Marigold pipeline, of which the U-Net is trained."""
    if model.kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        predicted = f"{model.kind} depth" if model.kind else "normals"
        problem = f"is a pipeline for {predicted}; expected one for affine or affine_inverse depth"
        raise OptionError(option="start", problem=problem)
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.MARIGOLD, start=name, kind=model.kind, licence=model.card.licence
        ),
        network=LatentNetwork(model.pipeline),
        card=model.card,
        sha256=model.weights_sha256,
    )


def _start_from_transformers(
    name: str, model: TorchModel, network: TransformersNetwork | DepthProNetwork
) -> StartModel:
    """Start from a depth model of transformers."""
    assert model.kind is not None, "depth models have a kind of depth"
    if network.depends_on_batch or network.preparation.border_factor:
        cause = "it pads photographs with reflected borders"
        if network.depends_on_batch:
            cause = "the photographs of a batch affect each other in its network"
        raise OptionError(f"model '{name}' cannot be fine-tuned, because {cause}")
    backbone: Any = network.body
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.TRANSFORMERS,
            start=name,
            kind=model.kind,
            licence=model.card.licence,
            teacher=model.card.teacher,
            architecture=backbone.config.model_type,
        ),
        network=network,
        card=model.card,
        sha256=model.weights_sha256,
    )
