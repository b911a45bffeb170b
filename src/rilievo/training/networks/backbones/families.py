"""Vision models of transformers: facts that configurations lack, masked autoencoders, blocks.

K. He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.training.networks.backbones.facts import (
    CLIP,
    HALF,
    IMAGENET,
    NONE,
    Layer,
    Normalisation,
    Taps,
    dry_run,
    layer_of,
)

_RESAMPLED = "learnt, resampled bicubically to any size"
REFUSED: Mapping[str, str] = {
    "hiera": "keeps its tokens in the order of its mask units, not of places: take timm/hiera_...",
    "siglip2": "takes patches of a list of sizes, not images: take timm/vit_..._siglip_... instead",
    "siglip2_vision_model": "takes patches, not images: take timm/vit_..._siglip_... instead",
}
MAE = "vit_mae"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One line of ``FAMILIES``.

    Attributes:
        has_token: Whether the first token is a class token.
        takes_token: Whether it is taken by default (Probe3D's ``dense-cls``).
        channels_last: Whether maps have their channels last.
        is_fixed: Whether it takes the size of its configuration alone.
        unpadded: Whether Probe3D does not pad its images.
        normalisation: Normalisation used if ``preprocessor_config.json`` gives none.
        forced: Whether that file is ignored, as the network normalises its input itself.
        positions: Kind of positional embedding at sizes other than its own, in words.
    """

    has_token: bool = False
    takes_token: bool = False
    channels_last: bool = False
    is_fixed: bool = False
    unpadded: bool = False
    normalisation: Normalisation = IMAGENET
    forced: bool = False
    positions: str = "as transformers does it"


_SAM = Family(
    channels_last=True, is_fixed=True, unpadded=True, positions="learnt for one size alone"
)
_VIT = Family(has_token=True, normalisation=HALF, positions=_RESAMPLED)
_DINOV2 = Family(has_token=True, takes_token=True, positions=_RESAMPLED)
_CLIP = Family(has_token=True, normalisation=CLIP, positions=_RESAMPLED)
_SIGLIP = Family(normalisation=HALF, positions=_RESAMPLED)
_BEIT = Family(has_token=True, normalisation=HALF, positions="relative, interpolated to any size")
_CONVOLUTIONS = Family(positions="none")

FAMILIES: Mapping[str, Family] = {
    "vit": _VIT,
    "vit_msn": Family(has_token=True, positions=_RESAMPLED),
    "ijepa": Family(positions=_RESAMPLED),
    "vit_mae": Family(
        has_token=True,
        unpadded=True,
        positions="sin-cos, resampled bicubically to any size",
    ),
    "deit": Family(has_token=True, unpadded=True, positions=_RESAMPLED),
    "dinov2": _DINOV2,
    "dinov2_with_registers": _DINOV2,
    "dinov3_vit": Family(
        has_token=True, takes_token=True, positions="rotary, computed for any size"
    ),
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "beit": _BEIT,
    "data2vec-vision": _BEIT,
    "dpt": Family(has_token=True, unpadded=True, normalisation=HALF, positions=_RESAMPLED),
    "sam": _SAM,
    "sam_vision_model": _SAM,
    "radio": Family(
        has_token=True, normalisation=NONE, forced=True, positions="learnt, cut from a larger grid"
    ),
    "convnext": _CONVOLUTIONS,
    "convnextv2": _CONVOLUTIONS,
    "dinov3_convnext": _CONVOLUTIONS,
    "resnet": _CONVOLUTIONS,
    "swin": Family(positions="relative within windows"),
}
"""Families by ``model_type``; other types are read by the shapes of their layers' outputs."""


def keep_all_patches(body: Any) -> None:
    """Make the network mask nothing."""
    body.config.mask_ratio = 0.0


