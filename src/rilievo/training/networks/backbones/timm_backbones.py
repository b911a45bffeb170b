"""Backbones of timm."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import ModelError, suggest
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    BackboneProperties,
    BackboneRequest,
    Layer,
    LayerOutputs,
    Normalisation,
    Preset,
    make_properties,
    no_class_token_error,
)
from rilievo.training.networks.backbones.weights import (
    Rename,
    download_error,
    load_weights,
    temporary_torch_seed,
)

PREFIX = "timm/"
_ANY_SIZE_OPTIONS: Sequence[Mapping[str, Any]] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False},
)
"""Options with which families of timm take any size; a family has at most one of them."""
_WITH_CLASS_TOKEN = "dino"
"""Part of the names of networks whose class token Probe3D takes."""
_UNPADDED = ("deit3_", "samvit_", ".mae")
"""Parts of the names of networks for which Probe3D does not pad images."""
_COMPUTED_POSITIONS = "sin-cos, computed anew for each size"


class TimmBackbone(Backbone):
    """Network of timm, whose layers are its blocks or the stages of its pyramid."""

    def __init__(self, properties: BackboneProperties, network: Any) -> None:
        super().__init__(properties)
        self.body = network

    def layer_outputs(self, pixels: Float[Tensor, "b 3 h w"]) -> LayerOutputs:
        """Compute the outputs of layers, before the last norm of the network."""
        options = {"return_prefix_tokens": True} if self.properties.tokens else {}
        outputs = self.body.forward_intermediates(
            pixels,
            indices=list(self.properties.layers),
            norm=False,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
            **options,
        )
        if not self.properties.tokens:
            return LayerOutputs(maps=tuple(outputs))
        return LayerOutputs(
            maps=tuple(feature_map for feature_map, _ in outputs),
            tokens=tuple(prefix_tokens[:, 0] for _, prefix_tokens in outputs),
        )


def load(request: BackboneRequest) -> Backbone:
    """Load a timm network; ``ModelError`` if it does not exist or cannot be used."""
    network, takes_any_size = _create_model(request)
    if isinstance(request.pretrained, Path):
        load_weights(network, request.pretrained, rename=_author_names_converter(network))
    properties = _timm_properties(request, network, takes_any_size=takes_any_size)
    if properties.positions == _COMPUTED_POSITIONS:
        replace_position_embedding(network)
    return TimmBackbone(properties, network)


def _author_names_converter(network: Any) -> Rename | None:
    """Function that renames the tensors in the authors' files; None if timm has none."""
    network_module = sys.modules[type(network).__module__]
    convert = getattr(network_module, "checkpoint_filter_fn", None)
    if convert is None:
        return None
    return lambda state: convert(state, network)


def _create_model(request: BackboneRequest) -> tuple[Any, bool]:
    """Create a timm network, if possible with an option by which it takes images of any size.

    Returns:
        The network, and whether it was created with an option of ``_ANY_SIZE_OPTIONS``.
    """
    import timm

    name = request.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise ModelError(f"no model '{name}' in timm; {suggest(name, timm.list_models())}")
    if request.pretrained is True and not timm.models.is_model_pretrained(name):
        raise ModelError(
            f"backbone '{request.name}' has no published weights: choose random weights, or pass "
            "a weights file"
        )
    for any_size_option in _ANY_SIZE_OPTIONS:
        try:
            return _create_model_with(request, any_size_option), True
        except TypeError:
            continue  # The model does not have this option.
    return _create_model_with(request, {}), False


def _create_model_with(request: BackboneRequest, options: Mapping[str, Any]) -> Any:
    """Create a timm network with further options; ``TypeError`` if it does not have one."""
    import timm

    try:
        with temporary_torch_seed(request.seed):
            return timm.create_model(
                request.name.removeprefix(PREFIX),
                pretrained=request.pretrained is True,
                num_classes=0,
                **options,
            )
    except TypeError:
        raise
    except Exception as error:  # errors of the hub, its client or the file fetched
        raise download_error(request.name, error) from error


