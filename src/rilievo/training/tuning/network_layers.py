"""Weights of a network by layer, in the order from its input to its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.training.adapters.torch_model import DepthProNetwork, TorchNetwork, TransformersNetwork
from rilievo.training.adapters.trained import ProbeNetwork, SmallNetwork
from rilievo.training.networks.latent_network import LatentNetwork

TunedNetwork = TorchNetwork | LatentNetwork
"""Network that can be trained further."""
Layer = tuple[nn.Parameter, ...]
"""Weights of one layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayers:
    """Weights of a network by layer, from the input, and how many layers are its backbone's."""

    weights: tuple[Layer, ...]
    backbone: int


def network_layers(network: TunedNetwork) -> NetworkLayers:
    """Group the weights of a network into layers, from the input to the output.

    The field of view that Depth Pro predicts is left out, because it is not learned.
    """
    if isinstance(network, SmallNetwork):
        return _small_network_layers(network)
    if isinstance(network, LatentNetwork):
        return _join_layers(_unet_layers(network.unet))
    if isinstance(network, ProbeNetwork):
        probe = tuple(network.probed.probe.parameters())
        return _join_layers(_backbone_layers(network.probed.backbone), [probe])
    assert isinstance(network, TransformersNetwork | DepthProNetwork), "there is no other family"
    return _transformers_layers(network.body)


def _join_layers(backbone: Sequence[Layer], head: Sequence[Layer] = ()) -> NetworkLayers:
    return NetworkLayers(weights=(*backbone, *head), backbone=len(backbone))


def _small_network_layers(network: SmallNetwork) -> NetworkLayers:
    small, encoder = network.network, network.network.encoder
    stem = (*encoder.conv0.parameters(), *encoder.batchnorm0.parameters())
    blocks = [tuple(block.parameters()) for block in encoder.linearbottleneck]  # pyright: ignore[reportGeneralTypeIssues]
    head = (small.context, *small.merges, nn.ModuleList([small.head, small.upsample]))
    return _join_layers([stem, *blocks], [tuple(part.parameters()) for part in head])


def _unet_layers(unet: Any) -> list[Layer]:
    """One layer for each block; weights outside of blocks join the first or the last layer."""
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    layers = [list(block.parameters()) for block in blocks if block is not None]
    weights_of_blocks = {id(weight) for layer in layers for weight in layer}
    is_after_input = False
    for weight in unet.parameters():
        if id(weight) in weights_of_blocks:
            is_after_input = True
        else:
            layers[-1 if is_after_input else 0].append(weight)
    return [tuple(layer) for layer in layers]


def _transformers_layers(body: Any) -> NetworkLayers:
    backbone = getattr(body, "backbone", None) or body.base_model
    # The field of view is not learned: no truth of it stands beside the images.
    not_in_head = (backbone, getattr(body, "fov_model", None))
    head = [tuple(part.parameters()) for part in body.children() if part not in not_in_head]
    return _join_layers(_backbone_layers(backbone), [layer for layer in head if layer])


def _backbone_layers(backbone: nn.Module) -> list[Layer]:
    """Group the weights of a backbone by its blocks, which are its longest lists of modules.

    Lists of the same length, such as those of Depth Pro's encoders, share layers: block i of each
    is in layer i. A weight outside of blocks joins the first layer if it comes before the blocks of
    the list whose name is most like its own, else the last layer.
    """
    list_lengths = {
        name: len(module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    }
    block_count = max(list_lengths.values(), default=0)
    prefixes = [f"{name}." for name, length in list_lengths.items() if length == block_count]

    layers: list[list[nn.Parameter]] = [[] for _ in range(max(block_count, 1))]
    seen_prefixes: set[str] = set()
    for name, weight in backbone.named_parameters():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is not None:
            seen_prefixes.add(prefix)
            block = int(name.removeprefix(prefix).partition(".")[0])
        elif _most_similar_name(name, prefixes) in seen_prefixes:
            block = len(layers) - 1
        else:
            block = 0
        layers[block].append(weight)
    return [tuple(layer) for layer in layers]


def _most_similar_name(name: str, candidates: Sequence[str]) -> str:
    """Find the dotted name that shares most leading parts with ``name``; "" if there is none."""

    def shared_part_count(candidate: str) -> int:
        count = 0
        for part, candidate_part in zip(name.split("."), candidate.split("."), strict=False):
            if part != candidate_part:
                break
            count += 1
        return count

    return max(candidates, key=shared_part_count, default="")


def checkpoint_activations(network: TunedNetwork) -> None:
    """Make a network compute its activations anew in the backward pass, which saves memory.

    Networks that cannot do that raise an ``OptionError``.
    """
    body: Any = getattr(network, "body", None)
    if isinstance(network, LatentNetwork):
        unet: Any = network.unet
        unet.enable_gradient_checkpointing()
    elif getattr(body, "supports_gradient_checkpointing", False):
        # Older releases of transformers have the older name alone.
        older = body.gradient_checkpointing_enable
        getattr(body, "activation_checkpointing_enable", older)()
    else:
        raise OptionError(
            option="checkpointing",
            problem="has no effect: this network keeps its activations",
            hint=Text("use ", OptionName("accumulate")),
        )
