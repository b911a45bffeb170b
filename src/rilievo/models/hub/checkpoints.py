"""Cards of known depth checkpoints."""

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

_CUBIC = Resizing(filter=Filter.CUBIC)
_OTHERS = {
    "depth_pro": Resizing(space=Space.INVERSE, filter=Filter.LINEAR, nearest=1e-4, farthest=1e4),
    "tipsv2_dpt": Resizing(filter=Filter.LINEAR),
}
LOADER = "transformers"
EXTRA = "models"
CONFIG = "config.json"


def resizing_of(model_type: str) -> Resizing:
    """Resizing of an architecture's processor."""
    return _OTHERS.get(model_type, _CUBIC)


def _checkpoint_card(
    source: str, kind: str, name: str = "", architecture: str = "dpt", **facts: Any
) -> ModelCard:
    return ModelCard(
        name=name or source,
        kind=DepthKind(kind),
        extra=EXTRA,
        loader=LOADER,
        source=source,
        resizing=resizing_of(architecture),
        **facts,
    )


KINDS: Mapping[str, ModelCard] = {
    row["source"]: _checkpoint_card(
        commercial=None
        if row["licence"] == NOT_STATED
        else row["licence"] in ("Apache-2.0", "MIT"),
        **row,
    )
    for row in known_models("checkpoints")
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of checkpoints with a short name."""
    return tuple(card for repository, card in KINDS.items() if card.name != repository)


def unlisted_card(source: str, kind: DepthKind, *, local: bool) -> ModelCard:
    """Card of an unknown checkpoint."""
    return _checkpoint_card(
        source,
        kind,
        summary="a checkpoint in a local folder" if local else "a checkpoint of the hub",
        licence=NOT_STATED if local else f"see https://huggingface.co/{source}",
    )


def find_folder(request: ModelRequest) -> FoundModel | None:
    """Find a checkpoint in a folder that transformers saved."""
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(request.name):
        return None
    folder = Path(request.name).resolve()
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"not a checkpoint: the folder has no {CONFIG}", path=relative_printable(folder)
        )
    if request.kind is None:
        raise ModelError(
            path=relative_printable(folder),
            problem=Text(
                "give the kind of its depth with ",
                OptionName("kind", "..."),
                f": {', '.join(DepthKind)}",
            ),
        )
    return FoundModel(card=unlisted_card(str(folder), request.kind, local=True))
