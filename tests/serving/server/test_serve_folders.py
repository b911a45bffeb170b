"""Folders of servers and requests: bounded, removed, and swept after a kill."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock

from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.request_files import (
    PREFIX,
    Disk,
    Folders,
    remove_dead_folders,
    server_folder,
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(parent: Path, name: str, *, age: float = 0.0, lock: bool = True) -> Path:
    """A folder as a killed server leaves it."""
    folder = parent / (PREFIX + name)
    (folder / "request").mkdir(parents=True)
    (folder / "request/photo.npz").write_bytes(b"secret")
    if lock:
        (folder / "lock").touch()
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


def test_a_server_removes_its_own_folder_and_those_of_killed_ones(temporary: Path) -> None:
    killed, old = left(temporary, "a"), left(temporary, "b", lock=False, age=3600)
    with server_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
        assert not killed.exists()
        assert not old.exists()
    assert list(temporary.iterdir()) == []


def test_servers_that_run_or_begin_keep_their_folders(temporary: Path) -> None:
    running, beginning = left(temporary, "a"), left(temporary, "b", lock=False)
    with FileLock(running / "lock"):
        assert remove_dead_folders(temporary) == []
    assert beginning.exists()
    with server_folder() as folder:
        assert remove_dead_folders(temporary) == []
        assert folder.exists()


def test_what_is_no_folder_of_a_server_stays(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "photographs"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").touch()
    assert remove_dead_folders(temporary) == []
    assert elsewhere.exists()


def test_the_disk_is_bounded_for_all_and_for_each() -> None:
    disk = Disk(1000)
    disk.reserve("a", 400)
    with pytest.raises(Refusal) as error:
        disk.reserve("a", 200)
    assert error.value.status == 429
    disk.reserve("b", 400)
    with pytest.raises(Refusal):
        disk.reserve("c", 300)
    disk.reserve("c", 200)
    disk.reserve("a", -400)
    assert disk.reserved_bytes == 600
    with pytest.raises(Refusal) as error:
        disk.reserve("d", 501)
    assert error.value.status == 413


def test_a_folder_of_a_request_gives_its_bytes_back_once(tmp_path: Path) -> None:
    disk = Disk(1000)
    folder = Folders(tmp_path, disk).make("a")
    folder.set_reserved_bytes(300)
    folder.set_reserved_bytes(100)
    assert disk.reserved_bytes == 100
    (folder.path / "file").touch()
    folder.remove()
    folder.remove()
    assert disk.reserved_bytes == 0
    assert list(tmp_path.iterdir()) == []
