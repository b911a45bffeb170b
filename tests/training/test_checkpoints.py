"""Checkpoints that are whole files and lie about what is in them."""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rilievo.errors import InputError, OutputError
from rilievo.io.checksums import FileSum
from rilievo.training.engine.checkpoint import Stateful, load_checkpoint, save_checkpoint
from rilievo.training.probe.probe_task import ProbeState
from rilievo.training.video.schedule import VideoState

STATE = VideoState(step=4, best_error=0.25, best_step=3, logs={"log.csv": "step\n4\n"})
SUMS = {"best/weights.safetensors": FileSum(bytes=1, sha256="0" * 64)}


def parts() -> dict[str, Stateful]:
    learned = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
    learned(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return {"learned": learned, "optimizer": optimizer, "scaler": scaler}


def save(path: Path, state: VideoState = STATE) -> None:
    save_checkpoint(path, state, parts(), fingerprint="f")


def load(path: Path) -> VideoState:
    return load_checkpoint(path, VideoState, parts(), fingerprint="f")


@pytest.mark.parametrize(
    "state",
    [replace(STATE, checksums=SUMS), ProbeState(step=4, skipped_ids=("a/1",), epoch_loss=0.1)],
)
def test_what_was_saved_is_loaded(tmp_path: Path, state: VideoState | ProbeState) -> None:
    one, other = parts(), parts()
    save_checkpoint(tmp_path / "c.pt", state, one, fingerprint="f")
    assert load_checkpoint(tmp_path / "c.pt", type(state), other, fingerprint="f") == state
    for key, tensor in one["learned"].state_dict().items():
        assert torch.equal(other["learned"].state_dict()[key], tensor)


@pytest.mark.parametrize("fused", [True, None])
def test_whether_an_optimizer_is_fused_is_the_choice_of_the_run(
    tmp_path: Path, fused: bool | None
) -> None:
    save(tmp_path / "c.pt")
    mine = parts()
    learned = mine["learned"]
    assert isinstance(learned, nn.Linear)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3, fused=fused)
    load_checkpoint(tmp_path / "c.pt", VideoState, mine | {"optimizer": optimizer}, fingerprint="f")
    assert optimizer.param_groups[0]["fused"] is fused
    before = [each.detach().double() for each in learned.parameters()]
    gradients = [torch.randn_like(each) for each in learned.parameters()]
    for each, gradient in zip(learned.parameters(), gradients, strict=True):
        each.grad = gradient
    moments = [optimizer.state[each] for each in learned.parameters()]
    held = [(each["exp_avg"].double(), each["exp_avg_sq"].double()) for each in moments]
    optimizer.step()
    for each, start, gradient, (mean, square) in zip(
        learned.parameters(), before, gradients, held, strict=True
    ):
        mean = 0.9 * mean + 0.1 * gradient.double()
        square = 0.999 * square + 0.001 * gradient.double().square()
        step = mean / (1 - 0.9**2) / ((square / (1 - 0.999**2)).sqrt() + 1e-8)
        expected = start * (1 - 1e-3 * 0.01) - 1e-3 * step
        torch.testing.assert_close(each.detach().double(), expected, rtol=1e-6, atol=1e-9)


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
    "weights that are bytes": lambda held: held.update(learned=b"x"),
    "counts that are no text": lambda held: held.update(state={"step": 4}),
    **{
        lie: lambda held, lie=lie: held.update(state=lie)
        for lie in (
            "{",
            '{"step": {}}',
            '{"seconds": "1"}',
            '{"best_step": "3"}',
            '{"logs": ["a"]}',
            '{"logs": {"log.csv": 1}}',
            '{"checksums": {"../../.bashrc": {"bytes": 1, "sha256": "' + 64 * "0" + '"}}}',
            '{"checksums": {"best/weights.safetensors": {"bytes": 1, "sha256": "0"}}}',
            '{"checksums": [1]}',
        )
    },
}


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_that_lies_is_refused_in_one_line(tmp_path: Path, lie: str) -> None:
    path = tmp_path / "c.pt"
    save(path)
    held = torch.load(path, weights_only=True)
    LIES[lie](held)
    torch.save(held, path)
    with pytest.raises(InputError, match="is a checkpoint of a different network or version"):
        load(path)


def test_a_disk_that_is_full_is_one_line_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match="larger than the file system allows"):
            save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["c.pt"]


def test_a_checkpoint_that_would_run_code_runs_none(tmp_path: Path) -> None:
    path, marker = tmp_path / "c.pt", tmp_path / "executed"
    path.write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())
    with pytest.raises(InputError, match="is not a valid checkpoint"):
        load(path)
    assert not marker.exists()


def test_a_checkpoint_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="is not a valid checkpoint"):
        load(path)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(InputError, match="is a pipe"):
        load(tmp_path / "c.pt")
