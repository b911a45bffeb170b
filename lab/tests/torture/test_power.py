"""The campaign's model of a power cut keeps what was synced, and no more."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from lab.torture.leavings import files_of
from lab.torture.power import DIES_AT, JOURNAL, ROOT, Recorder, calls_of, cut

_OLD, _NEW = b"what was there before", b"what was predicted, at some length"
_CUT = {_NEW[:length] for length in range(len(_NEW))}
_ZEROS = {each.ljust(len(_NEW), b"\0") for each in _CUT}

Step = Callable[[Path, Callable[[Path], None]], object]


def write(out: Path, sync: Callable[[Path], None]) -> None:
    (out / "part").write_bytes(_NEW)


def rename(out: Path, sync: Callable[[Path], None]) -> None:
    os.replace(out / "part", out / "x")


def sync_part(out: Path, sync: Callable[[Path], None]) -> None:
    sync(out / "part")


def sync_folder(out: Path, sync: Callable[[Path], None]) -> None:
    sync(out)


def add(out: Path, sync: Callable[[Path], None]) -> None:
    with (out / "x").open("ab") as file:
        file.write(_NEW)


def remove(out: Path, sync: Callable[[Path], None]) -> None:
    (out / "x").unlink()


def _sync(recorder: Recorder, path: Path) -> None:
    recorder.write(recorder.state(str(path)))


def left(base: Path, *steps: Step) -> list[dict[str, bytes]]:
    """Contents after the steps and a cut, over many draws; at first there is an old ``x``."""
    drawn = []
    for seed in range(120):
        out, journal = base / f"out{seed}", base / f"journal{seed}"
        out.mkdir()
        (out / "x").write_bytes(_OLD)
        recorder = Recorder(out, journal)
        recorder.all()
        for step in steps:
            step(out, partial(_sync, recorder))
        cut(out, journal, Random(seed))
        drawn.append(files_of(out))
    return drawn


def test_what_was_synced_before_the_rename_and_its_folder_after_it_is_there(tmp_path: Path) -> None:
    assert left(tmp_path, write, sync_part, rename, sync_folder) == [{"x": _NEW}] * 120


def test_a_rename_whose_folder_was_not_synced_is_done_or_not_done(tmp_path: Path) -> None:
    found = {each["x"] for each in left(tmp_path, write, sync_part, rename)}
    assert found == {_OLD, _NEW}


def test_bytes_that_were_not_synced_may_be_cut_short_or_zeros(tmp_path: Path) -> None:
    found = {each["x"] for each in left(tmp_path, write, rename, sync_folder)}
    assert {_NEW, b"", bytes(len(_NEW))} < found <= {_NEW} | _CUT | _ZEROS
    assert _OLD not in found


def test_what_is_added_to_synced_bytes_leaves_these_as_they_were(tmp_path: Path) -> None:
    found = {each["x"] for each in left(tmp_path, add)}
    assert len(found) > 3
    assert all(each.startswith(_OLD) for each in found)


def test_a_file_that_was_removed_may_be_there_again(tmp_path: Path) -> None:
    assert {each.get("x") for each in left(tmp_path, remove)} == {None, _OLD}
    (tmp_path / "more").mkdir()
    assert left(tmp_path / "more", remove, sync_folder) == [{}] * 120


@pytest.mark.parametrize(("dies_at", "calls"), [(0, 4), (3, 3)])
def test_a_process_is_recorded_and_dies_at_the_call_asked_for(
    tmp_path: Path, dies_at: int, calls: int
) -> None:
    out, journal = tmp_path / "out", tmp_path / "journal"
    out.mkdir()
    Recorder(out, journal).all()
    program = f"""
import os, pathlib
from lab.torture.power import record_this_process
record_this_process()
out = pathlib.Path({str(out)!r})
(out / "x").write_bytes(b"1")
number = os.open(out / "x", os.O_RDONLY)
os.fsync(number)
os.replace(out / "x", out / "y")
number = os.open(out, os.O_RDONLY)
os.fsync(number)
"""
    facts = {ROOT: str(out), JOURNAL: str(journal), DIES_AT: str(dies_at)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | facts,
        cwd=Path(__file__).parents[3],
        start_new_session=True,
        check=False,
    )
    assert ended.returncode == (-signal.SIGKILL if dies_at else 0)
    assert calls_of(journal) == calls
    cut(out, journal, Random(0))
    assert files_of(out) in ([{"y": b"1"}] if not dies_at else [{}, {"x": b"1"}])
