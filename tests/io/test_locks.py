"""Two runs into one folder: each photograph's JSON lists the files of both."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rilievo.errors import OutputError
from rilievo.io.files import commit
from rilievo.io.files.commit import (
    commit_all,
    commit_files,
    hold_lock_or_raise,
    hold_locks,
    lock_path,
    sweep_lock,
)
from rilievo.io.outputs.sidecar import Sidecar, read_sidecar
from rilievo.io.verification import verify
from rilievo.prediction import saving
from rilievo.prediction.saving import save, write_part_files
from rilievo.records.depth_map import DepthKind
from support.predictions import prediction

PATIENCE = 60.0


def listed(folder: Path) -> set[str]:
    return {facts.output for facts in read_sidecar(folder / "photo.json").files}


def test_what_another_run_placed_meanwhile_is_listed_too(tmp_path: Path) -> None:
    first = write_part_files(prediction(), tmp_path / "photo", ["npz"])
    second = write_part_files(prediction(), tmp_path / "photo", ["png16", "ply"])
    third = write_part_files(prediction(), tmp_path / "photo", ["npz", "colour"])
    for each in (first, second, third):
        commit_files(each)
    assert listed(tmp_path) == {"npz", "png16", "ply", "colour"}
    found = verify(tmp_path)
    assert (found.whole, found.faults) == (4, ())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_another_prediction_that_was_placed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    first = write_part_files(prediction(), tmp_path / "photo", ["npz"])
    other = write_part_files(prediction(kind=DepthKind.UP_TO_SCALE), tmp_path / "photo", ["png16"])
    commit_files(first)
    whole = (tmp_path / "photo.json").read_bytes()
    with pytest.raises(OutputError, match=r"photo\.json .*a different photograph"):
        commit_files(other)
    assert (tmp_path / "photo.json").read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"photo.json", "photo.npz"}


def test_files_that_are_placed_while_the_record_is_read_refuse_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = tmp_path / "photo"
    other = write_part_files(prediction(), stem, ["png16"])
    earlier_sidecar = saving.earlier_sidecar

    def slow(*arguments: Any) -> Sidecar | None:
        sidecar = earlier_sidecar(*arguments)
        monkeypatch.setattr(saving, "earlier_sidecar", earlier_sidecar)
        commit_files(other)
        return sidecar

    monkeypatch.setattr(saving, "earlier_sidecar", slow)
    save(prediction(), stem, ["npz"])
    assert listed(tmp_path) == {"npz", "png16"}


def test_runs_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    formats = ("npz", "png16", "ply", "colour", "npy", "tiff")
    for number in range(5):
        stem, start = tmp_path / str(number) / "photo", threading.Barrier(len(formats))

        def run(name: str, stem: Path = stem, start: threading.Barrier = start) -> None:
            found = prediction()
            start.wait(PATIENCE)
            save(found, stem, [name])

        with ThreadPoolExecutor(len(formats)) as pool:
            list(pool.map(run, formats))
        assert listed(stem.parent) == {*formats}
        assert {path.suffix for path in stem.parent.iterdir()} >= {".json", ".npz", ".ply"}
        assert not [path for path in stem.parent.iterdir() if path.name.startswith(".")]


def test_more_sets_than_locks_are_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_MAX_LOCKS", 2)
    sets = [write_part_files(prediction(), tmp_path / str(number), ["npz"]) for number in range(5)]
    assert commit_all(sets) == [None] * 5
    assert verify(tmp_path).whole == 5


_HOLDER = """
import sys, pathlib
from rilievo.io.files.commit import hold_locks
with hold_locks([pathlib.Path(sys.argv[1])]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be removed there")
def test_a_killed_process_leaves_a_file_and_no_lock(tmp_path: Path) -> None:
    record = tmp_path / "photo.json"
    path = lock_path(record)
    command = [sys.executable, "-c", _HOLDER, str(record)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        sweep_lock(record)
        assert path.exists(), "a lock that is held is not swept"
        holder.kill()
        holder.wait(PATIENCE)
    assert path.exists()
    with hold_locks([record, record]):
        assert path.exists()
    assert not path.exists()
    path.touch()
    sweep_lock(record)
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_where_no_lock_can_be_made_is_refused_in_a_line(tmp_path: Path) -> None:
    parts = write_part_files(prediction(), tmp_path / "photo", ["npz"])
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="no permission"):
            commit_files(parts)
    finally:
        tmp_path.chmod(0o755)


def test_a_lock_that_is_held_alone_refuses_the_next_one_at_once(tmp_path: Path) -> None:
    record = tmp_path / "run"
    path = lock_path(record)
    with hold_lock_or_raise(record, "busy"):
        with pytest.raises(OutputError, match=r"^busy$"), hold_lock_or_raise(record, "busy"):
            pytest.fail("held twice")
        assert path.exists()
    assert not path.exists()
    with hold_lock_or_raise(record, "busy"):
        pass


def test_nothing_is_held_alone_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with hold_lock_or_raise(tmp_path / "run", "busy"):
        assert not list(tmp_path.iterdir())


def test_a_lock_in_a_folder_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "run"
    with pytest.raises(FileNotFoundError), hold_lock_or_raise(missing, "busy"):
        pytest.fail("held nowhere")
