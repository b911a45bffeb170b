"""Backbones of transformers: ``hf/ORG/NAME`` of the hub, or ``hf/FOLDER``.

Features are outputs of blocks (or stages) as they are, before any last norm. No code of a
repository is run, and weights are read as safetensors or with ``weights_only``.
"""

import inspect
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import InputError, ModelError
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import parse_json
from rilievo.training.networks.backbones.backbone import Backbone, Looked, Request, facts_of
from rilievo.training.networks.backbones.facts import (
    IMAGENET,
    Facts,
    Normalisation,
    Preset,
    Taps,
    as_map,
    no_tokens,
)
from rilievo.training.networks.backbones.families import (
    FAMILIES,
    MAE,
    REFUSED,
    Family,
    blocks_of,
    fill_positions,
    grid_of,
    keep_all_patches,
    recompute_positions,
    run_body,
)
from rilievo.training.networks.backbones.weights import (
    check_whole,
    load_weights,
    quiet,
    seeded,
    why_not_fetched,
)

PREFIX = "hf/"
_PREPROCESSOR = "preprocessor_config.json"
_TOWERS = ("vision_model", "vision_encoder", "vision_tower")
_UNUSED = ("pooler", "mask_token", "layernorm_post", "post_layernorm")


class TransformersBackbone(Backbone):
    """A vision model of transformers with hooks on its blocks."""

    def __init__(self, facts: Facts, body: nn.Module, family: Family, model_type: str) -> None:
        super().__init__(facts)
        self.body, self.family, self.model_type = body, family, model_type
        blocks = blocks_of(facts.name, body)
        self.taps = Taps({each: blocks[each] for each in facts.layers})

    def look(self, pixels: Float[Tensor, "b 3 h w"]) -> Looked:
        """Return outputs of the blocks taken; register tokens are dropped."""
        facts, size = self.facts, (pixels.shape[-2], pixels.shape[-1])
        kept = self.taps.run(lambda x: run_body(self.body, self.model_type, x), pixels)
        outputs = [kept[each] for each in facts.layers]
        maps = tuple(
            as_map(each, layer, size, channels_last=self.family.channels_last)
            for each, layer in zip(outputs, facts.taken, strict=True)
        )
        return Looked(
            maps=maps, tokens=tuple(each[:, 0] for each in outputs) if facts.tokens else None
        )


def load(request: Request) -> Backbone:
    """Load the backbone of a repository or folder."""
    where = request.name.removeprefix(PREFIX)
    config = _config(request, where)
    if config.model_type in REFUSED:
        raise ModelError(f"backbone '{request.name}' {REFUSED[config.model_type]}")
    family = FAMILIES.get(config.model_type, Family())
    body = _body(request, where, config)
    vision = getattr(config, "vision_config", None) or config
    if vision.model_type == MAE:
        _prepare_mae(request, body)
    if isinstance(request.pretrained, Path):
        load_weights(body, request.pretrained)
    facts = _facts(request, vision, family, body, _normalisation(request, where, family))
    return TransformersBackbone(facts, body, family, vision.model_type)


def _prepare_mae(request: Request, body: nn.Module) -> None:
    keep_all_patches(body)
    if request.pretrained is not True:
        fill_positions(body)
    if request.preset is Preset.PROBE3D:
        recompute_positions(body)


def _config(request: Request, where: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(where, trust_remote_code=False)
    # Errors of the hub, its client, or a file that is no configuration.
    except Exception as error:
        raise why_not_fetched(request.name, error) from error


def _body(request: Request, where: str, config: Any) -> nn.Module:
    from transformers import AutoModel

    if request.pretrained is not True:
        try:
            with seeded(request.seed), quiet("transformers"):
                whole = AutoModel.from_config(config, trust_remote_code=False)
        except ValueError as error:
            raise why_not_fetched(request.name, error) from error
        return _tower(whole.float())
    try:
        with quiet("transformers"):
            whole, info = AutoModel.from_pretrained(
                where,
                trust_remote_code=False,
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # as above, and errors of the file of weights
        raise why_not_fetched(request.name, error) from error
    tower = _tower(whole)
    prefix = next(
        (f"{path}." for path, each in whole.named_modules() if each is tower and path), ""
    )
    _check(request.name, prefix, info)
    return tower


def _check(name: str, prefix: str, info: Mapping[str, Any]) -> None:
    """Refuse random tensors in the vision tower; those after its last block do not count."""
    missing = [each for each in info["missing_keys"] if each.startswith(prefix)]
    misshapen = [str(each[0]) for each in info["mismatched_keys"]]
    check_whole(
        f"backbone '{name}'",
        sorted(each for each in missing if not any(part in each for part in _UNUSED)),
        sorted(misshapen),
    )


def _tower(whole: nn.Module) -> nn.Module:
    for attribute in _TOWERS:
        found = getattr(whole, attribute, None)
        if (
            isinstance(found, nn.Module)
            and "pixel_values" in inspect.signature(found.forward).parameters
        ):
            return found
    return whole


def _facts(
    request: Request, config: Any, family: Family, body: nn.Module, normalisation: Normalisation
) -> Facts:
    grid = grid_of(request.name, config, family, body)
    return facts_of(
        request,
        grid.layers,
        normalisation,
        _positions(request, config, family),
        tokens=_tokens(request, family),
        fixed=grid.fixed,
        unpadded=family.unpadded,
        one_early=config.model_type == MAE,
        details=f"transformers {version('transformers')}",
    )


def _positions(request: Request, config: Any, family: Family) -> str:
    if config.model_type == MAE and request.preset is Preset.PROBE3D:
        return "sin-cos, computed anew for each size"
    return family.positions


def _tokens(request: Request, family: Family) -> bool:
    if request.tokens and not family.has_token:
        raise no_tokens(request.name)
    if request.tokens is not None:
        return request.tokens
    return family.has_token and (family.takes_token or "dino" in request.name.lower())


def _normalisation(request: Request, where: str, family: Family) -> Normalisation:
    if family.forced:
        return family.normalisation
    if request.normalisation is not None:
        return request.normalisation
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    path = _preprocessor(where)
    if path is None:
        return family.normalisation
    try:
        said = parse_json(read_text(path))
        if not said.get("do_normalize", "image_mean" in said):
            return family.normalisation
        red, green, blue = map(float, said["image_mean"])
        std_red, std_green, std_blue = map(float, said["image_std"])
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"backbone '{request.name}': {_PREPROCESSOR} cannot be read") from error
    return Normalisation(mean=(red, green, blue), std=(std_red, std_green, std_blue))


def _preprocessor(where: str) -> Path | None:
    from transformers.utils.hub import cached_file

    found = cached_file(
        where,
        _PREPROCESSOR,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)
