"""Files that replace others with their checksums are all old or all new, also after a kill."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rilievo.errors import InputError, OutputError
from rilievo.io.checksums import (
    CHECKSUMS,
    finish_replacement,
    replacing_with_checksums,
    write_checksums,
)
from rilievo.io.files.atomic import is_part
from rilievo.io.verification import verify
from support.killed_writes import die_at

NAMES = ("evaluation.json", "per_image.csv", "report.html")
OLD = {name: f"old {name}" for name in NAMES}
NEW = {name: f"new {name}, which is longer" for name in NAMES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of finished results."""
    out = tmp_path / "out"
    out.mkdir()
    for name, text in OLD.items():
        (out / name).write_text(text)
    write_checksums(out / CHECKSUMS, NAMES)
    return out


def write_anew(folder: Path, texts: dict[str, str] = NEW) -> None:
    with replacing_with_checksums(folder / CHECKSUMS, NAMES) as parts:
        for name, text in texts.items():
            parts[name].write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in NAMES if (folder / name).exists()}


def test_new_files_and_their_checksums_replace_the_old_ones(folder: Path) -> None:
    write_anew(folder)
    assert contents(folder) == NEW
    assert verify(folder).whole == 3
    assert verify(folder).is_whole
    assert {path.name for path in folder.iterdir()} == {*NAMES, CHECKSUMS}


def test_the_old_files_and_checksums_stay_while_the_new_ones_are_written(folder: Path) -> None:
    with replacing_with_checksums(folder / CHECKSUMS, NAMES) as parts:
        parts[NAMES[0]].write_text("new")
        assert contents(folder) == OLD
        assert verify(folder).is_whole
        (folder / "per_image.csv").write_text("altered by hand")
        assert [Path(fault.file).name for fault in verify(folder).faults] == ["per_image.csv"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize(
    "first", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["first time", "again"]
)
def test_files_are_old_or_new_after_a_kill_at_any_moment(folder: Path, first: bool) -> None:
    if first:
        for path in folder.iterdir():
            path.unlink()
    before = {} if first else OLD
    states: set[str] = set()
    for number in range(1, 100):
        died = die_at(number, folder, lambda: write_anew(folder))
        found = contents(folder)
        assert all(text in (before.get(name), NEW[name]) for name, text in found.items())
        faults = {Path(fault.file).name: fault.what for fault in verify_or_none(folder)}
        if found == before and not (folder / f".{CHECKSUMS}.pending").exists():
            states.add("old")
            assert faults == {}
        elif died and (folder / f".{CHECKSUMS}.pending").exists():
            states.add("between")
            assert [*faults] == [CHECKSUMS]
            assert "did not finish: run its command again" in faults[CHECKSUMS]
        else:
            states.add("new")
            assert found == NEW
            assert faults == {}
        finish_replacement(folder / CHECKSUMS, NAMES)
        assert contents(folder) in (before, NEW)
        assert not verify_or_none(folder)
        if not died:
            break
        write_anew(folder)
        assert contents(folder) == NEW
        assert {path.name for path in folder.iterdir() if not is_part(path.name)} == {
            *NAMES,
            CHECKSUMS,
        }
        # The files of before, for the next moment.
        for path in folder.iterdir():
            path.unlink()
        if not first:
            write_anew(folder, OLD)
    assert not died
    assert states == {"old", "between", "new"}


def verify_or_none(folder: Path) -> tuple[Any, ...]:
    try:
        return verify(folder).faults
    except InputError:  # nothing is there yet
        return ()


@pytest.mark.slow
def test_a_file_that_was_altered_is_found_between_old_and_new(folder: Path) -> None:
    for number in range(1, 100):
        assert die_at(number, folder, lambda: write_anew(folder))
        if (folder / f".{CHECKSUMS}.pending").exists() and contents(folder) != OLD:
            break
    (folder / "per_image.csv").write_text("altered by hand")
    faults = {Path(fault.file).name: fault.what for fault in verify(folder).faults}
    assert sorted(faults) == [CHECKSUMS, "per_image.csv"]
    assert "bytes instead of" in faults["per_image.csv"]


def test_a_file_that_is_not_written_anew_goes(folder: Path) -> None:
    write_anew(folder, {name: NEW[name] for name in NAMES[:2]})
    assert contents(folder) == {name: NEW[name] for name in NAMES[:2]}
    assert verify(folder).is_whole


@pytest.mark.parametrize("error", [KeyboardInterrupt("no"), OutputError("no"), ValueError("no")])
def test_an_error_leaves_the_old_files_and_nothing_else(folder: Path, error: BaseException) -> None:
    def fail() -> None:
        with replacing_with_checksums(folder / CHECKSUMS, NAMES) as parts:
            parts[NAMES[0]].write_text("new")
            raise error

    with pytest.raises(type(error), match="no"):
        fail()
    assert contents(folder) == OLD
    assert {path.name for path in folder.iterdir()} == {*NAMES, CHECKSUMS}


def test_an_error_names_the_file_and_not_its_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "")

    from rilievo.pages.document import write_report_text

    monkeypatch.setattr("rilievo.io.files.atomic.sync_file", full)
    with (
        pytest.raises(OutputError) as raised,
        replacing_with_checksums(folder / CHECKSUMS, NAMES) as parts,
    ):
        write_report_text(parts["report.html"], "new")
    assert str(raised.value).startswith(f"{folder / 'report.html'}: the disk is full")


def test_only_files_of_the_given_names_are_moved_or_removed(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    write_checksums(folder / CHECKSUMS, (*NAMES, "mine.txt"))
    (folder / ".mine.txt.pending").write_text("not mine")
    write_checksums(folder / f".{CHECKSUMS}.pending", NAMES)
    finish_replacement(folder / CHECKSUMS, NAMES)
    assert (folder / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("left", [b"", bytes(300), b"{}", b"[1"])
def test_a_pending_list_without_content_is_dropped(folder: Path, left: bytes) -> None:
    (folder / f".{CHECKSUMS}.pending").write_bytes(left)
    (folder / ".report.html.pending").write_text("half")
    finish_replacement(folder / CHECKSUMS, NAMES)
    assert contents(folder) == OLD
    assert {path.name for path in folder.iterdir()} == {*NAMES, CHECKSUMS}
