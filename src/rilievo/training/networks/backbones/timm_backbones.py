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
_ANY_SIZE: tuple[Mapping[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
"""Options by which families of timm take any size; a family refuses those that it does not have."""
_WITH_CLASS_TOKEN = "dino"
"""Part of the names of networks whose class token Probe3D takes."""
_UNPADDED = ("deit3_", "samvit_", ".mae")
"""Parts of the names of networks for which Probe3D does not pad images."""
_COMPUTED_POSITIONS = "sin-cos, computed anew for each size"


class TimmBackbone(Backbone):
    """Network of timm, whose layers are its blocks or the stages of its pyramid."""

    def __init__(self, facts: Facts, body: Any) -> None:
        super().__init__(facts)
        self.body = body

    def layer_outputs(self, pixels: Float[Tensor, "b 3 h w"]) -> LayerOutputs:
        """Compute the outputs of layers, before the last norm of the network."""
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
    """Load a network of timm; ``ModelError`` if there is none or it cannot be used."""
    body, any_size = _create_model(request)
    if isinstance(request.pretrained, Path):
        # Many modules of timm have a function that converts the authors' files.
        convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
        load_weights(
            body, request.pretrained, renamed=convert and (lambda state: convert(state, body))
        )
    facts = _timm_facts(request, body, any_size=any_size)
    if facts.positions == _COMPUTED_POSITIONS:
        replace_position_embedding(body)
    return TimmBackbone(facts, body)


def _create_model(request: BackboneRequest) -> tuple[Any, bool]:
    """Make a network of timm, and tell whether it takes images of any size."""
    import timm

    name = request.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise ModelError(f"no model '{name}' in timm; {suggest(name, timm.list_models())}")
    is_pretrained = request.pretrained is True
    if is_pretrained and not timm.models.is_model_pretrained(name):
        raise ModelError(
            f"backbone '{request.name}' has no published weights: give pretrained=False or a file"
        )
    for options in (*_ANY_SIZE, {}):
        try:
            with temporary_torch_seed(request.seed):
                body = timm.create_model(name, pretrained=is_pretrained, num_classes=0, **options)
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
        refuses_padding=any(part in name for part in _UNPADDED),
        one_block_early=".mae" in name,
        details=f"timm {version('timm')}",
    )


def _takes_tokens_as_requested_or_dino(request: BackboneRequest, body: Any) -> bool:
    """Whether class tokens are taken, by default those of DINO alone."""
    parameters = inspect.signature(body.forward_intermediates).parameters
    has_prefix_tokens = bool(getattr(body, "num_prefix_tokens", 0))
    has_class_token = (
        has_prefix_tokens
        and "return_prefix_tokens" in parameters
        and getattr(body, "cls_token", None) is not None
    )
    if request.tokens and not has_class_token:
        raise no_tokens_error(request.name)
    if request.tokens is None:
        return has_class_token and _WITH_CLASS_TOKEN in request.name
    return request.tokens


def _imagenet_or_own_normalisation(
    request: BackboneRequest, config: Mapping[str, Any]
) -> Normalisation:
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    return Normalisation(mean=tuple(config["mean"]), std=tuple(config["std"]))


def _fixed_size_or_none(body: Any, *, any_size: bool) -> Size | None:
    """Height and width of the input, if the network takes one size alone [px]."""
    embedding, config = getattr(body, "patch_embed", None), body.pretrained_cfg
    is_strict = getattr(embedding, "strict_img_size", False) and not any_size
    # Hiera's tokens follow its mask units, which are laid out for one size. SAM resamples its
    # positions whatever its patch embedding would check.
    is_fixed = is_strict or type(body).__name__ == "Hiera"
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
            return _COMPUTED_POSITIONS
        return "learnt, resampled bicubically with antialiasing to any size"
    if embedding is not None:
        return "computed for any size"
    return "none beyond the network's windows and borders"


def replace_position_embedding(body: Any) -> None:
    """Let a masked autoencoder compute its positions anew for each size, as Probe3D does."""

    def embed(patches: Float[Tensor, "b h w c"]) -> Float[Tensor, "b n c"]:
        count, rows, columns, channels = patches.shape
        positions = sine_positions(rows, columns, channels).to(patches)
        class_tokens = (body.cls_token + body.pos_embed[:, :1]).expand(count, -1, -1)
        return torch.cat((class_tokens, patches.flatten(1, 2) + positions), 1)

    body._pos_embed = embed


def sine_positions(rows: int, columns: int, channels: int) -> Float[Tensor, "n c"]:
    """Embeddings of the positions of a grid, row by row: of the column, then of the row.

    Each quarter of the channels has sines or cosines of one of them.
    """
    quarter = channels // 4
    frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    column_angles, row_angles = (axis.reshape(-1, 1) * frequencies for axis in (u, v))
    parts = (column_angles.sin(), column_angles.cos(), row_angles.sin(), row_angles.cos())
    return torch.cat(parts, 1).float()


def unknown_backbone_error(name: str) -> OptionError:
    """Error for a name that is of no family of backbones, with a suggestion."""
    import timm

    near = suggest(name, [f"{PREFIX}{model}" for model in timm.list_models()])
    return OptionError(
        f"no backbone '{name}'; known are timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/..., "
        f"mobilenetv2 and package.module:Class" + (f"; {near}" if near.startswith("did") else "")
    )
