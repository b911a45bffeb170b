"""Families of vision models in transformers: properties that their configurations lack."""

from collections.abc import Mapping
from dataclasses import dataclass

from rilievo.networks.backbones.facts import CLIP, HALF, IMAGENET, NONE, Normalisation

_RESAMPLED = "learnt, resampled bicubically to any size"


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

REFUSED: Mapping[str, str] = {
    "hiera": "keeps its tokens in the order of its mask units, not of places: take timm/hiera_...",
    "siglip2": "takes patches of a list of sizes, not images: take timm/vit_..._siglip_... instead",
    "siglip2_vision_model": "takes patches, not images: take timm/vit_..._siglip_... instead",
}
