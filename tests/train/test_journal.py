"""Logs of a run: rows after the last checkpoint go, and what a power cut took comes back."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from rilievo.train.journal import Journal, stored_logs


@dataclass(frozen=True)
class Row:
    step: int
    loss: float


def journal(run: Path, *, step: int = 0, kept: dict[str, str] | None = None) -> Journal:
    return Journal(
        run, ("log.csv", "more.csv"), step=step, tensorboard=False, extra="probe", kept=kept
    )


def written(run: Path, steps: int) -> Journal:
    log = journal(run)
    for step in range(1, steps + 1):
        log.write("log.csv", "train", Row(step=step, loss=0.5))
    return log


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, None])
def test_a_resumed_run_begins_with_the_logs_of_its_checkpoint(
    tmp_path: Path, damage: bytes | None
) -> None:
    log = written(tmp_path, 2)
    kept = log.texts()
    assert kept == {"log.csv": "step,loss\n1,0.5\n2,0.5\n"}
    log.write("log.csv", "train", Row(step=3, loss=0.5))
    log.write("more.csv", "train", Row(step=3, loss=0.5))
    if damage is None:
        (tmp_path / "log.csv").unlink()
    else:
        (tmp_path / "log.csv").write_bytes(damage)
    journal(tmp_path, step=2, kept=kept)
    assert (tmp_path / "log.csv").read_text() == kept["log.csv"]
    assert not (tmp_path / "more.csv").exists()


def test_without_the_logs_of_a_checkpoint_later_rows_are_deleted(tmp_path: Path) -> None:
    written(tmp_path, 3)
    journal(tmp_path, step=2)
    assert (tmp_path / "log.csv").read_text() == "step,loss\n1,0.5\n2,0.5\n"


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


@pytest.mark.parametrize("entry", [1, ["a"], {"log.csv": 1}, {1: "a"}])
def test_logs_of_a_checkpoint_that_are_no_texts_are_refused(entry: object) -> None:
    with pytest.raises(ValueError, match="no texts"):
        stored_logs(entry)
