"""Networks that were trained further, and networks to begin with, as models in torch."""

import hashlib
from dataclasses import replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.errors import ModelError, OptionError, RilievoError, needing
from rilievo.frozen import frozen
from rilievo.models import find_card
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import embedded_file
from rilievo.models.default.embedded_cards import BASE, SMALL
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.shapes import Shaped
from rilievo.training.adapters.run_models import (
    WEIGHTS,
    is_run,
    is_tuned_run,
    is_video_run,
    preparation_of,
    read_run,
    read_tuned_run,
)
from rilievo.training.adapters.torch_model import TorchModel, TorchNetwork
from rilievo.training.adapters.trained import ProbeNetwork, read_probed
from rilievo.training.adapters.trained_cards import run_card, tuned_run_card
from rilievo.training.networks.backbones.weights import fitting, read_state
from rilievo.training.networks.blueprint import RANDOM, Family, TunedBlueprint
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.probed import Probed, make_chosen_backbone, make_chosen_probe
from rilievo.training.networks.small import MULTIPLE, SmallNet, double
from rilievo.training.tensors import Images, Tensors

_LARGEST_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's geometric mean
_STARTS = (
    f"{SMALL}, the folder of a run of 'train supervised' or 'train probe', or an ONNX file of the "
    f"network of {SMALL}"
)
Layer = tuple[nn.Parameter, ...]
"""Weights of one layer."""


@frozen
class Layers:
    """Weights of a network by layers, from its input on; ``backbone`` counts the first of them."""

    weights: tuple[Layer, ...]
    backbone: int


@frozen
class Start:
    """Network to begin with.

    Attributes:
        card: Card of the model, with what training keeps of its answer.
        sha256: Hash of the file of its weights.
    """

    blueprint: TunedBlueprint
    network: TorchNetwork
    card: ModelCard
    sha256: str


class SmallNetwork(TorchNetwork):
    """Depth up to scale and unit normals of the embedded network.

    Confidence is left out: it was calibrated for the weights before.
    """

    outputs = ("depth", "normals")

    def __init__(self, area: int) -> None:
        sizing = Sizing(rule=Rule.AREA, area=area, multiple=MULTIPLE)
        super().__init__(Preparation(sizing=sizing, resampling=Resampling.TRIANGLE))
        self.network = SmallNet()
        for part in (self.network.spread, self.network.sky):
            part.requires_grad_(False)
        # Files without sky do not fill them.
        for weights in self.network.sky.parameters():
            nn.init.zeros_(weights)

    def forward(self, image: Shaped[Tensor, "b h w 3"]) -> Tensors:
        """Outputs for RGB in 0..255; the network normalises it itself."""
        surface = self.network(image)
        logs = surface.log_depth - surface.log_depth.mean(dim=(1, 2), keepdim=True)
        depth = logs.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        return depth, F.normalize(double(surface.normals.float()), dim=1)

    def answer(self, pixels: Images) -> Tensors:
        """Outputs for RGB in 0..1."""
        return self(pixels.permute(0, 2, 3, 1) * 255)


def make_tuned(blueprint: TunedBlueprint) -> TorchNetwork:
    """Make the network of a blueprint, whose weights are to be filled in."""
    if blueprint.family is Family.SMALL:
        return SmallNetwork(blueprint.area)
    probed = blueprint.probed
    assert probed is not None, "a network of this family has it"
    # Its weights come with the run: none are fetched.
    probed = replace(probed, backbone=replace(probed.backbone, weights=RANDOM))
    backbone = make_chosen_backbone(probed)
    whole = Probed(probed, backbone, make_chosen_probe(probed, backbone, seed=0))
    return ProbeNetwork(preparation_of(probed), whole)


