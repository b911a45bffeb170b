"""Networks whose features are probed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, RilievoError, needing
from rilievo.extensions.subpackages import resolve_name
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.backbone import Backbone as Backbone
from rilievo.training.networks.backbones.backbone import BackboneRequest, find_preset
from rilievo.training.networks.backbones.backbone import Facts as Facts
from rilievo.training.networks.backbones.backbone import Layer as Layer
from rilievo.training.networks.backbones.backbone import Normalisation as Normalisation
from rilievo.training.networks.backbones.own_backbone import OwnBackbone as OwnBackbone
from rilievo.training.networks.backbones.weights import EXTRA, load_weights, temporary_torch_seed
from rilievo.training.networks.backbones.weights import tensors_sha256 as tensors_sha256
from rilievo.training.networks.backbones.weights import weights_sha256 as weights_sha256
from rilievo.training.networks.blueprint import BackboneRow, find_backbone_row


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

    ``layers`` ascend, by default four evenly spread, or a pyramid's last four; -1 is the last.
    ``tokens`` of None takes class tokens of DINO alone. ``pretrained`` is True, a file, or False
    for random weights.
    """
    request = BackboneRequest(
        name=name,
        pretrained=pretrained,
        layers=None if layers is None else tuple(layers),
        tokens=tokens,
        preset=find_preset(preset),
        seed=seed,
    )
    return _load(request).requires_grad_(False).eval()


def _load(request: BackboneRequest) -> Backbone:
    name = request.name
    if is_import_path(name):
        return _make_own_backbone(request, load_user_object(name, "backbone"))
    row = find_backbone_row(name)
    if row is not None and row.is_whole_network:
        return _make_own_backbone(request, _object_of_row(row))
    with needing(f"backbone '{name}'", EXTRA):
        if row is None:
            from rilievo.training.networks.backbones.timm_backbones import unknown_backbone_error

            raise unknown_backbone_error(name)
        import_module(row.package)
    return _object_of_row(row)(request)


def _object_of_row(row: BackboneRow) -> Any:
    return resolve_name(f"rilievo.training.networks.backbones.{row.place}")


def _make_own_backbone(request: BackboneRequest, kind: Any) -> Backbone:
    try:
        with temporary_torch_seed(request.seed):
            made = kind()
    except RilievoError:
        raise
    except Exception as error:  # user code may raise anything
        raise ModelError(
            f"backbone '{request.name}' cannot be made: {type(error).__name__}: {reason(error)}"
        ) from error
    if not isinstance(made, OwnBackbone):
        raise ModelError(
            f"backbone '{request.name}' is a {type(made).__name__}; expected a class derived from "
            f"{OwnBackbone.__module__}.OwnBackbone"
        )
    made.set_layers(layers=request.layers, tokens=request.tokens)
    if isinstance(request.pretrained, Path):
        load_weights(made, request.pretrained)
    return made
