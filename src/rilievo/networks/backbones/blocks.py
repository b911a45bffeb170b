"""The blocks of a vision model of transformers: finding them, their output shapes, one pass."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.networks.backbones.facts import Layer
from rilievo.networks.backbones.families import Family
from rilievo.networks.backbones.mae import ordered_noise
from rilievo.networks.backbones.shapes import Taps, dry_run, layer_of

MAE = "vit_mae"


def run_body(body: nn.Module, model_type: str, pixels: Tensor) -> object:
    """Run the model once; positions are resampled where the family needs an option for it."""
    options: dict[str, Any] = {}
    if "interpolate_pos_encoding" in inspect.signature(body.forward).parameters:
        options["interpolate_pos_encoding"] = True
    if model_type == MAE:
        options["noise"] = ordered_noise(body, pixels)
    return body(pixel_values=pixels, **options)


def blocks_of(name: str, body: nn.Module) -> Sequence[nn.Module]:
    """The blocks or stages: the longest list of modules that is not inside another.

    Raises:
        ModelError: If there is none.
    """
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

    Raises:
        ModelError: If the network cannot be run on images alone, or has no spatial features.
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