def _timm_properties(
    request: BackboneRequest, network: Any, *, takes_any_size: bool
) -> BackboneProperties:
    """Find the properties of a network from what timm records about it."""
    name = request.name
    if not hasattr(network, "forward_intermediates"):
        raise ModelError(f"timm cannot extract spatial features from backbone '{name}'")
    layers: Sequence[Layer] = [
        Layer(channels=stage["num_chs"], stride=stage["reduction"])
        for stage in network.feature_info
    ]
    fixed_size = _find_fixed_size(network, takes_any_size=takes_any_size)
    return make_properties(
        request,
        layers,
        _choose_normalisation(request, network.pretrained_cfg),
        positions=_describe_positions(request, network, fixed_size),
        with_class_tokens=_uses_class_tokens(request, network),
        fixed_size=fixed_size,
        refuses_padding=any(part in name for part in _UNPADDED),
        selects_one_block_early=".mae" in name,
        details=f"timm {version('timm')}",
    )


def _uses_class_tokens(request: BackboneRequest, network: Any) -> bool:
    """Whether class tokens are features: as requested, or by default only for DINO."""
    parameters = inspect.signature(network.forward_intermediates).parameters
    has_prefix_tokens = bool(getattr(network, "num_prefix_tokens", 0))
    has_class_token = (
        has_prefix_tokens
        and "return_prefix_tokens" in parameters
        and getattr(network, "cls_token", None) is not None
    )
    if request.tokens and not has_class_token:
        raise no_class_token_error(request.name)
    if request.tokens is None:
        return has_class_token and _WITH_CLASS_TOKEN in request.name
    return request.tokens


def _choose_normalisation(request: BackboneRequest, config: Mapping[str, Any]) -> Normalisation:
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    return Normalisation(mean=tuple(config["mean"]), std=tuple(config["std"]))


def _find_fixed_size(network: Any, *, takes_any_size: bool) -> Size | None:
    """The only (height, width) that the network takes [px]; None if it takes any size."""
    patch_embedding = getattr(network, "patch_embed", None)
    config = network.pretrained_cfg
    is_strict = getattr(patch_embedding, "strict_img_size", False) and not takes_any_size
    # Hiera's tokens follow its mask units, which are laid out for one size. SAM resamples its
    # positions, even if its patch embedding is strict.
    refuses_other_sizes = is_strict or type(network).__name__ == "Hiera"
    is_fixed = config.get("fixed_input_size") and refuses_other_sizes
    if not is_fixed:
        return None
    size = getattr(patch_embedding, "img_size", None) or config["input_size"][1:]
    return int(size[0]), int(size[1])


def _describe_positions(request: BackboneRequest, network: Any, fixed_size: Size | None) -> str:
    """Describe how the position embedding of a network adapts to other sizes.

    The description is stored with cached features, so its words must not change.
    """
    if fixed_size is not None:
        return f"learnt for {fixed_size[0]} x {fixed_size[1]} alone"
    position_embedding = getattr(network, "pos_embed", None)
    has_rotary_embedding = getattr(network, "rope", None) is not None
    if has_rotary_embedding and position_embedding is None:
        return "rotary, computed for any size"
    if isinstance(position_embedding, Tensor):
        # Probe3D replaces the embedding of masked autoencoders (replace_position_embedding).
        if request.preset is Preset.PROBE3D and ".mae" in request.name:
            return _COMPUTED_POSITIONS
        return "learnt, resampled bicubically with antialiasing to any size"
    if position_embedding is not None:
        return "computed for any size"
    return "none beyond the network's windows and borders"


def replace_position_embedding(network: Any) -> None:
    """Make a masked autoencoder compute its position embedding for each size, as Probe3D does."""

    def embed(patches: Float[Tensor, "b h w c"]) -> Float[Tensor, "b n c"]:
        count, rows, columns, channels = patches.shape
        positions = sine_positions(rows, columns, channels).to(patches)
        class_tokens = (network.cls_token + network.pos_embed[:, :1]).expand(count, -1, -1)
        return torch.cat((class_tokens, patches.flatten(1, 2) + positions), 1)

    network._pos_embed = embed


def sine_positions(rows: int, columns: int, channels: int) -> Float[Tensor, "n c"]:
    """Sine-cosine embedding of the positions of a grid, row by row.

    The quarters of the channels are sines and cosines of the column, then of the row.
    """
    quarter = channels // 4
    frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    column_angles, row_angles = (axis.reshape(-1, 1) * frequencies for axis in (u, v))
    parts = (column_angles.sin(), column_angles.cos(), row_angles.sin(), row_angles.cos())
    return torch.cat(parts, 1).float()
