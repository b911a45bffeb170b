"""Checkpoints of Monodepth2 (Godard et al., ICCV 2019), which users unpack into a folder."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, needing
from rilievo.io.files.names import printable
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.system.terminal import wrap_for_terminal
from rilievo.training.adapters.run_models import AS_INVERSE
from rilievo.training.networks.blueprint import DEPTH, ENCODER

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import TorchModel

MONODEPTH2 = "monodepth2"

_LICENCE = (
    "Monodepth2's own: non-commercial use alone; its authors name US patent 11991342 for the method"
)


def _monodepth2_card(name: str, summary: str, source: str, *, stereo: bool = False) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.METRIC if stereo else DepthKind.UP_TO_SCALE,
        licence=_LICENCE,
        commercial=False,
        extra="train",
        speed="fast: about 0.1 s",
        loader="monodepth2",
        resizing=AS_INVERSE,
        source=source,
        settings="rilievo.training.adapters.run_models:VideoSettings",
    )


def family_card() -> ModelCard:
    """Card of Monodepth2 without a folder."""
    what = f"depth learned from driving; --model FOLDER of its {ENCODER} and {DEPTH}"
    return _monodepth2_card(
        MONODEPTH2, f"{what}, which are not fetched", "https://github.com/nianticlabs/monodepth2"
    )


def folder_card(folder: Path) -> ModelCard:
    """Card of a folder's checkpoint: metric if trained on stereo."""
    with needing(f"model '{printable(folder)}'", "train"):
        from rilievo.training.networks.video.monodepth2_weights import is_depth_metric
    stereo = is_depth_metric(folder)
    summary = f"Monodepth2, learned from {'stereo pairs' if stereo else 'video alone'}"
    size = sum((folder / name).stat().st_size for name in (ENCODER, DEPTH))
    return replace(
        _monodepth2_card(str(folder), summary, str(folder), stereo=stereo), megabytes=size / 1e6
    )


def load(card: ModelCard, options: LoadOptions) -> "TorchModel":
    """Load a checkpoint, and print its licence."""
    if card.name == MONODEPTH2:
        raise ModelError(
            f"{MONODEPTH2} is not fetched: unpack a checkpoint of {card.source} and give its "
            f"folder, the one of {ENCODER} and {DEPTH}"
        )
    from rilievo.training.adapters.trained import load_video_in_torch

    line = f"rilievo: NON-COMMERCIAL LICENCE of {printable(card.name)}: {card.licence}"
    sys.stderr.write(wrap_for_terminal(line, sys.stderr) + "\n")
    return load_video_in_torch(card, options)
