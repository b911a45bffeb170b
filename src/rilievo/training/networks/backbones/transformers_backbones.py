"""Backbones of transformers; no code of a repository is run."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    BackboneProperties,
    BackboneRequest,
    Layer,
    LayerOutputs,
    LayerRecorder,
    Normalisation,
    Preset,
    layer_from_shape,
    make_properties,
    no_class_token_error,
    output_shapes_by_layer,
    to_channels_first,
)
from rilievo.training.networks.backbones.hub_tensor_names import fill_copy, tensors_by_hub_name
from rilievo.training.networks.backbones.weights import (
    check_complete_weights,
    check_loading_report,
    check_tensor_of_numbers,
    download_error,
    load_weights,
    silence_libraries,
    temporary_torch_seed,
)
from rilievo.training.tensors import Images

PREFIX = "hf/"
_BODY = "body."
"""Beginning of the names of stored tensors, after the attribute ``body``."""
_PREPROCESSOR = "preprocessor_config.json"
_VISION_TOWERS = ("vision_model", "vision_encoder", "vision_tower")
"""Attributes in which models of images and text have their network of images."""
_UNUSED = ("pooler", "mask_token", "layernorm_post", "post_layernorm")
"""Parts of the names of weights that features do not depend on."""
_UNPADDED = ("deit", "dpt", "sam")
"""Beginnings of the types of models for which Probe3D does not pad images."""
_UNSUPPORTED_REASONS: Mapping[str, str] = {
    "hiera": "orders its tokens by mask unit instead of position: use timm/hiera_...",
    "vit_mae": "masks patches and shuffles the others: use timm/vit_base_patch16_224.mae",
}
"""Types of models that cannot be used, with the reason as the end of a sentence."""


class TransformersBackbone(Backbone):
    """Model from transformers, whose features are the outputs of its blocks before the last norm.

    ``properties.taken`` are the channels and strides of the selected blocks.
    """

    def __init__(self, properties: BackboneProperties, network: nn.Module) -> None:
        super().__init__(properties)
        self.body = network
        blocks = _longest_module_list(properties.name, network)
        self.recorder = LayerRecorder({layer: blocks[layer] for layer in properties.layers})

    def stored_weights(self) -> Mapping[str, Tensor]:
        """Tensors under the names that files on the hub have; see ``rename_stored_weights``."""
        tensors = tensors_by_hub_name(self.body)
        return {f"{_BODY}{name}": tensor for name, tensor in tensors.items()}

    def rename_stored_weights(
        self, stored: Mapping[str, Tensor], path: Path
    ) -> Mapping[str, Tensor]:
        """Rename tensors of the hub, or of any version of transformers, to this network's."""
        tensors = {name.removeprefix(_BODY): tensor for name, tensor in stored.items()}
        for name, tensor in tensors.items():
            check_tensor_of_numbers(tensor, f"{_BODY}{name}", path)
        try:
            filled, report = fill_copy(self.body, tensors)
        # The conversion of names may raise anything for weights of another network.
        except Exception as error:
            raise ModelError(f"{path}: cannot be loaded: {first_line(error)}") from error
        check_loading_report(printable(path), report, prefix=f"backbone.{_BODY}")
        return {f"{_BODY}{name}": tensor for name, tensor in filled.state_dict().items()}

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the outputs of blocks, without register tokens."""
        properties = self.properties
        size = (pixels.shape[-2], pixels.shape[-1])
        output_by_layer = self.recorder.record_outputs(partial(_run_at_any_size, self.body), pixels)
        outputs = [output_by_layer[layer] for layer in properties.layers]
        maps = [
            to_channels_first(output, layer, size)
            for output, layer in zip(outputs, properties.taken, strict=True)
        ]
        class_tokens = tuple(output[:, 0] for output in outputs) if properties.tokens else None
        return LayerOutputs(maps=tuple(maps), tokens=class_tokens)


def load(request: BackboneRequest) -> Backbone:
    """Load a network from a repository or a folder; ``ModelError`` if it cannot be used."""
    repo_or_folder = request.name.removeprefix(PREFIX)
    config = _load_config(request, repo_or_folder)
    if config.model_type in _UNSUPPORTED_REASONS:
        raise ModelError(f"backbone '{request.name}' {_UNSUPPORTED_REASONS[config.model_type]}")
    network = _load_network(request, repo_or_folder, config)
    if isinstance(request.pretrained, Path):
        load_weights(network, request.pretrained)
    vision_config = getattr(config, "vision_config", None) or config
    normalisation = _choose_normalisation(request, repo_or_folder, config.model_type)
    properties = _transformers_properties(request, vision_config, network, normalisation)
    return TransformersBackbone(properties, network)


def _load_config(request: BackboneRequest, repo_or_folder: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(repo_or_folder, trust_remote_code=False)
    # Errors of the hub, its client, or a file that is no configuration.
    except Exception as error:
        raise download_error(request.name, error) from error


def _load_network(request: BackboneRequest, repo_or_folder: str, config: Any) -> nn.Module:
    """Load the vision tower with its published weights, or create it with random ones."""
    from transformers import AutoModel

    if request.pretrained is not True:
        try:
            with temporary_torch_seed(request.seed), silence_libraries("transformers"):
                model = AutoModel.from_config(config, trust_remote_code=False)
        except ValueError as error:  # no model of transformers has this configuration
            raise download_error(request.name, error) from error
        return _find_vision_tower(model.float())
    try:
        with silence_libraries("transformers"):
            model, loading_report = AutoModel.from_pretrained(
                repo_or_folder,
                trust_remote_code=False,
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # errors of the hub, its client or the file of weights
        raise download_error(request.name, error) from error
    tower = _find_vision_tower(model)
    _check_loaded_tensors(request.name, _parameter_prefix(model, tower), loading_report)
    return tower


def _parameter_prefix(model: nn.Module, module: nn.Module) -> str:
    """Prefix of the names of a module's parameters in a model; "" if it is the whole model."""
    path = next((path for path, other in model.named_modules() if other is module), "")
    return f"{path}." if path else ""


