"""Depth checkpoints of the Hugging Face hub: cards of known ones, and checks of their tensors."""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.errors import ModelError
from rilievo.io.limits import printable
from rilievo.models.card import ModelCard, known_models
from rilievo.types import DepthKind

UNKNOWN = "see its page"
LOADER = "rilievo.models.transformers:load"
EXTRA = "models"


def _card(source: str, kind: str, licence: str, name: str = "", **facts: Any) -> ModelCard:
    """Card of a repository; without a short name, as twins of ONNX files, it is named by it."""
    return ModelCard(
        name=name or source,
        kind=DepthKind(kind),
        licence=licence,
        commercial=None if licence == UNKNOWN else licence in ("Apache-2.0", "MIT"),
        extra=EXTRA,
        loader=LOADER,
        source=source,
        **facts,
    )


KINDS: Mapping[str, ModelCard] = {
    row["source"]: _card(**row) for row in known_models("checkpoints")
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
