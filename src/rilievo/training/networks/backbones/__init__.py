"""Networks whose features are probed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, OptionError, RilievoError, explain_missing_extra, suggest
from rilievo.extensions.foreign_code import load_user_object
from rilievo.extensions.subpackages import resolve_name
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.backbone import Backbone as Backbone
from rilievo.training.networks.backbones.backbone import BackboneProperties as BackboneProperties
from rilievo.training.networks.backbones.backbone import BackboneRequest, find_preset
from rilievo.training.networks.backbones.backbone import Layer as Layer
from rilievo.training.networks.backbones.backbone import Normalisation as Normalisation
from rilievo.training.networks.backbones.own_backbone import OwnBackbone as OwnBackbone
from rilievo.training.networks.backbones.weights import EXTRA, load_weights, temporary_torch_seed
from rilievo.training.networks.backbones.weights import tensors_sha256 as tensors_sha256
from rilievo.training.networks.backbones.weights import weights_sha256 as weights_sha256
from rilievo.training.networks.blueprint import TIMM, BackboneFamily, find_backbone_family


def make_backbone(
    name: str,
    *,
    layers: Sequence[int] | None = None,
    tokens: bool | None = None,
    pretrained: bool | Path = True,
    preset: str = "default",
    seed: int = 0,
) -> Backbone:
    """Make a frozen backbone by a name such as ``timm/MODEL`` or ``package.module:Class``.

    Args:
        name: Name of the network.
        layers: Layers to take, in ascending order, of which -1 is the last one; by default four
            that are evenly spread, or the last four of a pyramid.
        tokens: Whether to take class tokens; by default those of DINO alone.
        pretrained: True for published weights, False for random ones, or a file of weights.
        preset: How images are prepared and maps are taken, ``default`` or ``probe3d``.
        seed: Seed of random weights, and of a diffusion model's noise.

    Raises:
        RilievoError: If there is no such network, or it or its weights cannot be loaded.
    """
    request = BackboneRequest(
        name=name,
        pretrained=pretrained,
        layers=None if layers is None else tuple(layers),
        tokens=tokens,
        preset=find_preset(preset),
        seed=seed,
    )
    return _load_backbone(request).requires_grad_(False).eval()


def _load_backbone(request: BackboneRequest) -> Backbone:
    """Load a backbone of the user's, or of one of the families in ``BACKBONE_FAMILIES``."""
    name = request.name
    if is_import_path(name):
        return _make_own_backbone(request, load_user_object(name, "backbone"))
    family = find_backbone_family(name)
    if family is not None and family.is_whole_network:
        return _make_own_backbone(request, _import_loader(family))
    with explain_missing_extra(f"backbone '{name}'", EXTRA):
        if family is None:
            raise _unknown_backbone_error(name)
        import_module(family.package)
    return _import_loader(family)(request)


def _unknown_backbone_error(name: str) -> OptionError:
    """Error for a name that is of no family of backbones, with a suggestion."""
    import timm

    near = suggest(name, [f"{TIMM}{model}" for model in timm.list_models()])
    return OptionError(
        f"no backbone '{name}'; known are timm/MODEL, hf/ORG/NAME or hf/FOLDER, "
        "diffusers/ORG/NAME, mobilenetv2, depth-cnn, normal-cnn and package.module:Class"
        + (f"; {near}" if near.startswith("did") else "")
    )


def _import_loader(family: BackboneFamily) -> Any:
    """Import the function or class that creates the backbones of a family."""
    return resolve_name(f"rilievo.training.networks.backbones.{family.import_path}")


def _make_own_backbone(request: BackboneRequest, network_class: Any) -> OwnBackbone:
    """Instantiate a class of the user's, or a small network that is trained from scratch."""
    try:
        with temporary_torch_seed(request.seed):
            backbone = network_class()
    except RilievoError:
        raise
    except Exception as error:  # user code may raise anything
        raise ModelError(
            f"backbone '{request.name}' cannot be created: {type(error).__name__}: {reason(error)}"
        ) from error
    if not isinstance(backbone, OwnBackbone):
        raise ModelError(
            f"backbone '{request.name}' is a {type(backbone).__name__}; expected a class derived "
            f"from {OwnBackbone.__module__}.OwnBackbone"
        )
    backbone.select_features(layers=request.layers, tokens=request.tokens)
    if isinstance(request.pretrained, Path):
        load_weights(backbone, request.pretrained)
    return backbone
