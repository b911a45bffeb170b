"""Checkpoints: the state of a run, written atomically."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rilievo.errors import InputError, needing
from rilievo.io.files.archives import STORED, check_zip_ratio
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import from_json, to_json

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_MOST = 1e9


@dataclass(slots=True, kw_only=True)
class RunState:
    """Counts of a run, which a kind of training extends.

    Attributes:
        seconds: Time of steps, interruptions not counted.
        cpu_seconds: CPU time of steps by all threads.
        row: Losses since the last row of the log.
    """

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    logs: Mapping[str, str] = field(default_factory=dict)
    row: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    row_began: float = 0.0


State = TypeVar("State", bound=RunState)


@runtime_checkable
class Stateful(Protocol):
    """Part of a checkpoint."""

    def state_dict(self) -> Mapping[str, Any]:
        """State of the part."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take over a state."""
        ...


def save_checkpoint(
    path: Path, state: RunState, parts: Mapping[str, Stateful], *, fingerprint: str
) -> None:
    """Write a run's state; ``fingerprint`` digests what resuming runs have in common."""
    entries = {name: part.state_dict() for name, part in parts.items()}
    # torch, writing to a full disk, ends the process from a destructor; a buffer does not.
    buffer = BytesIO()
    torch.save({"fingerprint": fingerprint, "state": to_json(state), **entries}, buffer)
    with replacing(path) as part:
        # No view of it: one that outlives a failed write is told as an error by Python 3.13.
        part.write_bytes(buffer.getvalue())


def load_checkpoint(
    path: Path, kind: type[State], parts: Mapping[str, Stateful], *, fingerprint: str
) -> State:
    """Restore the parts of a run, and return its counts."""
    check_regular(path)
    try:
        check_zip_ratio(path, most_ratio=STORED)
        entries = torch.load(path, map_location="cpu", weights_only=True)
        written_by = entries.get("fingerprint")
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: is no checkpoint ({reason(error)}): take it away to train anew"
        ) from error
    if written_by != fingerprint:
        raise InputError(
            f"{printable(path)}: was written with another configuration, version or number of "
            "processes: go on with the same, or train into another folder"
        )
    try:
        state = from_json(kind, entries["state"])
        for name, part in parts.items():
            if isinstance(part, Optimizer):
                _load_optimizer(part, entries[name])
            else:
                part.load_state_dict(entries[name])
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{printable(path)}: is a checkpoint of another network or version: {reason(error)}"
        ) from error
    return state


def _load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Load and check moments and rates, of which torch accepts any."""
    before = [_settings_but_rate(group) for group in optimizer.param_groups]
    own = {"fused": optimizer.defaults.get("fused")}
    optimizer.load_state_dict(
        {**stored, "param_groups": [{**group, **own} for group in stored["param_groups"]]}
    )
    if [_settings_but_rate(group) for group in optimizer.param_groups] != before:
        raise ValueError("its optimizer has other settings")
    if not all(0 <= float(group["lr"]) < _MOST for group in optimizer.param_groups):
        raise ValueError("its learning rate is none")
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            shape = torch.Size() if name == "step" else parameter.shape
            if (
                name not in _MOMENTS
                or not isinstance(moment, torch.Tensor)
                or moment.shape != shape
            ):
                raise ValueError(f"its optimizer has a '{name}' that fits no weight")
            if name == "step" and not 0 <= moment.item() < _MOST:
                raise ValueError("its optimizer has done a number of steps that is none")
        if moments and len(moments) < len(_MOMENTS):
            raise ValueError("its optimizer lacks some moments")


def _settings_but_rate(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "lr")}


def save_weights(network: nn.Module, path: Path, facts: dict[str, str] | None = None) -> None:
    """Write learned weights and facts as safetensors."""
    save_tensors(network.state_dict(), path, facts)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, facts: dict[str, str] | None = None
) -> None:
    """Write tensors by their names, and facts, as safetensors."""
    with needing("training", "train"):
        from safetensors.torch import save
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(state, metadata=facts)
    with replacing(path) as part:
        part.write_bytes(content)
