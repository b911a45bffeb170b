"""Backbones of transformers; no code of a repository is run."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError, ModelError, first_line
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_json
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    NONE,
    Backbone,
    BackboneRequest,
    Facts,
    Layer,
    LayerOutputs,
    Normalisation,
    Preset,
    Taps,
    layer_from_shape,
    make_facts,
    no_tokens_error,
    output_shapes_by_layer,
    to_channels_first,
)
from rilievo.training.networks.backbones.released_names import fill_copy, released_tensors
from rilievo.training.networks.backbones.weights import (
    check_loading_report,
    check_tensor_of_numbers,
    check_whole,
    download_error,
    load_weights,
    silence_libraries,
    temporary_torch_seed,
)
from rilievo.training.tensors import Images

PREFIX = "hf/"
_BODY = "body."
_PREPROCESSOR = "preprocessor_config.json"
_TOWERS = ("vision_model", "vision_encoder", "vision_tower")
"""Attributes in which models of images and text have their network of images."""
_UNUSED = ("pooler", "mask_token", "layernorm_post", "post_layernorm")
"""Parts of the names of weights that features do not depend on."""
_UNPADDED = ("deit", "dpt", "sam")
"""Beginnings of the types of models for which Probe3D does not pad images."""
_REFUSED: Mapping[str, str] = {
    "hiera": "keeps its tokens in the order of its mask units, not of places: take timm/hiera_...",
    "vit_mae": "masks patches and shuffles the rest: take timm/vit_base_patch16_224.mae",
}
"""Types of models that cannot be used, with the reason."""


class TransformersBackbone(Backbone):
    """Network of transformers, whose layers are its blocks, before any last norm."""

    def __init__(self, facts: Facts, body: nn.Module) -> None:
        super().__init__(facts)
        self.body = body
        blocks = _longest_module_list(facts.name, body)
        self.taps = Taps({layer: blocks[layer] for layer in facts.layers})

    def stored_weights(self) -> Mapping[str, Tensor]:
        """Tensors under the names of released files."""
        tensors = released_tensors(self.body)
        return {f"{_BODY}{name}": tensor for name, tensor in tensors.items()}

    def weights_of_stored(self, stored: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
        """Tensors of released files, or of another release, under this network's names."""
        tensors = {name.removeprefix(_BODY): tensor for name, tensor in stored.items()}
        for name, tensor in tensors.items():
            check_tensor_of_numbers(tensor, f"{_BODY}{name}", path)
        try:
            filled, report = fill_copy(self.body, tensors)
        # Weights of another network raise as many types of errors as there are conversions.
        except Exception as error:
            raise ModelError(f"{path}: cannot be loaded: {first_line(error)}") from error
        check_loading_report(printable(path), report, prefix=f"backbone.{_BODY}")
        return {f"{_BODY}{name}": tensor for name, tensor in filled.state_dict().items()}

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the outputs of blocks, without register tokens."""
        facts, size = self.facts, (pixels.shape[-2], pixels.shape[-1])
        features = self.taps.run(partial(_run_at_any_size, self.body), pixels)
        outputs = [features[layer] for layer in facts.layers]
        return LayerOutputs(
            maps=tuple(map(to_channels_first, outputs, facts.taken, [size] * len(outputs))),
            tokens=tuple(output[:, 0] for output in outputs) if facts.tokens else None,
        )


def load(request: BackboneRequest) -> Backbone:
    """Load a network from a repository or a folder; ``ModelError`` if it cannot be used."""
    where = request.name.removeprefix(PREFIX)
    config = _load_config(request, where)
    if config.model_type in _REFUSED:
        raise ModelError(f"backbone '{request.name}' {_REFUSED[config.model_type]}")
    body = _load_body(request, where, config)
    if isinstance(request.pretrained, Path):
        load_weights(body, request.pretrained)
    vision = getattr(config, "vision_config", None) or config
    normalisation = _read_normalisation_or_default(request, where, config.model_type)
    return TransformersBackbone(_transformers_facts(request, vision, body, normalisation), body)


def _load_config(request: BackboneRequest, where: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(where, trust_remote_code=False)
    # Errors of the hub, its client, or a file that is no configuration.
    except Exception as error:
        raise download_error(request.name, error) from error


def _load_body(request: BackboneRequest, where: str, config: Any) -> nn.Module:
    from transformers import AutoModel

    if request.pretrained is not True:
        try:
            with temporary_torch_seed(request.seed), silence_libraries("transformers"):
                whole = AutoModel.from_config(config, trust_remote_code=False)
        except ValueError as error:
            raise download_error(request.name, error) from error
        return _vision_tower_or_whole(whole.float())
    try:
        with silence_libraries("transformers"):
            whole, info = AutoModel.from_pretrained(
                where,
                trust_remote_code=False,
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # as above, and errors of the file of weights
        raise download_error(request.name, error) from error
    tower = _vision_tower_or_whole(whole)
    tower_path = next((path for path, module in whole.named_modules() if module is tower), "")
    _check_loaded_tensors(request.name, f"{tower_path}." if tower_path else "", info)
    return tower


def _check_loaded_tensors(name: str, prefix: str, info: Mapping[str, Any]) -> None:
    """Raise ``ModelError`` if weights that features depend on are missing or misshapen."""
    missing = [key for key in info["missing_keys"] if key.startswith(prefix)]
    misshapen = [str(entry[0]) for entry in info["mismatched_keys"]]
    check_whole(
        f"backbone '{name}'",
        sorted(key for key in missing if not any(part in key for part in _UNUSED)),
        sorted(misshapen),
    )


def _vision_tower_or_whole(whole: nn.Module) -> nn.Module:
    """Network of images in a model of images and text, or the model itself."""
    for attribute in _TOWERS:
        tower = getattr(whole, attribute, None)
        if not isinstance(tower, nn.Module):
            continue
        if "pixel_values" in inspect.signature(tower.forward).parameters:
            return tower
    return whole


def _transformers_facts(
    request: BackboneRequest, config: Any, body: nn.Module, normalisation: Normalisation
) -> Facts:
    layout = _find_output_layout(request.name, config, body)
    if request.tokens and not layout.has_token:
        raise no_tokens_error(request.name)
    takes_tokens = request.tokens
    if takes_tokens is None:
        # Probe3D takes the class token of every DINO.
        is_dino = "dino" in f"{request.name} {config.model_type}".lower()
        takes_tokens = layout.has_token and is_dino
    return make_facts(
        request,
        layout.layers,
        normalisation,
        "as transformers does it",
        tokens=takes_tokens,
        fixed=layout.fixed,
        refuses_padding=config.model_type.startswith(_UNPADDED),
        details=f"transformers {version('transformers')}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputLayout:
    """Shapes of the outputs of blocks, and the only size that the network takes, if it has one."""

    layers: Sequence[Layer]
    has_token: bool
    fixed: Size | None


def _find_output_layout(name: str, config: Any, body: nn.Module) -> _OutputLayout:
    """Find the shapes of the outputs of blocks, at any size or else at the network's own size.

    Raises:
        ModelError: If the network runs at neither of them, or its outputs have no positions.
    """
    patch, own_size = _patch_side_unless_pyramid(config), _image_size_or_none(config)
    any_size = (4 * patch, 8 * patch) if patch else (256, 512)
    failure: ModelError | None = None
    for size in (any_size, own_size):
        if size is None:
            continue
        try:
            shapes = _output_shapes_of_blocks(name, body, size)
        except ModelError as error:
            failure = failure or error
            continue
        has_token = False
        if patch is not None and len(shapes[0]) == 3:
            has_token = shapes[0][1] > (size[0] // patch) * (size[1] // patch)
        return _OutputLayout(
            layers=tuple(layer_from_shape(name, shape, size, patch=patch) for shape in shapes),
            has_token=has_token,
            fixed=own_size if size == own_size else None,
        )
    raise failure or ModelError(f"backbone '{name}': its configuration has no 'image_size'")


def _output_shapes_of_blocks(name: str, body: nn.Module, size: Size) -> Sequence[tuple[int, ...]]:
    blocks = _longest_module_list(name, body)
    taps = Taps(dict(enumerate(blocks)))

    def run(pixels: Tensor) -> dict[int, Tensor]:
        return taps.run(partial(_run_at_any_size, body), pixels)

    try:
        shapes = output_shapes_by_layer(name, run, size)
    finally:
        taps.remove()
    return [shapes[index] for index in range(len(blocks))]


def _run_at_any_size(body: nn.Module, pixels: Tensor) -> object:
    options: dict[str, Any] = {}
    if "interpolate_pos_encoding" in inspect.signature(body.forward).parameters:
        options["interpolate_pos_encoding"] = True
    return body(pixel_values=pixels, **options)


def _longest_module_list(name: str, body: nn.Module) -> Sequence[nn.Module]:
    """Blocks of a network: the longest of its lists of modules that is not inside another list."""
    lists: dict[str, nn.ModuleList] = {}
    for path, module in body.named_modules():
        is_inside = any(path.startswith(f"{parent}.") for parent in lists)
        if isinstance(module, nn.ModuleList) and len(module) and not is_inside:
            lists[path] = module
    if not lists:
        raise ModelError(f"backbone '{name}' has no blocks whose outputs could be taken")
    return tuple(max(lists.values(), key=len))


def _patch_side_unless_pyramid(config: Any) -> int | None:
    patch = getattr(config, "patch_size", None)
    lists = [getattr(config, name, None) for name in ("depths", "hidden_sizes", "embed_dims")]
    if not patch or any(isinstance(value, list | tuple) for value in lists):
        return None
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


def _image_size_or_none(config: Any) -> Size | None:
    size = getattr(config, "image_size", None)
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return None if size is None else (int(size), int(size))


def _read_normalisation_or_default(
    request: BackboneRequest, where: str, model_type: str
) -> Normalisation:
    if model_type == "radio":  # which normalises its input itself
        return NONE
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    path = _preprocessor_file(where)
    if path is None:
        if request.pretrained is True:
            warnings.warn(
                f"backbone '{request.name}' has no {_PREPROCESSOR}: pixels are normalised by"
                " ImageNet's mean and deviation",
                stacklevel=4,
            )
        return IMAGENET
    try:
        settings = parse_json(read_text(path))
        if not settings.get("do_normalize", "image_mean" in settings):
            return NONE
        red, green, blue = map(float, settings["image_mean"])
        std_red, std_green, std_blue = map(float, settings["image_std"])
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"backbone '{request.name}': {_PREPROCESSOR} cannot be read") from error
    return Normalisation(mean=(red, green, blue), std=(std_red, std_green, std_blue))


def _preprocessor_file(where: str) -> Path | None:
    from transformers.utils.hub import cached_file

    file = cached_file(
        where,
        _PREPROCESSOR,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if file is None else Path(file)
