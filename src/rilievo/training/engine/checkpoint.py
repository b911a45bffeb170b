"""Checkpoints: the state of a run, written atomically."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rilievo.errors import InputError, explain_missing_extra
from rilievo.io.files.atomic import write_bytes
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import from_json, to_json
from rilievo.training.networks.torch_files import load_torch_file

_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
"""Names of Adam's state for each weight: its step count and two moments."""
_MAX_PLAUSIBLE_VALUE = 1e9
"""Bound of learning rates and step counts; larger ones come from a broken file."""


@dataclass(slots=True, kw_only=True)
class RunState:
    """Counts of a run; each kind of training adds its own.

    Attributes:
        seconds: Time that the steps took, without interruptions of the run [s].
        cpu_seconds: CPU time that they took, over all threads [s].
        logs: Texts of the log files at the checkpoint, by file name.
        row: Losses of the steps since the last row of the log, by name.
        row_began: ``seconds`` at the last row of the log.
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
    path: Path, state: RunState, stateful_by_name: Mapping[str, Stateful], *, fingerprint: str
) -> None:
    """Write a checkpoint of the counts and the parts of a run, such as networks and optimizers.

    ``fingerprint`` is a digest of all that a run has to have in common with its checkpoint.

    Raises:
        OutputError: If the file cannot be written.
    """
    entries = {name: part.state_dict() for name, part in stateful_by_name.items()}
    # If torch wrote to the file itself, a full disk would end the process from a destructor.
    buffer = BytesIO()
    torch.save({"fingerprint": fingerprint, "state": to_json(state), **entries}, buffer)
    # Not ``getbuffer``: Python 3.13 reports a view that outlives a failed write as an error.
    write_bytes(path, buffer.getvalue())


def load_checkpoint(
    path: Path,
    state_class: type[State],
    stateful_by_name: Mapping[str, Stateful],
    *,
    fingerprint: str,
) -> State:
    """Restore the parts of a run from a checkpoint, and return its counts.

    Raises:
        InputError: If the file is not a checkpoint, or that of another run.
    """
    check_regular(path)
    try:
        entries = load_torch_file(path)
        stored_fingerprint = entries.get("fingerprint")
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: is not a valid checkpoint ({reason(error)}): delete it to restart "
            "training"
        ) from error
    if stored_fingerprint != fingerprint:
        raise InputError(
            f"{printable(path)}: was written with a different configuration, version or number of "
            "processes: resume with the same ones, or train in another folder"
        )
    try:
        state = from_json(state_class, entries["state"])
        for name, part in stateful_by_name.items():
            if isinstance(part, Optimizer):
                _load_optimizer(part, entries[name])
            else:
                part.load_state_dict(entries[name])
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{printable(path)}: is a checkpoint of a different network or version "
            f"({reason(error)}): delete it to restart training"
        ) from error
    return state


def _load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Load the state of an optimizer; ``ValueError`` if it belongs to another one."""
    expected_settings = [_settings_except_rate(group) for group in optimizer.param_groups]
    # Whether updates are fused depends on the device of this run, not of the stored one.
    is_fused = optimizer.defaults.get("fused")
    groups = [{**group, "fused": is_fused} for group in stored["param_groups"]]
    optimizer.load_state_dict({**stored, "param_groups": groups})

    # torch itself accepts any settings and values, so they are compared after loading.
    loaded_settings = [_settings_except_rate(group) for group in optimizer.param_groups]
    if loaded_settings != expected_settings:
        raise ValueError("its optimizer has different settings")
    for group in optimizer.param_groups:
        if not 0 <= float(group["lr"]) < _MAX_PLAUSIBLE_VALUE:
            raise ValueError(f"its learning rate is {group['lr']}, which is not plausible")
    for weight, state in optimizer.state.items():
        _check_adam_state(state, weight.shape)


def _settings_except_rate(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "lr")}


def _check_adam_state(state: Mapping[str, Any], weight_shape: torch.Size) -> None:
    """Check Adam's state for one weight; an empty state is valid, before the first step."""
    if not state:
        return
    for name, value in state.items():
        expected_shape = torch.Size() if name == "step" else weight_shape
        is_known = name in _ADAM_STATE and isinstance(value, Tensor)
        if not is_known or value.shape != expected_shape:
            raise ValueError(f"the entry '{name}' of its optimizer does not match its weight")
        if name == "step" and not 0 <= value.item() < _MAX_PLAUSIBLE_VALUE:
            raise ValueError(
                f"its optimizer has taken {value.item()} steps, which is not plausible"
            )
    if not all(name in state for name in _ADAM_STATE):
        raise ValueError("the state of its optimizer is incomplete")


def save_weights(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write the weights of a network as safetensors."""
    save_tensors(network.state_dict(), path, metadata)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors by name as safetensors."""
    with explain_missing_extra("training", "train"):
        from safetensors.torch import save
    cpu_tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(cpu_tensors, metadata=metadata)
    write_bytes(path, content)
