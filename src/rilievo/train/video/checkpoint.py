"""Checkpoints: the state of a run on disk. Writes are atomic."""

import io
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from rilievo.errors import InputError, MissingExtraError
from rilievo.io.atomic import replacing
from rilievo.io.facts import FileSum
from rilievo.io.limits import check_regular, printable, reason
from rilievo.train.journal import stored_logs
from rilievo.train.stored_optimizer import load_optimizer

CHECKPOINT = "checkpoint.pt"
_SUMMED = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = {"learner": OrderedDict, "optimizer": dict, "scaler": dict, "step": int, "skipped": list}
_KINDS |= {"seconds": float, "best": tuple, "warned": list, "planned": int, "stale": int}


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything that changes while a network learns from video.

    Attributes:
        learner: Networks, and the focal lengths where they are refined.
        optimizer: Optimizer with its moments.
        scaler: Scaler of fp16's gradients; has no state in other precisions.
        step: Steps done.
        skipped: One line for each target that was skipped.
        seconds: Time spent in steps, interruptions not counted.
        best_error: Least error on the held-out targets; infinite before the first validation.
        best_step: Step that had this error.
        warned: Kinds of warnings that were given.
        logs: Texts of the logs by name; None in checkpoints of rilievo 0.1.
        sums: Size and sha256 of the best weights and the pictures, as they were written.
        planned: Number of steps that a run of so many minutes takes; 0 before its pace is known.
        stale: Validations since the one with the least error.
    """

    learner: nn.Module
    optimizer: Optimizer
    scaler: Any
    step: int = 0
    skipped: set[str] = field(default_factory=set)
    seconds: float = 0.0
    best_error: float = float("inf")
    best_step: int = 0
    warned: set[str] = field(default_factory=set)
    logs: dict[str, str] | None = None
    sums: dict[str, FileSum] = field(default_factory=dict)
    planned: int = 0
    stale: int = 0


def save_checkpoint(state: RunState, path: Path, *, fingerprint: str) -> None:
    """Write the state; the previous checkpoint stays until the new one is complete.

    Args:
        state: State of the run.
        path: File to write.
        fingerprint: sha256 of the configuration and the number of processes: a checkpoint resumes
            with the same ones only.

    Raises:
        OutputError: If the file cannot be written, as on a full disk.
    """
    entries = {
        "fingerprint": fingerprint,
        "learner": state.learner.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "step": state.step,
        "skipped": sorted(state.skipped),
        "seconds": state.seconds,
        "best": (state.best_error, state.best_step),
        "warned": sorted(state.warned),
        "logs": state.logs,
        "sums": {name: (each.bytes, each.sha256) for name, each in state.sums.items()},
        "planned": state.planned,
        "stale": state.stale,
    }
    # torch, writing to a full disk, ends the process from a destructor; a buffer does not.
    buffer = io.BytesIO()
    torch.save(entries, buffer)
    with replacing(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_checkpoint(state: RunState, path: Path, *, fingerprint: str) -> None:
    """Restore the state of a run from a checkpoint.

    Raises:
        InputError: If the file is no checkpoint of this run.
    """
    check_regular(path)
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        written_by = entries["fingerprint"]
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(f"{printable(path)}: is no checkpoint: {reason(error)}") from error
    if written_by != fingerprint:
        raise InputError(
            f"{printable(path)}: was written with another configuration or another number of "
            "processes: go on with as many, or train into another folder"
        )
    try:
        for name, kind in _KINDS.items():
            if type(entries[name]) is not kind:
                raise ValueError(f"its {name} is no {kind.__name__}")
        state.learner.load_state_dict(entries["learner"])
        load_optimizer(state.optimizer, entries["optimizer"])
        state.scaler.load_state_dict(entries["scaler"])
        state.step, state.skipped = entries["step"], set(map(str, entries["skipped"]))
        state.seconds, state.warned = entries["seconds"], set(map(str, entries["warned"]))
        state.planned, state.stale = entries["planned"], entries["stale"]
        least, step = entries["best"]
        state.best_error, state.best_step = float(least), int(step)
        state.logs = stored_logs(entries.get("logs"))
        state.sums = _stored_sums(entries.get("sums", {}))
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{printable(path)}: is a checkpoint of another network or version: {reason(error)}"
        ) from error


def _stored_sums(entry: Any) -> dict[str, FileSum]:
    sums = {}
    for name, (size, sha256) in entry.items():
        if type(size) is not int or not _SUMMED.fullmatch(name) or not _SHA256.fullmatch(sha256):
            raise ValueError("its sums are of no files of a run")
        sums[name] = FileSum(bytes=size, sha256=sha256)
    return sums


def save_weights(networks: nn.Module, path: Path) -> None:
    """Write the learned weights as safetensors.

    Raises:
        MissingExtraError: If safetensors is not installed.
        OutputError: If the file cannot be written, as on a full disk.
    """
    try:
        from safetensors.torch import save
    except ModuleNotFoundError as error:
        raise MissingExtraError("training on video", "train") from error
    state = {name: each.detach().cpu().contiguous() for name, each in networks.state_dict().items()}
    content = save(state)
    with replacing(path) as part:
        part.write_bytes(content)