def ordered_noise(body: Any, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
    """The noise whose sorting keeps all patches in their places."""
    patch = body.config.patch_size
    count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    rising = torch.arange(count, device=pixels.device, dtype=pixels.dtype)
    return rising.expand(pixels.shape[0], -1)


def fill_positions(body: Any) -> None:
    """Give a network of random weights the sin-cos positions that it is defined with."""
    embeddings = body.embeddings
    patch, (height, width) = embeddings.patch_size, embeddings.image_size
    stored = embeddings.position_embeddings
    grid = sine_positions(height // patch, width // patch, stored.shape[-1])
    with torch.no_grad():
        stored.copy_(torch.cat((torch.zeros_like(grid[:1]), grid))[None])


def recompute_positions(body: Any) -> None:
    """Make the network compute its sin-cos positions for each size, instead of resampling them."""
    embeddings: Any = body.embeddings

    def positions(patches: Tensor, height: int, width: int) -> Tensor:
        rows, columns = height // embeddings.patch_size, width // embeddings.patch_size
        grid = sine_positions(rows, columns, patches.shape[-1]).to(patches)
        return torch.cat((embeddings.position_embeddings[:, :1], grid[None]), dim=1)

    embeddings.interpolate_pos_encoding = positions


def sine_positions(rows: int, columns: int, channels: int) -> Float[Tensor, "n c"]:
    """Positions of a grid, row by row: sines and cosines of the column, then those of the row.

    Frequencies fall geometrically from 1 to nearly 1/10000 over a quarter of the channels.
    """
    quarter = channels // 4
    rates = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [each.reshape(-1, 1) * rates for each in (u, v)]
    return torch.cat([wave(each) for each in angles for wave in (torch.sin, torch.cos)], 1).float()


def run_body(body: nn.Module, model_type: str, pixels: Tensor) -> object:
    """Run the model once; positions are resampled where the family needs an option for it."""
    options: dict[str, Any] = {}
    if "interpolate_pos_encoding" in inspect.signature(body.forward).parameters:
        options["interpolate_pos_encoding"] = True
    if model_type == MAE:
        options["noise"] = ordered_noise(body, pixels)
    return body(pixel_values=pixels, **options)


def blocks_of(name: str, body: nn.Module) -> Sequence[nn.Module]:
    """The blocks or stages: the longest list of modules that is not inside another."""
    lists: dict[str, nn.ModuleList] = {}
    for path, module in body.named_modules():
        inside = any(path.startswith(f"{each}.") for each in lists)
        if isinstance(module, nn.ModuleList) and len(module) and not inside:
            lists[path] = module
    if not lists:
        raise ModelError(f"backbone '{name}' has no blocks whose outputs could be taken")
    return tuple(max(lists.values(), key=len))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The layers of a network, and the only size that it takes; None if it takes any."""

    layers: Sequence[Layer]
    fixed: tuple[int, int] | None


def grid_of(name: str, config: Any, family: Family, body: nn.Module) -> Grid:
    """Find the map of each block by shape-only runs, and the only size if there is one.

    A family that is not in ``FAMILIES`` may take its own size alone, which is tried second.
    """
    patch, own = _patch(config), _own_size(config)
    trials = [own] if family.is_fixed else [(4 * patch, 8 * patch) if patch else (256, 512), own]
    failure: ModelError | None = None
    for size in trials:
        if size is None:
            continue
        try:
            shapes = _shapes(name, config.model_type, body, size)
        except ModelError as error:
            failure = failure or error
            continue
        layers = tuple(
            layer_of(name, shape, size, patch=patch, channels_last=family.channels_last)
            for shape in shapes
        )
        return Grid(layers=layers, fixed=own if size == own else None)
    raise failure or ModelError(f"backbone '{name}': its configuration has no 'image_size'")


def _shapes(
    name: str, model_type: str, body: nn.Module, size: tuple[int, int]
) -> Sequence[tuple[int, ...]]:
    blocks = blocks_of(name, body)
    taps = Taps(dict(enumerate(blocks)))

    def run(pixels: Tensor) -> dict[int, Tensor]:
        return taps.run(lambda x: run_body(body, model_type, x), pixels)

    try:
        shapes = dry_run(name, run, size)
    finally:
        taps.remove()
    return [shapes[each] for each in range(len(blocks))]


def _patch(config: Any) -> int | None:
    """The patch of a network with one grid; None for a pyramid, whose widths form a list."""
    patch = getattr(config, "patch_size", None)
    lists = [getattr(config, each, None) for each in ("depths", "hidden_sizes", "embed_dims")]
    if not patch or any(isinstance(each, list | tuple) for each in lists):
        return None
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


def _own_size(config: Any) -> tuple[int, int] | None:
    size = getattr(config, "image_size", None)
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return None if size is None else (int(size), int(size))
