"""Known depth checkpoints of the Hugging Face hub with their kinds, and checks of their tensors.

A checkpoint does not state whether its output is metric or inverse depth up to scale and shift, so
this table does. Kinds and ranges are those of the papers and model cards. Licences are those that
the authors state for the weights, and ``UNKNOWN`` where that was not certain.
"""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rilievo.errors import ModelError
from rilievo.io.limits import printable
from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

UNKNOWN = "see its page"
LOADER = "rilievo.models.transformers:load"
EXTRA = "models"


def _card(
    kind: DepthKind,
    name: str | None,
    summary: str,
    licence: str,
    megabytes: float | None = None,
    speed: str = "not measured",
) -> ModelCard:
    """Card of a repository; its name is None where it has no short one, as twins of ONNX files."""
    return ModelCard(
        name=name or "",
        summary=summary,
        kind=kind,
        licence=licence,
        commercial=None if licence == UNKNOWN else licence in ("Apache-2.0", "MIT"),
        megabytes=megabytes,
        extra=EXTRA,
        speed=speed,
        loader=LOADER,
    )


_inverse, _metric = partial(_card, DepthKind.AFFINE_INVERSE), partial(_card, DepthKind.METRIC)


_NC = "CC-BY-NC-4.0"
_V2 = "Depth Anything V2"
_ROOMS, _STREETS = "rooms, up to 20 m (Hypersim)", "streets, up to 80 m (Virtual KITTI)"

