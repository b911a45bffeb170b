"""Checkpoints: the state of a run on disk. Writes are atomic."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from rilievo.errors import InputError
from rilievo.io.atomic import replacing
from rilievo.networks.small import SmallNet


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything that changes while a network is trained.

    Attributes:
        network: The weights that are trained.
        average: Moving average of the weights, which is validated and exported.
        optimizer: Optimizer with its moments.
        step: Steps done.
        images: Images seen.
        seconds: Time spent, interruptions not counted.
        confident_at: Step after which the confidence of ``average`` was trained; -1 before that.
    """

    network: SmallNet
    average: SmallNet
    optimizer: Optimizer
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    confident_at: int = -1


def save_checkpoint(state: RunState, path: Path) -> None:
    """Write the run's state; a run killed meanwhile keeps its previous checkpoint."""
    entries = {
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "images": state.images,
        "seconds": state.seconds,
        "confident_at": state.confident_at,
    }
    # torch's error for a full disk is unintelligible, so torch.save writes to memory first.
    content = BytesIO()
    torch.save(entries, content)
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())


def load_checkpoint(state: RunState, path: Path) -> None:
    """Restore the state of a run from a checkpoint.

    Raises:
        InputError: If the file is no checkpoint of this network.
    """
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        if _shapes(entries["network"]) != _shapes(state.network.state_dict()):
            raise ValueError("other weights; --resume takes the recipe that the run began with")
        state.network.load_state_dict(entries["network"])
        state.average.load_state_dict(entries["average"])
        state.optimizer.load_state_dict(entries["optimizer"])
        state.step, state.images = entries["step"], entries["images"]
        state.seconds, state.confident_at = entries["seconds"], entries.get("confident_at", -1)
    except Exception as error:  # torch.load raises whatever its unpickler does
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a checkpoint of this network: {first_line}") from error


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}
