"""Logs of a run: rows after the last checkpoint go, and what a power cut took comes back."""

import os
from pathlib import Path

import pytest

from rilievo.training.engine.run_folder import Journal


def written(run: Path, steps: int) -> Journal:
    with Journal(run, {}, step=0) as log:
        for step in range(1, steps + 1):
            log.add("log.csv", {"step": step, "loss": 0.5})
    return log


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, None])
def test_a_resumed_run_begins_with_the_logs_of_its_checkpoint(
    tmp_path: Path, damage: bytes | None
) -> None:
    log = written(tmp_path, 2)
    kept = log.texts()
    assert kept == {"log.csv": "step,loss\n1,0.5\n2,0.5\n"}
    log.add("log.csv", {"step": 3, "loss": 0.5})
    log.add("validation.csv", {"step": 3, "loss": 0.5})
    if damage is None:
        (tmp_path / "log.csv").unlink()
    else:
        (tmp_path / "log.csv").write_bytes(damage)
    with Journal(tmp_path, kept, step=2):
        assert (tmp_path / "log.csv").read_text() == kept["log.csv"]
        assert not (tmp_path / "validation.csv").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a system without /proc")
def test_the_name_of_a_new_log_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def listen(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        sync(file)

    monkeypatch.setattr(os, "fsync", listen)
    written(tmp_path, 2)
    log = str(tmp_path / "log.csv")
    assert synced == [log, str(tmp_path), log]