def load_tuned(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a run that trained a model further in torch."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    blueprint = read_tuned_run(folder).network
    return TorchModel(
        card,
        _filled(make_tuned(blueprint), folder / WEIGHTS),
        options,
        weights_sha256=_sha256(folder / WEIGHTS),
        settings={"family": blueprint.family.value},
    )


def open_start(name: str) -> Start:
    """Open a model to train further.

    Raises:
        OptionError: If training cannot go on with a model of this name.
        ModelError: If its weights are broken.
    """
    folder = Path(name)
    if is_tuned_run(folder):
        card = tuned_run_card(folder)
        blueprint = replace(read_tuned_run(folder).network, start=name)
        network = _filled(make_tuned(blueprint), folder / WEIGHTS)
    elif is_run(folder):
        card, facts = run_card(folder), read_run(folder)
        network = ProbeNetwork(
            preparation_of(facts.blueprint), read_probed(folder, facts).requires_grad_(True)
        )
        blueprint = TunedBlueprint(
            family=Family.PROBE,
            start=name,
            kind=card.kind,
            licence=card.licence,
            probed=facts.blueprint,
        )
    elif name == SMALL or folder.suffix == ".onnx":
        return _small_start(name, embedded_file(SMALL) if name == SMALL else folder)
    else:
        raise OptionError(option="start", value=name, expected=_STARTS, hint=_advice(name, folder))
    return Start(blueprint=blueprint, network=network, card=card, sha256=_sha256(folder / WEIGHTS))


def layers_of(network: TorchNetwork) -> Layers:
    """Weights of a network by layers, from its input on; those that never learn are left out."""
    if isinstance(network, SmallNetwork):
        small = network.network
        encoder = small.encoder
        stem = (*encoder.conv0.parameters(), *encoder.batchnorm0.parameters())
        backbone = (stem, *(tuple(each.parameters()) for each in encoder.linearbottleneck))  # pyright: ignore[reportGeneralTypeIssues]
        parts = (small.context, *small.merges, nn.ModuleList([small.head, small.upsample]))
        others = tuple(tuple(each.parameters()) for each in parts)
    else:
        assert isinstance(network, ProbeNetwork), "there is no other family"
        backbone = _blocks(network.probed.backbone)
        others = (tuple(network.probed.probe.parameters()),)
    return Layers(weights=(*backbone, *others), backbone=len(backbone))


def _blocks(backbone: nn.Module) -> tuple[Layer, ...]:
    """Split a backbone at its longest row of modules, which are its layers.

    What stands before them goes with the first, and what stands after with the last.
    """
    rows = [
        (len(each), name)
        for name, each in backbone.named_modules()
        if isinstance(each, nn.ModuleList | nn.Sequential)
    ]
    count, row = max(rows, default=(0, ""))
    layers: list[list[nn.Parameter]] = [[] for _ in range(max(count, 1))]
    place = 0
    for name, weights in backbone.named_parameters():
        if count and name.startswith(f"{row}."):
            place = int(name.removeprefix(f"{row}.").partition(".")[0])
        elif place:
            place = len(layers) - 1
        layers[place].append(weights)
    return tuple(map(tuple, layers))


def _small_start(name: str, path: Path) -> Start:
    """Start from an ONNX file of the embedded network."""
    with needing("a start from an ONNX file", "train"):
        import onnx  # noqa: F401
    model = OnnxModel(path, LoadOptions(device="cpu", engine="onnxruntime"))
    card, sizing = model.card, model.preparation.sizing
    if sizing.rule is not Rule.AREA or card.kind is None:
        raise ModelError(f"{path}: is not the network of {SMALL}, which training goes on with")
    network = SmallNetwork(sizing.area)
    read_exported(network.network, path)
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


def _advice(name: str, folder: Path) -> str:
    if name == BASE:
        return f"its graph holds two networks and a head that joins them: start from {SMALL}"
    if is_video_run(folder):
        return "a run on video goes on with 'rilievo train video --start'"
    try:
        find_card(name)
    except RilievoError as error:
        return str(error)
    return "it is not a network in torch that rilievo makes"


def _filled(network: TorchNetwork, path: Path) -> TorchNetwork:
    network.load_state_dict(dict(fitting(network, read_state(path), path)))
    return network


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
