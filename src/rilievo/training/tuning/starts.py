"""Models to train further, and their layers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from torch import nn

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models import load_model
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import BASE, SMALL, embedded_file
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.preparation import Rule
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.run_models import (
    WEIGHTS,
    is_run,
    is_tuned_run,
    is_video_run,
    probe_preparation,
    read_probe_run,
    read_tuned_run,
)
from rilievo.training.adapters.torch_model import (
    DepthProHead,
    PlainDepthHead,
    TorchModel,
    TorchNetwork,
)
from rilievo.training.adapters.trained import (
    DEPTH_PRO,
    ProbeNetwork,
    SmallNetwork,
    fill_from_file,
    load_probed_network,
    make_tuned_network,
)
from rilievo.training.adapters.trained_cards import probe_run_card, tuned_run_card
from rilievo.training.networks.blueprint import Family, TunedBlueprint
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.networks.small_weights import fill_from_onnx

_STARTS = (
    f"{SMALL}, the folder of a run of 'train supervised' or 'train probe', an ONNX file of the "
    f"network of {SMALL}, a depth model of transformers, or a Marigold pipeline of depth"
)
TunedNetwork = TorchNetwork | LatentNetwork
Layer = tuple[nn.Parameter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayers:
    """Weights of a network by layers from the input."""

    weights: tuple[Layer, ...]
    backbone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Network to begin with."""

    blueprint: TunedBlueprint
    network: TunedNetwork
    card: ModelCard
    sha256: str

    @property
    def needs_focal(self) -> bool:
        """Whether its depth is that of a focal length of the photograph's width."""
        return self.blueprint.architecture == DEPTH_PRO


def open_start(name: str, kind: DepthKind | None = None) -> Start:
    """Open a model to train further; ``kind`` is for an unknown folder of transformers."""
    start = _start_from_name(name, kind)
    if kind not in (None, start.blueprint.kind):
        problem = f"has no effect: the depth of {name} is {start.blueprint.kind}"
        raise OptionError(option="kind", problem=problem)
    return start


def _start_from_name(name: str, kind: DepthKind | None) -> Start:
    folder = Path(name)
    if is_tuned_run(folder):
        blueprint = replace(read_tuned_run(folder).network, start=name)
        network = fill_from_file(make_tuned_network(blueprint, folder), folder / WEIGHTS)
        return Start(
            blueprint=blueprint,
            network=network,
            card=tuned_run_card(folder),
            sha256=_file_sha256(folder / WEIGHTS),
        )
    if is_run(folder):
        return _probe_start(name, folder)
    if name == SMALL or folder.suffix == ".onnx":
        return _small_start(name, embedded_file(SMALL) if name == SMALL else folder)
    if name == BASE or is_video_run(folder):
        hint = f"of two networks in one graph, start from {SMALL}"
        if name != BASE:
            hint = "a run on video goes on with 'rilievo train video --start'"
        raise OptionError(option="start", value=name, expected=_STARTS, hint=hint)
    return _library_start(name, kind)


def network_layers(network: TunedNetwork) -> NetworkLayers:
    """Weights of a network by layers from the input."""
    if isinstance(network, SmallNetwork):
        small = network.network
        encoder = small.encoder
        stem = (*encoder.conv0.parameters(), *encoder.batchnorm0.parameters())
        backbone = (stem, *(tuple(block.parameters()) for block in encoder.linearbottleneck))  # pyright: ignore[reportGeneralTypeIssues]
        parts = (small.context, *small.merges, nn.ModuleList([small.head, small.upsample]))
        others = tuple(tuple(block.parameters()) for block in parts)
    elif isinstance(network, LatentNetwork):
        unet: Any = network.unet
        rows = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
        backbone = _block_layers_with_rest(unet, [block for block in rows if block is not None])
        others = ()
    elif isinstance(network, ProbeNetwork):
        backbone = _layers_by_longest_rows(network.probed.backbone)
        others = (tuple(network.probed.probe.parameters()),)
    else:
        assert isinstance(network, PlainDepthHead | DepthProHead), "there is no other family"
        body: Any = network.body
        features = getattr(body, "backbone", None) or body.base_model
        # The field of view is not learned: no truth of it stands beside the images.
        left_out = (features, getattr(body, "fov_model", None))
        backbone = _layers_by_longest_rows(features)
        parts = [tuple(block.parameters()) for block in body.children() if block not in left_out]
        others = tuple(part for part in parts if part)
    return NetworkLayers(weights=(*backbone, *others), backbone=len(backbone))


def _block_layers_with_rest(network: nn.Module, blocks: Sequence[nn.Module]) -> tuple[Layer, ...]:
    """Weights of blocks; others join the first or last."""
    layers = [list(block.parameters()) for block in blocks]
    of_block = {id(weight) for layer in layers for weight in layer}
    begun = False
    for weight in network.parameters():
        if id(weight) in of_block:
            begun = True
        else:
            layers[-1 if begun else 0].append(weight)
    return tuple(map(tuple, layers))