_CARDS: Mapping[str, ModelCard] = {
    "Intel/dpt-large": _inverse(None, "DPT, ViT-L at 384 (MiDaS 3)", "Apache-2.0", 1368.0),
    "Intel/dpt-hybrid-midas": _inverse(
        None, "DPT, ResNet-50 and ViT-B at 384 (MiDaS 3)", "Apache-2.0", 490.0, "1.0 s"
    ),
    "Intel/dpt-beit-large-512": _inverse("dpt/beit-large-512", "MiDaS 3.1, BEiT-L at 512", "MIT"),
    "Intel/dpt-beit-large-384": _inverse("dpt/beit-large-384", "MiDaS 3.1, BEiT-L at 384", "MIT"),
    "Intel/dpt-beit-base-384": _inverse("dpt/beit-base-384", "MiDaS 3.1, BEiT-B at 384", "MIT"),
    "Intel/dpt-swinv2-large-384": _inverse("dpt/swinv2-large-384", "MiDaS 3.1, Swin V2-L", "MIT"),
    "Intel/dpt-swinv2-base-384": _inverse("dpt/swinv2-base-384", "MiDaS 3.1, Swin V2-B", "MIT"),
    "Intel/dpt-swinv2-tiny-256": _inverse("dpt/swinv2-tiny-256", "MiDaS 3.1, Swin V2-T", "MIT"),
    **{
        f"facebook/dpt-dinov2-{size}-{where}": _metric(
            f"dpt/dinov2-{size}-{where}", f"DPT on frozen DINOv2, {what}", "Apache-2.0"
        )
        for where, what in (("nyu", "rooms, up to 10 m (NYU)"), ("kitti", "streets, 80 m (KITTI)"))
        for size in ("small", "base", "large", "giant")
    },
    "LiheYoung/depth-anything-small-hf": _inverse(
        "depth-anything/small", "Depth Anything V1, ViT-S at 518", "Apache-2.0", 99.2
    ),
    "LiheYoung/depth-anything-base-hf": _inverse(
        "depth-anything/base", "Depth Anything V1, ViT-B at 518", "Apache-2.0", 390.0
    ),
    "LiheYoung/depth-anything-large-hf": _inverse(
        "depth-anything/large", "Depth Anything V1, ViT-L at 518", "Apache-2.0", 1341.0
    ),
    "depth-anything/Depth-Anything-V2-Small-hf": _inverse(
        None, f"{_V2}, ViT-S at 518", "Apache-2.0", 99.2, "0.6 s"
    ),
    "depth-anything/Depth-Anything-V2-Base-hf": _inverse(None, f"{_V2}, ViT-B at 518", _NC, 390.0),
    "depth-anything/Depth-Anything-V2-Large-hf": _inverse(
        None, f"{_V2}, ViT-L at 518", _NC, 1341.0
    ),
    **{
        f"depth-anything/Depth-Anything-V2-Metric-{where}-{size}-hf": _metric(
            f"depth-anything-v2/metric-{where.lower()}-{size.lower()}",
            f"{_V2}, {what}",
            "Apache-2.0" if size == "Small" else _NC,
            megabytes,
        )
        for where, what in (("Indoor", _ROOMS), ("Outdoor", _STREETS))
        for size, megabytes in (("Small", 99.2), ("Base", 390.0), ("Large", 1341.0))
    },
    "Intel/zoedepth-nyu-kitti": _metric(
        "zoedepth/nyu-kitti",
        "ZoeDepth, rooms to 10 m or streets to 80 m, chosen by the network",
        "MIT",
    ),
    "Intel/zoedepth-nyu": _metric("zoedepth/nyu", "ZoeDepth, rooms, up to 10 m (NYU)", "MIT"),
    "Intel/zoedepth-kitti": _metric("zoedepth/kitti", "ZoeDepth, streets, 80 m (KITTI)", "MIT"),
    "vinvino02/glpn-nyu": _metric("glpn/nyu", "GLPN, rooms, up to 10 m (NYU)", "Apache-2.0", 245.0),
    "vinvino02/glpn-kitti": _metric(
        "glpn/kitti", "GLPN, streets, up to 80 m (KITTI)", "Apache-2.0", 245.0
    ),
    "apple/DepthPro-hf": _metric(
        None, "Depth Pro at 1536, any scene; sees the focal length too", "apple-amlr"
    ),
    "google/tipsv2-b14-dpt": _metric(None, "TIPSv2 with a DPT head, rooms, up to 10 m", UNKNOWN),
}
KINDS: Mapping[str, ModelCard] = {
    repository: replace(card, name=card.name or repository, source=repository)
    for repository, card in _CARDS.items()
}
"""Cards of known repositories, with the kind of their depth."""


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all checkpoints that have a short name."""
    return tuple(card for repository, card in KINDS.items() if card.name != repository)


def unlisted_card(source: str, kind: DepthKind, *, local: bool) -> ModelCard:
    """Card of an unknown checkpoint, whose kind the user states."""
    return ModelCard(
        name=source,
        summary="a checkpoint in a local folder" if local else "a checkpoint of the hub",
        kind=kind,
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        extra=EXTRA,
        loader=LOADER,
        source=source,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """Differences between a checkpoint's tensors and those of its network, by name.

    Attributes:
        missing: Tensors that only the network has.
        extra: Tensors that only the checkpoint has.
        misshapen: Tensors of both with different shapes, which are listed too.
    """

    missing: Sequence[str]
    extra: Sequence[str]
    misshapen: Sequence[str]


def tensor_report(
    missing: Collection[str],
    extra: Collection[str],
    misshapen: Iterable[Sequence[Any]],
    *,
    prefix: str = "",
) -> TensorReport:
    """Make a sorted report from the output of transformers' and diffusers' loaders."""
    return TensorReport(
        missing=sorted(prefix + name for name in missing),
        extra=sorted(prefix + name for name in extra),
        misshapen=sorted(
            f"{prefix}{name} {tuple(found)} instead of {tuple(expected)}"
            for name, found, expected in misshapen
        ),
    )


def check_tensors(model: str, report: TensorReport) -> None:
    """Refuse a checkpoint that leaves tensors uninitialised; print a note about unused ones."""
    wrong = [
        f"{words}: {_some(names)}"
        for words, names in (("missing", report.missing), ("misshapen", report.misshapen))
        if names
    ]
    extra = [f"extra: {_some(report.extra)}"] if report.extra else []
    if wrong:
        raise ModelError(
            f"model '{model}': its weights do not fit its configuration: "
            + "; ".join([*wrong, *extra])
        )
    if extra:
        warnings.warn(f"model '{model}' has unused tensors, {extra[0]}", stacklevel=4)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
