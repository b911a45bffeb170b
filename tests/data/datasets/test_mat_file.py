"""MATLAB files of both generations, damaged in every way: one line, whatever breaks."""

import random
from pathlib import Path
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from rilievo.data.datasets import mat_file
from rilievo.data.datasets.mat_file import read_mat
from rilievo.errors import InputError

ARRAYS = {"depths": np.arange(60.0).reshape(5, 12), "names": np.array([["a", "bc"]], dtype=object)}


def old(path: Path) -> Path:
    savemat(path, ARRAYS, do_compression=True)
    return path


def new(path: Path) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["depths"] = ARRAYS["depths"].T
        file.create_dataset("packed", data=np.arange(400.0).reshape(20, 20), compression="gzip")
    return path


def refusal(path: Path) -> str | None:
    try:
        read_mat(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("write", [old, new])
def test_variables_come_back_with_matlabs_axes(write, tmp_path: Path) -> None:
    found = read_mat(write(tmp_path / "a.mat"), "depths")
    np.testing.assert_array_equal(found["depths"], ARRAYS["depths"])
    with pytest.raises(
        InputError, match=r"a\.mat: has no variable 'depth'; its variables are: depths"
    ):
        read_mat(tmp_path / "a.mat", "depth")


def test_a_file_that_cannot_be_opened_is_refused_once(tmp_path: Path) -> None:
    path = new(tmp_path / "a.mat")
    path.write_bytes(path.read_bytes()[:600])
    assert str(refusal(path)).count("a.mat") == 1


@pytest.mark.slow
@pytest.mark.parametrize("write", [old, new])
@pytest.mark.filterwarnings("ignore")
def test_whatever_byte_is_wrong_the_answer_is_arrays_or_one_line(write, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat")
    whole, chance = path.read_bytes(), random.Random(0)
    places = list(range(0, len(whole), 7)) if write is old else range(512, len(whole), 11)
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] = chance.choice([0, 255, damaged[place] ^ 1, chance.randrange(256)])
        path.write_bytes(damaged if place % 5 else damaged[:place])
        reason = refusal(path)
        assert reason is None or ("a.mat" in reason and "\n" not in reason)
        refused += reason is not None
    assert refused > 20


def test_an_interrupted_read_leaves_no_answer_to_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("a", 5), ("b", 2)):
        savemat(tmp_path / f"{name}.mat", {"x": np.zeros((size, size))})
    with monkeypatch.context() as interrupted:
        interrupted.setattr(mat_file.pickle, "load", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            read_mat(tmp_path / "a.mat", "x")
    assert read_mat(tmp_path / "b.mat", "x")["x"].shape == (2, 2)
