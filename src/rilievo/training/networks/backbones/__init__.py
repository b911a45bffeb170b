"""Networks whose features are probed."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, RilievoError, needing
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    BackboneRequest,
    Facts,
    Layer,
    LayerOutputs,
    find_preset,
    make_facts,
    no_tokens_error,
)
from rilievo.training.networks.backbones.backbone import Normalisation as Normalisation
from rilievo.training.networks.backbones.own_backbone import DepthCNN, NormalCNN, OwnBackbone
from rilievo.training.networks.backbones.weights import EXTRA, load_weights, temporary_torch_seed
from rilievo.training.networks.backbones.weights import weights_sha256 as weights_sha256
from rilievo.training.networks.blueprint import TOYS
from rilievo.training.networks.mobilenetv2 import CHANNELS, MobileNetV2, load_gluon_mobilenet
from rilievo.training.tensors import Images

# Module here and package that it needs, by the beginning of a name.
_KINDS: Mapping[str, tuple[str, str]] = {
    "timm/": ("timm_backbones", "timm"),
    "hf/": ("transformers_backbones", "transformers"),
    "diffusers/": ("diffusion_backbone", "torch"),
}
_TOYS: Mapping[str, type[OwnBackbone]] = dict(zip(TOYS, (DepthCNN, NormalCNN), strict=True))
_STRIDES = (2, 2, 4, 8, 16, 32)


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
    return _find_loader(name)(request).requires_grad_(False).eval()


def _find_loader(name: str) -> Callable[[BackboneRequest], Backbone]:
    if is_import_path(name) or name in _TOYS:
        return _make_own_backbone
    if name == "mobilenetv2":
        return _make_mobilenet
    kind = next((prefix for prefix in _KINDS if name.startswith(prefix) and name != prefix), None)
    with needing(f"backbone '{name}'", EXTRA):
        if kind is None:
            from rilievo.training.networks.backbones.timm_backbones import unknown_backbone_error

            raise unknown_backbone_error(name)
        module, package = _KINDS[kind]
        import_module(package)
    return import_module(f"rilievo.training.networks.backbones.{module}").load


def _make_own_backbone(request: BackboneRequest) -> Backbone:
    kind: Any = _TOYS.get(request.name) or load_user_object(request.name, "backbone")
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


class _MobileNet(Backbone):
    """MobileNetV2: the stem, then 1/2 to 1/32."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.body = MobileNetV2()

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        levels = self.body(pixels)
        return LayerOutputs(maps=tuple(levels[layer] for layer in self.facts.layers))


def _make_mobilenet(request: BackboneRequest) -> Backbone:
    if request.tokens:
        raise no_tokens_error(request.name)
    if request.pretrained is True:
        raise ModelError(
            f"backbone '{request.name}' has no weights of its own to fetch: name their file (.npz "
            "of Gluon's arrays), or take random ones (pretrained=False)"
        )
    layers = [Layer(channels=c, stride=s) for c, s in zip(CHANNELS, _STRIDES, strict=True)]
    facts = make_facts(request, layers, IMAGENET, "none")
    with temporary_torch_seed(request.seed):
        backbone = _MobileNet(facts)
    if isinstance(request.pretrained, Path):
        is_gluon = request.pretrained.suffix == ".npz"
        (load_gluon_mobilenet if is_gluon else load_weights)(backbone.body, request.pretrained)
    return backbone
