"""Cards of checkpoints that transformers loads, known ones and others."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import relative_printable
from rilievo.models.card import NOT_STATED, ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.records.depth_map import DepthKind

_RESIZING_BY_ARCHITECTURE = {
    "depth_pro": Resizing(space=Space.INVERSE, filter=Filter.LINEAR, nearest=1e-4, farthest=1e4),
    "tipsv2_dpt": Resizing(filter=Filter.LINEAR),
}
_DEFAULT_RESIZING = Resizing(filter=Filter.CUBIC)
_COMMERCIAL_LICENCES = ("Apache-2.0", "MIT")

LOADER = "transformers"
EXTRA = "models"
CONFIG = "config.json"


def architecture_resizing(architecture: str) -> Resizing:
    """How the processor of an architecture in transformers resizes depth to the photograph."""
    return _RESIZING_BY_ARCHITECTURE.get(architecture, _DEFAULT_RESIZING)


def _checkpoint_card(
    source: str, kind: str, name: str = "", architecture: str = "dpt", **fields: Any
) -> ModelCard:
    """Card of a checkpoint, whose name is by default its repository or folder."""
    return ModelCard(
        name=name or source,
        kind=DepthKind(kind),
        extra=EXTRA,
        loader=LOADER,
        source=source,
        resizing=architecture_resizing(architecture),
        **fields,
    )


def _allows_commercial_use(licence: str) -> bool | None:
    """Whether a licence allows commercial use; None if it is not stated."""
    return None if licence == NOT_STATED else licence in _COMMERCIAL_LICENCES


CHECKPOINTS: Mapping[str, ModelCard] = {
    row["source"]: _checkpoint_card(commercial=_allows_commercial_use(row["licence"]), **row)
    for row in known_models("checkpoints")
}
"""Cards of known checkpoints by their repository on the hub."""


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of the known checkpoints that have a short name."""
    return tuple(card for repository, card in CHECKPOINTS.items() if card.name != repository)


def unlisted_card(source: str, kind: DepthKind, *, local: bool) -> ModelCard:
    """Card of an unknown checkpoint, in a local folder or in a repository of the hub."""
    return _checkpoint_card(
        source,
        kind,
        summary="a checkpoint in a local folder" if local else "a checkpoint from the hub",
        licence=NOT_STATED if local else f"see https://huggingface.co/{source}",
    )


def find_checkpoint_folder(request: ModelRequest) -> FoundModel | None:
    """Find a checkpoint in a folder that was saved by transformers."""
    # os.path.isdir is also False for a name that is too long for the system.
    if not os.path.isdir(request.name):
        return None
    folder = Path(request.name).resolve()
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"is not a checkpoint for transformers: the folder has no {CONFIG}",
            path=relative_printable(folder),
        )
    if request.kind is None:
        raise ModelError(
            path=relative_printable(folder),
            problem=Text(
                "does not state the kind of its depth; give the kind with ",
                OptionName("kind", "..."),
                f", as one of {', '.join(DepthKind)}",
            ),
        )
    return FoundModel(card=unlisted_card(str(folder), request.kind, local=True))
