"""Checkpoints: the state of a run on disk. Writes are atomic."""

from collections import OrderedDict
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from rilievo.errors import InputError, MissingExtraError
from rilievo.io.atomic import replacing
from rilievo.io.limits import check_regular, printable, reason
from rilievo.train.journal import stored_logs
from rilievo.train.stored_optimizer import load_optimizer

WEIGHTS = "weights.safetensors"
_KINDS = {"learned": OrderedDict, "optimizer": dict, "step": int, "passed_over": list}
_KINDS |= {"cpu_seconds": float, "epoch_losses": list}


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything that changes while a probe is trained.

    Attributes:
        learned: Modules whose weights change: the probe, and a backbone that is tuned.
        optimizer: Optimizer with its moments.
        step: Steps done.
        passed_over: Ids of images without a valid pixel.
        cpu_seconds: CPU time spent in steps, interruptions not counted.
        epoch_losses: Losses of the steps of this epoch so far.
        logs: Texts of the logs by name; None in checkpoints of rilievo 0.1.
    """

    learned: nn.Module
    optimizer: Optimizer
    step: int = 0
    passed_over: set[str] = field(default_factory=set)
    cpu_seconds: float = 0.0
    epoch_losses: list[float] = field(default_factory=list)
    logs: dict[str, str] | None = None


def save_checkpoint(state: RunState, path: Path, *, fingerprint: str) -> None:
    """Write the state; a run killed meanwhile keeps its previous checkpoint.

    Args:
        state: State of the run.
        path: File to write.
        fingerprint: sha256 of the configuration: a checkpoint resumes with the same one only.
    """
    entries = {
        "fingerprint": fingerprint,
        "learned": state.learned.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "passed_over": sorted(state.passed_over),
        "cpu_seconds": state.cpu_seconds,
        "epoch_losses": state.epoch_losses,
        "logs": state.logs,
    }
    # torch's error for a full disk is unintelligible, so torch.save writes to memory first.
    content = BytesIO()
    torch.save(entries, content)
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())


def load_checkpoint(state: RunState, path: Path, *, fingerprint: str) -> None:
    """Restore the state of a run from a checkpoint.

    Raises:
        InputError: If the file is no checkpoint of this run, or its content is inconsistent.
    """
    check_regular(path)
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        written_by = entries["fingerprint"]
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(f"{printable(path)}: is no checkpoint: {reason(error)}") from error
    if written_by != fingerprint:
        raise InputError(
            f"{printable(path)}: was written by a run with another configuration: choose another "
            "folder, or take this one away"
        )
    try:
        for name, kind in _KINDS.items():
            if type(entries[name]) is not kind:
                raise ValueError(f"its {name} is no {kind.__name__}")
        state.learned.load_state_dict(entries["learned"])
        load_optimizer(state.optimizer, entries["optimizer"])
        state.step, state.passed_over = entries["step"], set(map(str, entries["passed_over"]))
        state.cpu_seconds = entries["cpu_seconds"]
        state.epoch_losses = [float(each) for each in entries["epoch_losses"]]
        state.logs = stored_logs(entries.get("logs"))
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{printable(path)}: is a checkpoint of another network or version: {reason(error)}"
        ) from error


def save_weights(learned: nn.Module, path: Path, facts: dict[str, str]) -> None:
    """Write the learned weights as safetensors, with a few facts in the file's header.

    Raises:
        MissingExtraError: If safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ModuleNotFoundError as error:
        raise MissingExtraError("training a probe", "train") from error
    state = {name: each.detach().cpu().contiguous() for name, each in learned.state_dict().items()}
    with replacing(path) as part:
        part.write_bytes(save(state, metadata=facts))