def _layers_by_longest_rows(backbone: nn.Module) -> tuple[Layer, ...]:
    lengths = {
        name: len(module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    }
    count = max(lengths.values(), default=0)
    rows = [f"{name}." for name, length in lengths.items() if length == count]
    layers: list[list[nn.Parameter]] = [[] for _ in range(max(count, 1))]
    begun: set[str] = set()
    for name, weights in backbone.named_parameters():
        row = next((row for row in rows if name.startswith(row)), None)
        if row is not None:
            begun.add(row)
            place = int(name.removeprefix(row).partition(".")[0])
        else:
            nearest = max(rows, key=partial(_count_shared_leading_parts, name), default="")
            place = len(layers) - 1 if nearest in begun else 0
        layers[place].append(weights)
    return tuple(map(tuple, layers))


def _count_shared_leading_parts(one: str, other: str) -> int:
    pairs = zip(one.split("."), other.split("."), strict=False)
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])


def _probe_start(name: str, folder: Path) -> Start:
    card, facts = probe_run_card(folder), read_probe_run(folder)
    if card.kind is None:
        problem = "names a model of normals alone: runs are judged by depth"
        raise OptionError(option="start", problem=problem)
    return Start(
        blueprint=TunedBlueprint(
            family=Family.PROBE,
            start=name,
            kind=card.kind,
            licence=card.licence,
            probed=facts.blueprint,
        ),
        network=ProbeNetwork(
            probe_preparation(facts.blueprint), load_probed_network(folder, facts)
        ),
        card=card,
        sha256=_file_sha256(folder / WEIGHTS),
    )


def _small_start(name: str, path: Path) -> Start:
    model = OnnxModel(path, LoadOptions(device="cpu", engine="onnxruntime"))
    card, sizing = model.card, model.preparation.sizing
    if sizing.rule is not Rule.AREA or card.kind is None:
        raise ModelError(f"{path}: is not the network of {SMALL}, which training goes on with")
    network = SmallNetwork(sizing.area)
    fill_from_onnx(network.network, path)
    blueprint = TunedBlueprint(
        family=Family.SMALL,
        start=name,
        kind=card.kind,
        licence=card.licence,
        teacher=model.facts.teacher,
        area=sizing.area,
    )
    return Start(
        blueprint=blueprint,
        network=network,
        card=replace(card, confidence=False, sky=False),
        sha256=model.weights_sha256,
    )


def _library_start(name: str, kind: DepthKind | None) -> Start:
    model = load_model(name, kind=kind, device="cpu", engine="torch")
    if isinstance(model, DiffusionModel):
        return _pipeline_start(name, model)
    network = model.network if isinstance(model, TorchModel) else None
    if not isinstance(network, PlainDepthHead | DepthProHead):
        raise OptionError(option="start", value=name, expected=_STARTS)
    assert isinstance(model, TorchModel), "its network was looked at"
    assert model.kind is not None, "depth models have one"
    if network.mixes_batches or network.preparation.padding:
        raise OptionError(
            f"model '{name}' cannot be trained further here: it sees a reflected border, or its "
            "photographs affect each other"
        )
    body: Any = network.body
    blueprint = TunedBlueprint(
        family=Family.TRANSFORMERS,
        start=name,
        kind=model.kind,
        licence=model.card.licence,
        teacher=model.card.teacher,
        architecture=body.config.model_type,
    )
    return Start(
        blueprint=blueprint,
        network=network,
        card=model.card,
        sha256=model.weights_sha256,
    )


def _pipeline_start(name: str, model: DiffusionModel) -> Start:
    if model.kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        problem = f"names a pipeline of {model.kind or 'normals'}: expected is affine depth"
        raise OptionError(option="start", problem=problem)
    blueprint = TunedBlueprint(
        family=Family.MARIGOLD, start=name, kind=model.kind, licence=model.card.licence
    )
    return Start(
        blueprint=blueprint,
        network=LatentNetwork(model.pipeline),
        card=model.card,
        sha256=model.weights_sha256,
    )


def checkpoint_activations(network: TunedNetwork) -> None:
    """Compute activations anew in the backward pass."""
    body: Any = getattr(network, "body", None)
    if isinstance(network, LatentNetwork):
        unet: Any = network.unet
        unet.enable_gradient_checkpointing()
    elif getattr(body, "supports_gradient_checkpointing", False):
        # Older releases of transformers have the older name alone.
        older = body.gradient_checkpointing_enable
        getattr(body, "activation_checkpointing_enable", older)()
    else:
        problem = "has no effect: this network keeps its activations"
        raise OptionError(
            option="checkpointing", problem=problem, hint=Text("use ", OptionName("accumulate"))
        )


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
