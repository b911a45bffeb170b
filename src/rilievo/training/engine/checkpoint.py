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
from rilievo.io.files.archives import STORED_RATIO, check_zip_ratio
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import from_json, to_json

_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
"""Names of what Adam remembers for each weight."""
_MAX_NUMBER = 1e9
"""Bound of learning rates and step counts; larger ones come from a broken file."""


@dataclass(slots=True, kw_only=True)
class RunState:
    """Counts of a run; each kind of training adds its own.

    Attributes:
        step: Number of steps that are done.
        seconds: Time that the steps took, without interruptions of the run [s].
        cpu_seconds: CPU time that they took, over all threads [s].
        logs: Texts of the log files at the checkpoint, by file name.
        row: Losses of the steps since the last row of the log, by name.
        row_began: ``seconds`` at that row.
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
    """Object whose state a checkpoint stores."""

    def state_dict(self) -> Mapping[str, Any]:
        """State that ``load_state_dict`` takes."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Restore a state."""
        ...


def save_checkpoint(
    path: Path, state: RunState, parts: Mapping[str, Stateful], *, fingerprint: str
) -> None:
    """Write a checkpoint of the counts and the parts of a run, such as networks and optimizers.

    ``fingerprint`` is a digest of all that a run has to have in common with its checkpoint.

    Raises:
        OutputError: If the file cannot be written.
    """
    entries = {name: part.state_dict() for name, part in parts.items()}
    # torch, writing to a full disk, ends the process from a destructor; a buffer does not.
    buffer = BytesIO()
    torch.save({"fingerprint": fingerprint, "state": to_json(state), **entries}, buffer)
    with replacing(path) as part:
        # Not ``getbuffer``: Python 3.13 reports a view that outlives a failed write as an error.
        part.write_bytes(buffer.getvalue())


def load_checkpoint(
    path: Path, kind: type[State], parts: Mapping[str, Stateful], *, fingerprint: str
) -> State:
    """Restore the parts of a run from a checkpoint, and return its counts, which are a ``kind``.

    Raises:
        InputError: If the file is no checkpoint, or that of another run.
    """
    check_regular(path)
    try:
        check_zip_ratio(path, most_ratio=STORED_RATIO)
        entries = torch.load(path, map_location="cpu", weights_only=True)
        stored_fingerprint = entries.get("fingerprint")
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: is no checkpoint ({reason(error)}): take it away to train anew"
        ) from error
    if stored_fingerprint != fingerprint:
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
    """Load the state of an optimizer, and check it, since torch accepts anything.

    Raises:
        ValueError: If it is that of another optimizer.
    """
    settings = [_settings_except_rate(group) for group in optimizer.param_groups]
    # Whether updates are fused depends on the device of this run.
    fused = {"fused": optimizer.defaults.get("fused")}
    groups = [{**group, **fused} for group in stored["param_groups"]]
    optimizer.load_state_dict({**stored, "param_groups": groups})

    if [_settings_except_rate(group) for group in optimizer.param_groups] != settings:
        raise ValueError("its optimizer has other settings")
    if not all(0 <= float(group["lr"]) < _MAX_NUMBER for group in optimizer.param_groups):
        raise ValueError("its learning rate is none")
    for weight, state in optimizer.state.items():
        _check_adam_state(state, weight.shape)


def _settings_except_rate(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "lr")}


def _check_adam_state(state: Mapping[str, Any], weight_shape: torch.Size) -> None:
    """Check what an optimizer remembers for one weight; nothing is fine too."""
    for name, value in state.items():
        shape = torch.Size() if name == "step" else weight_shape
        is_known = name in _ADAM_STATE and isinstance(value, Tensor)
        if not is_known or value.shape != shape:
            raise ValueError(f"its optimizer has a '{name}' that fits no weight")
        if name == "step" and not 0 <= value.item() < _MAX_NUMBER:
            raise ValueError("its optimizer has done a number of steps that is none")
    if state and len(state) < len(_ADAM_STATE):
        raise ValueError("its optimizer lacks some moments")


def save_weights(network: nn.Module, path: Path, facts: dict[str, str] | None = None) -> None:
    """Write the weights of a network as safetensors, with ``facts`` as metadata."""
    save_tensors(network.state_dict(), path, facts)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, facts: dict[str, str] | None = None
) -> None:
    """Write tensors by name as safetensors, with ``facts`` as metadata."""
    with needing("training", "train"):
        from safetensors.torch import save
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(state, metadata=facts)
    with replacing(path) as part:
        part.write_bytes(content)
