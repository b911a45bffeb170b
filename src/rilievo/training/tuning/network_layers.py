"""Weights of a network by layer, in the order from its input to its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    """Layers of an embedded network: stem and blocks of its MobileNetV2, then its decoder."""
    small_net = network.network
    encoder = small_net.encoder
    stem = (*encoder.conv0.parameters(), *encoder.batchnorm0.parameters())
    blocks = [tuple(block.parameters()) for block in encoder.linearbottleneck]  # pyright: ignore[reportGeneralTypeIssues]
    output_modules = nn.ModuleList([small_net.head, small_net.upsample])
    decoder_modules = (small_net.context, *small_net.merges, output_modules)
    return NetworkLayers(
        backbone=(stem, *blocks),
        head=tuple(tuple(module.parameters()) for module in decoder_modules),
    )


def _unet_layers(unet: Any) -> tuple[Layer, ...]:
    """One layer for each block of a U-Net of diffusers.

    Weights that are registered before the blocks, such as the first convolution, join the first
    layer. All others outside of blocks, such as the last convolution, join the last layer.
    """
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    layers = [list(block.parameters()) for block in blocks if block is not None]
    block_weight_ids = {id(weight) for layer in layers for weight in layer}
    is_before_blocks = True
    for weight in unet.parameters():
        if id(weight) in block_weight_ids:
            is_before_blocks = False
        elif is_before_blocks:
            layers[0].append(weight)
        else:
            layers[-1].append(weight)
    return tuple(tuple(layer) for layer in layers)


def _transformers_layers(model: Any) -> NetworkLayers:
    """Layers of a depth model of transformers; each module beside its backbone is a head layer."""
    backbone = getattr(model, "backbone", None) or model.base_model
    # The field of view is not learned, because the images have no ground truth for it.
    fov_model = getattr(model, "fov_model", None)
    head_layers: list[Layer] = []
    for module in model.children():
        weights = tuple(module.parameters())
        if weights and module not in (backbone, fov_model):
            head_layers.append(weights)
    return NetworkLayers(backbone=_backbone_layers(backbone), head=tuple(head_layers))


def _backbone_layers(backbone: nn.Module) -> tuple[Layer, ...]:
    """Group the weights of a backbone by its blocks: layer i has the weights of block i.

    The blocks are the longest list of modules, such as ``encoder.layer`` of a ViT. If several lists
    are as long, such as those of Depth Pro's encoders, layer i has block i of each list.

    Weights outside of blocks join the first layer if they are registered before the blocks, such as
    the patch embedding, and otherwise the last one, such as the last norm. Where there are several
    lists, what counts are the blocks of the list whose name is most similar to that of the weight.
    """
    block_lists = _longest_module_lists(backbone)
    layers: list[list[nn.Parameter]] = [[] for _ in range(max(block_lists.num_blocks, 1))]
    lists_already_begun: set[str] = set()
    for name, weight in backbone.named_parameters():
        containing_lists = [prefix for prefix in block_lists.prefixes if name.startswith(prefix)]
        if containing_lists:
            prefix = containing_lists[0]
            lists_already_begun.add(prefix)
            # Parameters are named by their list, block and name in it: "encoder.layer.3.norm.bias".
            block_index = int(name.removeprefix(prefix).partition(".")[0])
            layers[block_index].append(weight)
        elif _most_similar_name(name, block_lists.prefixes) in lists_already_begun:
            layers[-1].append(weight)
        else:
            layers[0].append(weight)
    return tuple(tuple(layer) for layer in layers)


class _BlockLists(NamedTuple):
    """Lists of blocks that all have the same length.

    Attributes:
        prefixes: Beginning of the names of each list's parameters, such as "encoder.layer.".
        num_blocks: Length of each list; 0 without lists.
    """

    prefixes: Sequence[str]
    num_blocks: int


def _longest_module_lists(model: nn.Module) -> _BlockLists:
    """Find the longest list of modules in a model, and all others of that length."""
    length_by_name = {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    }
    num_blocks = max(length_by_name.values(), default=0)
    names = [name for name, length in length_by_name.items() if length == num_blocks]
    return _BlockLists(prefixes=[f"{name}." for name in names], num_blocks=num_blocks)


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
