"""``python -m lab.making`` that is stopped from outside."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.making import command
from rilievo.training.engine import loop

STEPS = 2


def stop_in_step(shards: str, run: str) -> None:
    """Run the command until SIGTERM comes within a step; Ctrl-C is ignored, as under nohup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take = loop.TrainingLoop._take_step

    def disturbed(self: Any, batches: Any) -> Any:
        if self._task.state.step + 1 == STEPS:
            signal.raise_signal(signal.SIGTERM)
        return take(self, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "_take_step", disturbed)
        given = ["small-rendered", "--shards", shards, "-o", run, "--steps", "9"]
        patch.setattr("sys.argv", ["making", *given, "--threads", "1", "--device", "cpu"])
        sys.exit(command.run())


@pytest.mark.slow
def test_a_run_that_is_terminated_keeps_its_last_step(shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    call = f"stop_in_step({str(shards)!r}, {str(run)!r})"
    stopped = subprocess.run(
        [sys.executable, "-c", f"import test_making_stopped; test_making_stopped.{call}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert f"stopped at step {STEPS}; --resume continues from step {STEPS}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    state = json.loads(torch.load(run / "checkpoint.pt", weights_only=True)["state"])
    assert state["step"] == STEPS
