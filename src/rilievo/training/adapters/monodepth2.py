"""Checkpoints of Monodepth2 (Godard et al., ICCV 2019), which users unpack into a folder.

They are not downloaded, because their licence allows non-commercial use only.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, explain_missing_extra
from rilievo.io.files.names import printable
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.system.terminal import wrap_for_terminal
from rilievo.training.adapters.run_models import INVERSE_RESIZING
from rilievo.training.networks.blueprint import DEPTH, ENCODER

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import TorchModel

MONODEPTH2 = "monodepth2"

_LICENCE = (
    "Monodepth2's own licence, for non-commercial use only; its authors cite US patent 11991342 "
    "for the method"
)


def _monodepth2_card(name: str, summary: str, source: str, *, is_stereo: bool = False) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.METRIC if is_stereo else DepthKind.UP_TO_SCALE,
        licence=_LICENCE,
        commercial=False,
        extra="train",
        speed="fast: about 0.1 s",
        loader="monodepth2",
        resizing=INVERSE_RESIZING,
        source=source,
        settings="rilievo.training.adapters.run_models:VideoSettings",
    )


def family_card() -> ModelCard:
    """Card of Monodepth2 in the list of models, which says that a folder is needed."""
    summary = (
        f"depth learned from driving videos; rilievo does not download the weights, so pass a "
        f"folder with {ENCODER} and {DEPTH} as --model"
    )
    return _monodepth2_card(MONODEPTH2, summary, "https://github.com/nianticlabs/monodepth2")


def folder_card(folder: Path) -> ModelCard:
    """Card of the checkpoint in a folder; its depth is metric if it was trained on stereo pairs."""
    with explain_missing_extra(f"model '{printable(folder)}'", "train"):
        from rilievo.training.networks.video.monodepth2_weights import is_depth_metric

    is_stereo = is_depth_metric(folder)
    summary = f"Monodepth2, trained on {'stereo pairs' if is_stereo else 'video alone'}"
    card = _monodepth2_card(str(folder), summary, str(folder), is_stereo=is_stereo)
    file_bytes = sum((folder / name).stat().st_size for name in (ENCODER, DEPTH))
    return replace(card, megabytes=file_bytes / 1e6)


def load(card: ModelCard, options: LoadOptions) -> "TorchModel":
    """Load a checkpoint in torch, and warn on stderr that its licence is non-commercial.

    Raises:
        ModelError: If the card is that of ``family_card``, which has no folder.
    """
    if card.name == MONODEPTH2:
        raise ModelError(
            f"{MONODEPTH2} is not downloaded automatically: unpack a checkpoint from {card.source} "
            f"and pass the folder that contains {ENCODER} and {DEPTH} as the model"
        )

    from rilievo.training.adapters.trained import load_video_in_torch

    warning = f"rilievo: NON-COMMERCIAL LICENCE of {printable(card.name)}: {card.licence}"
    sys.stderr.write(wrap_for_terminal(warning, sys.stderr) + "\n")
    return load_video_in_torch(card, options)