def _check_loaded_tensors(name: str, prefix: str, loading_report: Mapping[str, Any]) -> None:
    """Raise ``ModelError`` if weights that features depend on are missing or misshapen."""
    missing = [
        key
        for key in loading_report["missing_keys"]
        if key.startswith(prefix) and not any(part in key for part in _UNUSED)
    ]
    misshapen = [str(key) for key, *_shapes in loading_report["mismatched_keys"]]
    check_complete_weights(f"backbone '{name}'", sorted(missing), sorted(misshapen))


def _find_vision_tower(model: nn.Module) -> nn.Module:
    """Vision tower of a model of images and text; the model itself if it has images only."""
    for attribute in _VISION_TOWERS:
        tower = getattr(model, attribute, None)
        if not isinstance(tower, nn.Module):
            continue
        if "pixel_values" in inspect.signature(tower.forward).parameters:
            return tower
    return model


def _transformers_properties(
    request: BackboneRequest, config: Any, network: nn.Module, normalisation: Normalisation
) -> BackboneProperties:
    """Find the properties of a network; ``OptionError`` if requested class tokens do not exist."""
    layout = _find_output_layout(request.name, config, network)
    if request.tokens and not layout.has_class_token:
        raise no_class_token_error(request.name)
    with_class_tokens = request.tokens
    if with_class_tokens is None:
        # As Probe3D does, use the class tokens of DINO models by default.
        is_dino = "dino" in f"{request.name} {config.model_type}".lower()
        with_class_tokens = layout.has_class_token and is_dino
    return make_properties(
        request,
        layout.layers,
        normalisation,
        positions="as transformers does it",
        with_class_tokens=with_class_tokens,
        fixed_size=layout.fixed_size,
        refuses_padding=config.model_type.startswith(_UNPADDED),
        details=f"transformers {version('transformers')}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputLayout:
    """Outputs of the blocks: their layers, and whether a class token is among them.

    ``fixed_size`` is the only size of images that the network takes; None if it takes any.
    """

    layers: Sequence[Layer]
    has_class_token: bool
    fixed_size: Size | None


def _find_output_layout(name: str, config: Any, network: nn.Module) -> _OutputLayout:
    """Find the layout of blocks' outputs by running the network on a trial image.

    The trial image is wider than high, because height and width could be mistaken for one another
    otherwise. If the network does not take it, it is run at the size of its configuration, which
    then is the only size that it takes.
    """
    patch = _vit_patch_side(config)
    configured_size = _configured_image_size(config)
    trial_size = (4 * patch, 8 * patch) if patch else (256, 512)
    size, shapes = _accepted_size_and_shapes(name, network, trial_size, configured_size)
    has_class_token = False
    if patch is not None and len(shapes[0]) == 3:
        num_patches = (size[0] // patch) * (size[1] // patch)
        has_class_token = shapes[0][1] > num_patches
    return _OutputLayout(
        layers=tuple(layer_from_shape(name, shape, size, patch=patch) for shape in shapes),
        has_class_token=has_class_token,
        fixed_size=configured_size if size == configured_size else None,
    )


def _accepted_size_and_shapes(
    name: str, network: nn.Module, size: Size, fallback_size: Size | None
) -> tuple[Size, Sequence[tuple[int, ...]]]:
    """First of two sizes that the network takes, and the shapes of all blocks' outputs for it.

    Raises:
        ModelError: If the network takes neither; it is the error of the first size.
    """
    try:
        return size, _block_output_shapes(name, network, size)
    except ModelError:
        if fallback_size is None:
            raise
        with suppress(ModelError):
            return fallback_size, _block_output_shapes(name, network, fallback_size)
        raise


def _block_output_shapes(name: str, network: nn.Module, size: Size) -> Sequence[tuple[int, ...]]:
    """Find the shapes of all blocks' outputs for an image of a size."""
    blocks = _longest_module_list(name, network)
    recorder = LayerRecorder(dict(enumerate(blocks)))

    def record_outputs(pixels: Tensor) -> dict[int, Tensor]:
        return recorder.record_outputs(partial(_run_at_any_size, network), pixels)

    try:
        shapes = output_shapes_by_layer(name, record_outputs, size)
    finally:
        recorder.remove()
    return [shapes[index] for index in range(len(blocks))]


def _run_at_any_size(network: nn.Module, pixels: Tensor) -> object:
    options: dict[str, Any] = {}
    if "interpolate_pos_encoding" in inspect.signature(network.forward).parameters:
        options["interpolate_pos_encoding"] = True
    return network(pixel_values=pixels, **options)


def _longest_module_list(name: str, network: nn.Module) -> Sequence[nn.Module]:
    """Blocks of a network, which are its longest ``ModuleList`` that is not inside another one."""
    lists: dict[str, nn.ModuleList] = {}
    for path, module in network.named_modules():
        is_inside = any(path.startswith(f"{parent}.") for parent in lists)
        if isinstance(module, nn.ModuleList) and len(module) and not is_inside:
            lists[path] = module
    if not lists:
        raise ModelError(f"backbone '{name}' has no blocks whose outputs can be used as features")
    return tuple(max(lists.values(), key=len))


def _vit_patch_side(config: Any) -> int | None:
    """Side of a patch [px]; None for a pyramid, whose configuration lists its stages."""
    patch = getattr(config, "patch_size", None)
    stages = [getattr(config, name, None) for name in ("depths", "hidden_sizes", "embed_dims")]
    is_pyramid = any(isinstance(value, list | tuple) for value in stages)
    if not patch or is_pyramid:
        return None
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


def _configured_image_size(config: Any) -> Size | None:
    size = getattr(config, "image_size", None)
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return None if size is None else (int(size), int(size))


def _choose_normalisation(
    request: BackboneRequest, repo_or_folder: str, model_type: str
) -> Normalisation:
    """Choose how colours are normalised before the network sees them.

    The preprocessor of the checkpoint decides. Without one, and for all models of Probe3D as in its
    program, it is ImageNet's normalisation. RADIO takes colours in 0..1 and normalises them itself.
    """
    if model_type == "radio":
        return NONE
    if request.preset is Preset.PROBE3D:
        return IMAGENET
    preprocessor_path = _preprocessor_file(repo_or_folder)
    if preprocessor_path is not None:
        return _read_normalisation(request.name, preprocessor_path)
    if request.pretrained is True:
        warnings.warn(
            f"backbone '{request.name}' has no {_PREPROCESSOR}: pixels are normalised with "
            "ImageNet's mean and standard deviation",
            stacklevel=4,
        )
    return IMAGENET


def _read_normalisation(name: str, preprocessor_path: Path) -> Normalisation:
    """Read the mean and standard deviation of the preprocessor; ``NONE`` if it does not use them.

    Raises:
        ModelError: If the file is broken.
    """
    try:
        settings = parse_json(read_text(preprocessor_path))
        if not settings.get("do_normalize", "image_mean" in settings):
            return NONE
        red, green, blue = map(float, settings["image_mean"])
        std_red, std_green, std_blue = map(float, settings["image_std"])
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"backbone '{name}': {_PREPROCESSOR} cannot be read; expected a JSON object "
            "with three numbers each in image_mean and image_std"
        ) from error
    return Normalisation(mean=(red, green, blue), std=(std_red, std_green, std_blue))


def _preprocessor_file(repo_or_folder: str) -> Path | None:
    """Find or fetch the preprocessor's configuration; None if the checkpoint has none."""
    from transformers.utils.hub import cached_file

    file = cached_file(
        repo_or_folder,
        _PREPROCESSOR,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if file is None else Path(file)
