"""Checkpoints that are whole files and lie about what is in them."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rilievo.errors import InputError, OutputError
from rilievo.train.probe.checkpoint import RunState, load_checkpoint, save_checkpoint


def state() -> RunState:
    learned = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
    learned(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return RunState(learned=learned, optimizer=optimizer, step=4, epoch_losses=[0.5])


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    one, other = state(), state()
    save_checkpoint(one, tmp_path / "c.pt", fingerprint="f")
    load_checkpoint(other, tmp_path / "c.pt", fingerprint="f")
    assert (other.step, other.epoch_losses) == (4, [0.5])
    for key, tensor in one.learned.state_dict().items():
        assert torch.equal(other.learned.state_dict()[key], tensor)


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "weights that are none": lambda held: held.update(learned=torch.zeros(3)),
    "weights of another shape": lambda held: held["learned"].update(bias=torch.zeros(5)),
    "an optimizer that is none": lambda held: held.update(optimizer=[1, 2]),
    "moments of another shape": lambda held: held["optimizer"]["state"][0].update(
        exp_avg=torch.zeros(0)
    ),
    "a moment that is no tensor": lambda held: held["optimizer"]["state"][0].update(exp_avg="x"),
    "a moment missing": lambda held: held["optimizer"]["state"][0].pop("exp_avg_sq"),
    "settings of another optimizer": lambda held: held["optimizer"]["param_groups"][0].update(
        amsgrad=True
    ),
    "steps beyond all time": lambda held: held["optimizer"]["state"][0].update(
        step=torch.tensor(-1e30)
    ),
    "no learning rate": lambda held: held["optimizer"]["param_groups"][0].pop("lr"),
    "settings missing": lambda held: held["optimizer"]["param_groups"][0].pop("betas"),
    "steps that are no number": lambda held: held.update(step={}),
    "seconds that are no number": lambda held: held.update(cpu_seconds={"a": 1}),
    "losses that are no numbers": lambda held: held.update(epoch_losses=["x"]),
    "a list of nothing": lambda held: held.update(passed_over=None),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_that_lies_is_refused_in_one_line(tmp_path: Path, lie: str) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(state(), path, fingerprint="f")
    held = torch.load(path, weights_only=True)
    LIES[lie](held)
    torch.save(held, path)
    with pytest.raises(InputError, match="is a checkpoint of another network or version"):
        load_checkpoint(state(), path, fingerprint="f")


def test_a_disk_that_is_full_is_one_line_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(state(), path, fingerprint="f")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match="larger than the file system allows"):
            save_checkpoint(state(), path, fingerprint="g")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["c.pt"]


def test_a_checkpoint_that_would_run_code_runs_none(tmp_path: Path) -> None:
    path, marker = tmp_path / "c.pt", tmp_path / "executed"
    path.write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())
    with pytest.raises(InputError, match="is no checkpoint"):
        load_checkpoint(state(), path, fingerprint="f")
    assert not marker.exists()


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(InputError, match="is a pipe"):
        load_checkpoint(state(), tmp_path / "c.pt", fingerprint="f")
