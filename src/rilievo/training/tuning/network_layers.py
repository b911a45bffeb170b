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
    """Weights of a network by layer, from the input to the output.

    Attributes:
        backbone: Layers of the backbone.
        head: Layers after the backbone; empty if the backbone is the whole network.
    """

    backbone: tuple[Layer, ...]
    head: tuple[Layer, ...] = ()

    @property
    def all(self) -> tuple[Layer, ...]:
        """Layers of the backbone and then of the head."""
        return (*self.backbone, *self.head)


def network_layers(network: TunedNetwork) -> NetworkLayers:
    """Group the weights of a network into layers, from the input to the output.

    The part of Depth Pro that predicts the field of view is left out, because it is not learned.
    """
    if isinstance(network, SmallNetwork):
        return _small_network_layers(network)
    if isinstance(network, LatentNetwork):
        return NetworkLayers(backbone=_unet_layers(network.unet))
    if isinstance(network, ProbeNetwork):
        probe = tuple(network.probed.probe.parameters())
        return NetworkLayers(backbone=_backbone_layers(network.probed.backbone), head=(probe,))
    assert isinstance(network, TransformersNetwork | DepthProNetwork), (
        "no other kind of network is fine-tuned"
    )
    return _transformers_layers(network.body)


def _small_network_layers(network: SmallNetwork) -> NetworkLayers:
    small = network.network
    encoder = network.network.encoder
    stem = (*encoder.conv0.parameters(), *encoder.batchnorm0.parameters())
    blocks = [tuple(block.parameters()) for block in encoder.linearbottleneck]  # pyright: ignore[reportGeneralTypeIssues]
    head = (small.context, *small.merges, nn.ModuleList([small.head, small.upsample]))
    return NetworkLayers(
        backbone=(stem, *blocks), head=tuple(tuple(part.parameters()) for part in head)
    )


def _unet_layers(unet: Any) -> tuple[Layer, ...]:
    """One layer for each block; weights before the blocks join the first layer, others the last."""
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    layers = [list(block.parameters()) for block in blocks if block is not None]
    block_weight_ids = {id(weight) for layer in layers for weight in layer}
    is_after_first_block = False
    for weight in unet.parameters():
        if id(weight) in block_weight_ids:
            is_after_first_block = True
        else:
            layers[-1 if is_after_first_block else 0].append(weight)
    return tuple(tuple(layer) for layer in layers)


def _transformers_layers(model: Any) -> NetworkLayers:
    backbone = getattr(model, "backbone", None) or model.base_model
    # The field of view is not learned, because the images have no ground truth for it.
    not_in_head = (backbone, getattr(model, "fov_model", None))
    head_modules = [module for module in model.children() if module not in not_in_head]
    head_layers = [tuple(module.parameters()) for module in head_modules]
    return NetworkLayers(
        backbone=_backbone_layers(backbone), head=tuple(layer for layer in head_layers if layer)
    )


def _backbone_layers(backbone: nn.Module) -> tuple[Layer, ...]:
    """Group the weights of a backbone by its blocks, which are its longest lists of modules.

    Lists of the same length, such as those of Depth Pro's encoders, share layers: block i of each
    is in layer i. A weight outside of blocks is assigned to the list whose name is most like its
    own. It joins the first layer if it comes before the blocks of that list, and the last layer if
    it comes after them.
    """
    list_lengths = {
        name: len(module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    }
    num_blocks = max(list_lengths.values(), default=0)
    block_prefixes = [f"{name}." for name, length in list_lengths.items() if length == num_blocks]

    layers: list[list[nn.Parameter]] = [[] for _ in range(max(num_blocks, 1))]
    seen_prefixes: set[str] = set()
    for name, weight in backbone.named_parameters():
        prefix = next((prefix for prefix in block_prefixes if name.startswith(prefix)), None)
        if prefix is not None:
            seen_prefixes.add(prefix)
            layer_index = int(name.removeprefix(prefix).partition(".")[0])
        elif _most_similar_name(name, block_prefixes) in seen_prefixes:
            layer_index = len(layers) - 1
        else:
            layer_index = 0
        layers[layer_index].append(weight)
    return tuple(tuple(layer) for layer in layers)


def _most_similar_name(name: str, candidates: Sequence[str]) -> str:
    """Find the dotted name that shares most leading parts with ``name``; "" if there is none."""

    def num_shared_parts(candidate: str) -> int:
        """Count the leading parts of a candidate that are those of ``name``."""
        num_shared = 0
        for part, candidate_part in zip(name.split("."), candidate.split("."), strict=False):
            if part != candidate_part:
                break
            num_shared += 1
        return num_shared

    return max(candidates, key=num_shared_parts, default="")


def checkpoint_activations(network: TunedNetwork) -> None:
    """Make a network compute its activations again in the backward pass, which saves memory."""
    model: Any = getattr(network, "body", None)
    if isinstance(network, LatentNetwork):
        unet: Any = network.unet
        unet.enable_gradient_checkpointing()
    elif not getattr(model, "supports_gradient_checkpointing", False):
        raise OptionError(
            option="checkpointing",
            problem="has no effect: this network does not support activation checkpointing",
            hint=Text(
                "to save memory, use a smaller ",
                OptionName("batch_size"),
                " with ",
                OptionName("accumulate"),
            ),
        )
    elif hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable()
    else:
        # The name in older releases of transformers.
        model.gradient_checkpointing_enable()
