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
from rilievo.errors import ModelError, OptionError, suggest
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    BackboneRequest,
    Facts,
    Layer,
    LayerOutputs,
    Normalisation,
    Preset,
    make_facts,
    no_tokens_error,
)
from rilievo.training.networks.backbones.weights import (
    download_error,
    load_weights,
    temporary_torch_seed,
)

PREFIX = "timm/"
# Options by which families of timm take any size; a family refuses those that are not its own.
_ANY_SIZE: tuple[Mapping[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
# Probe3D takes the class token of these, and does not pad for these.
_DENSE_CLS = "dino"
_UNPADDED = ("deit3_", "samvit_", ".mae")
_COMPUTED = "sin-cos, computed anew for each size"


class TimmBackbone(Backbone):
    """Model of timm with intermediate features."""

    def __init__(self, facts: Facts, body: Any) -> None:
        super().__init__(facts)
        self.body = body

    def layer_outputs(self, pixels: Float[Tensor, "b 3 h w"]) -> LayerOutputs:
        """Compute outputs before the last norm."""
        options = {"return_prefix_tokens": True} if self.facts.tokens else {}
        grids = self.body.forward_intermediates(
            pixels,
            indices=list(self.facts.layers),
            norm=False,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
            **options,
        )
        if not self.facts.tokens:
            return LayerOutputs(maps=tuple(grids))
        return LayerOutputs(
            maps=tuple(grid for grid, _ in grids), tokens=tuple(prefix[:, 0] for _, prefix in grids)
        )


def load(request: BackboneRequest) -> Backbone:
    """Load a backbone of timm."""
    body, any_size = _create_model(request)
    if isinstance(request.pretrained, Path):
        rename = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
        load_weights(
            body, request.pretrained, renamed=rename and (lambda state: rename(state, body))
        )
    facts = _timm_facts(request, body, any_size=any_size)
    if facts.positions == _COMPUTED:
        replace_position_embedding(body)
    return TimmBackbone(facts, body)


def _create_model(request: BackboneRequest) -> tuple[Any, bool]:
    """Model, and whether it takes any size."""
    import timm

    name = request.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise ModelError(f"no model '{name}' in timm; {suggest(name, timm.list_models())}")
    wanted = request.pretrained is True
    if wanted and not timm.models.is_model_pretrained(name):
        raise ModelError(
            f"backbone '{request.name}' has no published weights: give pretrained=False or a file"
        )
    for options in (*_ANY_SIZE, {}):
        try:
            with temporary_torch_seed(request.seed):
                body = timm.create_model(name, pretrained=wanted, num_classes=0, **options)
        except TypeError:
            if not options:
                raise
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise download_error(request.name, error) from error
        else:
            return body, bool(options)
    raise AssertionError("the last attempt has no options that could be refused")


def _timm_facts(request: BackboneRequest, body: Any, *, any_size: bool) -> Facts:
    name = request.name
    if not hasattr(body, "forward_intermediates"):
        raise ModelError(f"backbone '{name}' has no spatial features that timm could take from it")
    stages: Sequence[Layer] = [
        Layer(channels=stage["num_chs"], stride=stage["reduction"]) for stage in body.feature_info
    ]
    fixed = _fixed_size_or_none(body, any_size=any_size)
    return make_facts(
        request,
        stages,
        _imagenet_or_own_normalisation(request, body.pretrained_cfg),
        _describe_positions(request, body, fixed),
        tokens=_takes_tokens_as_requested_or_dino(request, body),
        fixed=fixed,
        unpadded=any(part in name for part in _UNPADDED),
        one_early=".mae" in name,
        details=f"timm {version('timm')}",
    )


def _takes_tokens_as_requested_or_dino(request: BackboneRequest, body: Any) -> bool:
    prefixes = getattr(body, "num_prefix_tokens", 0) or 0
    separable = "return_prefix_tokens" in inspect.signature(body.forward_intermediates).parameters
    has = bool(prefixes) and separable and getattr(body, "cls_token", None) is not None
    if request.tokens and not has:
        raise no_tokens_error(request.name)
    return (has and _DENSE_CLS in request.name) if request.tokens is None else request.tokens


def _imagenet_or_own_normalisation(
    request: BackboneRequest, config: Mapping[str, Any]
) -> Normalisation:
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    return Normalisation(mean=tuple(config["mean"]), std=tuple(config["std"]))


def _fixed_size_or_none(body: Any, *, any_size: bool) -> Size | None:
    embedding, config = getattr(body, "patch_embed", None), body.pretrained_cfg
    strict = getattr(embedding, "strict_img_size", False) and not any_size
    # Hiera's tokens follow its mask units, which are laid out for one size. SAM resamples its
    # positions whatever its patch embedding would check.
    is_fixed = strict or type(body).__name__ == "Hiera"
    if not config.get("fixed_input_size") or not is_fixed:
        return None
    size = getattr(embedding, "img_size", None) or config["input_size"][1:]
    return int(size[0]), int(size[1])


def _describe_positions(request: BackboneRequest, body: Any, fixed: Size | None) -> str:
    if fixed is not None:
        return f"learnt for {fixed[0]} x {fixed[1]} alone"
    if getattr(body, "rope", None) is not None and getattr(body, "pos_embed", None) is None:
        return "rotary, computed for any size"
    embedding = getattr(body, "pos_embed", None)
    if isinstance(embedding, Tensor):
        if request.preset is Preset.PROBE3D and ".mae" in request.name:
            return _COMPUTED
        return "learnt, resampled bicubically with antialiasing to any size"
    if embedding is not None:
        return "computed for any size"
    return "none beyond the network's windows and borders"


def replace_position_embedding(body: Any) -> None:
    """Compute a masked autoencoder's positions anew for each size."""

    def embed(patches: Float[Tensor, "b h w c"]) -> Float[Tensor, "b n c"]:
        count, rows, columns, channels = patches.shape
        grid = sine_positions(rows, columns, channels).to(patches)
        first = (body.cls_token + body.pos_embed[:, :1]).expand(count, -1, -1)
        return torch.cat((first, patches.flatten(1, 2) + grid), 1)

    body._pos_embed = embed


def sine_positions(rows: int, columns: int, channels: int) -> Float[Tensor, "n c"]:
    """Compute positions row by row: sines and cosines of the column, then of the row."""
    quarter = channels // 4
    rates = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in (u, v)]
    return torch.cat(
        [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1
    ).float()


def unknown_backbone_error(name: str) -> OptionError:
    """Error with suggestions."""
    import timm

    near = suggest(name, [f"{PREFIX}{model}" for model in timm.list_models()])
    return OptionError(
        f"no backbone '{name}'; known are timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/..., "
        f"mobilenetv2 and package.module:Class" + (f"; {near}" if near.startswith("did") else "")
    )
