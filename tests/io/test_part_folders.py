"""Folders, too, are whole or not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rilievo.errors import OutputError
from rilievo.io.files.atomic import random_part_path, replacing_folder, sweep_parts


def fill(path: Path, *, fail: bool = False) -> None:
    with replacing_folder(path) as part:
        (part / "0.txt").write_text("new")
        if fail:
            raise KeyboardInterrupt


def test_a_folder_appears_whole_and_takes_the_place_of_the_old(tmp_path: Path) -> None:
    old = tmp_path / "frames"
    old.mkdir()
    (old / "9.txt").write_text("old")
    fill(old)
    assert [file.name for file in old.iterdir()] == ["0.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["frames"]


def test_an_interruption_leaves_the_old_folder(tmp_path: Path) -> None:
    old = tmp_path / "frames"
    old.mkdir()
    (old / "9.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fill(old, fail=True)
    assert [file.name for file in old.iterdir()] == ["9.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["frames"]


def test_a_file_of_that_name_is_one_line_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "frames"
    file.write_text("mine")
    with pytest.raises(OutputError) as caught:
        fill(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert file.read_text() == "mine"


def test_what_a_dead_process_left_is_swept_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    left = tmp_path / f".clip.frames.{dead}-0.rilievo-part"
    left.mkdir()
    (left / "0.txt").write_text("half")
    mine = random_part_path(tmp_path / "frames")
    mine.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.txt").write_text("keep")
    os.symlink(outside, tmp_path / f".link.{dead}-0.rilievo-part")
    assert sweep_parts(tmp_path) == [left]
    assert mine.is_dir()
    assert (outside / "keep.txt").exists()
