"""Texts of camera and depth files that would keep a careless pattern busy for hours."""

import contextlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import RilievoError
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.stored_depth import read_stored_depth
from support.grids import mostly_slow

_LENGTH = 100_000
_MAX_CPU_SECONDS = 5.0  # Each of these texts took more than a minute.
REPEATED = (" ", "\t", "\n", "a", "a ", "1", "1 ", ".", "_", "-", "=\n", "a b: ")


@pytest.mark.parametrize(
    ("repeated", "beginning"),
    mostly_slow(REPEATED, ["", "x =", "fx_color = 5\nP0: 1 0", "extrinsic\n"]),
)
def test_long_texts_of_cameras_are_read_at_once(
    beginning: str, repeated: str, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.txt"
    file.write_text(beginning + repeated * (_LENGTH // len(repeated)) + "!")
    begin = time.process_time()
    with contextlib.suppress(RilievoError):
        read_lens(file)
    assert time.process_time() - begin < _MAX_CPU_SECONDS


@pytest.mark.parametrize(
    ("repeated", "beginning", "name"),
    mostly_slow(REPEATED, ["", "1", "scale: "], ["scale", "range"]),
)
def test_long_texts_beside_depth_are_read_at_once(
    name: str, beginning: str, repeated: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "depth.npy", np.ones((4, 5), np.float32))
    for length in (19_000, _LENGTH):
        text = beginning + repeated * (length // len(repeated)) + "!"
        (tmp_path / "depth.json").write_text(json.dumps({name: text}))
        begin = time.process_time()
        with contextlib.suppress(RilievoError):
            read_stored_depth(tmp_path / "depth.npy")
        assert time.process_time() - begin < _MAX_CPU_SECONDS


def test_signalling_nan_is_no_depth_and_no_warning(tmp_path: Path) -> None:
    values = np.ones((4, 5), np.float32)
    values.view(np.uint32)[1, 2] = 0x7F80_0001  # a NaN that raises the invalid flag in a cast
    np.save(tmp_path / "depth.npy", values)
    (tmp_path / "depth.json").write_text(json.dumps({"unit": "m"}))
    depth = read_stored_depth(tmp_path / "depth.npy").values
    assert np.isnan(depth[1, 2])
    assert np.count_nonzero(np.isfinite(depth)) == 19
