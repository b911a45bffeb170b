"""``python -m rilievo.train``: what a user gets wrong is said in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from rilievo.errors import OptionError
from rilievo.train.__main__ import main


def test_an_unknown_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no recipe 'smal'; did you mean 'small'"):
        main("smal", shards=tmp_path, output=tmp_path / "run")


def test_a_folder_without_shards_ends_the_command_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rilievo.train", "small", "--shards", str(tmp_path)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "run"), "--steps", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: {tmp_path}: no shard-*.npz with frames to train on; render some first\n"
    )
