"""Interface of training to the engine, and atomic checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rilievo.errors import InputError, needing
from rilievo.errors.messages import Text
from rilievo.io.files.archives import STORED, check_zip_ratio
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import from_json, to_json
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import Journal

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
    with needing("training", "train"):
        from safetensors.torch import save
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    content = save(state, metadata=facts)
    with replacing(path) as part:
        part.write_bytes(content)


Network = TypeVar("Network", bound=nn.Module)


class TrainingTask(ABC, Generic[State, Network]):
    """One kind of training: a network, its batches, losses and validation.

    Attributes:
        learner: Module whose ``forward`` returns numbers by name; ``loss`` is minimised.
        optimizer: Optimizer, whose groups have their full rate as ``initial_lr``.
        images: Images per step, over all processes.
        advice: Remedy for values that are not finite.
        less_memory: Step that memory is too small for, and the remedy.
    """

    learner: Network
    optimizer: Optimizer
    state: State
    images: int
    seed: int
    accumulate: int = 1
    clip_norm: float | None = None
    steps: int | None = None
    checkpoint_steps: int = 500
    advice: str | Text = "lower the learning rate, or choose fp32"
    less_memory: str | Text = "a step: take a smaller batch"

    @abstractmethod
    def batches(self) -> Generator[Any, None, None]:
        """Yield this process's batches from the current step; None for an empty one."""

    @abstractmethod
    def rate_share(self) -> float:
        """Share of the peak learning rate at this step."""

    def group_rate_factor(self, group: int) -> float:
        """Factor of that rate for one group of parameters."""
        return 1.0

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Parts of a checkpoint."""
        return {"learner": self.learner, "optimizer": self.optimizer}

    @property
    def share(self) -> float:
        """Share of the run that is done."""
        return self.state.step / self.steps if self.steps else 0.0

    @property
    def is_over(self) -> bool:
        """Whether the run ends."""
        return self.share >= 1

    def log_columns(self) -> dict[str, float]:
        """Columns beside the step in logs."""
        return {}

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Prepare the first step; True if it has to be saved."""
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """Do what follows a step; ``loss`` is None for empty batches."""

    def is_validation_due(self) -> bool:
        """Whether a validation follows."""
        return False

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score images held out."""

    def end(self, log: Journal, progress: Progress) -> bool:
        """Do what follows the last step; True if it has to be saved."""
        return False

    def after_checkpoint(self) -> None:
        """Do what follows a checkpoint."""


def parameter_groups(*parts: tuple[nn.Module, float]) -> list[dict[str, Any]]:
    """Groups of an optimizer, with their full rates."""
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in parts
    ]


def fused_option(device: torch.device) -> bool | None:
    """True on a CPU, where fused updates are quick, else None."""
    return True if device.type == "cpu" else None


def check_finite(what: str, *values: Tensor) -> None:
    """Refuse values that are not finite.

    Raises:
        FloatingPointError: If one is not.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in values):
        raise FloatingPointError(f"the {what} is not finite")
