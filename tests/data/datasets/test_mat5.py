"""MATLAB files of version 5, read by SciPy in a process of its own."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from rilievo.data.datasets import mat_file
from rilievo.data.datasets.mat_file import read_mat
from rilievo.errors import InputError


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_texts_cells_and_structs_are_read(tmp_path: Path, compressed: bool) -> None:
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = "SUNRGBD/kv1/NYU0001", np.arange(6.0).reshape(2, 3)
    written = {"n": np.arange(24, dtype=np.int16).reshape(2, 3, 4), "cell": cell}
    savemat(tmp_path / "a.mat", {**written, "data": {"K": np.eye(3)}}, do_compression=compressed)
    found = read_mat(tmp_path / "a.mat")
    assert sorted(found) == ["cell", "data", "n"]
    np.testing.assert_array_equal(found["n"], written["n"])
    assert str(found["cell"][0, 0].item()) == "SUNRGBD/kv1/NYU0001"
    np.testing.assert_array_equal(found["cell"][0, 1], cell[0, 1])
    np.testing.assert_array_equal(found["data"]["K"].item(), np.eye(3))


def test_a_file_that_ends_the_reader_is_refused_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savemat(tmp_path / "a.mat", {"x": np.eye(2)})
    read_mat(tmp_path / "a.mat")
    child = mat_file._SCIPY._child
    assert child is not None
    child.kill()
    child.wait()
    with monkeypatch.context() as during:
        during.setattr(child, "poll", lambda: None)  # it ends after it was asked
        with pytest.raises(InputError, match=r"a\.mat: this MATLAB file is damaged"):
            read_mat(tmp_path / "a.mat")
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat")["x"], np.eye(2))
    child = mat_file._SCIPY._child
    assert child is not None
    child.kill()
    child.wait()
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat")["x"], np.eye(2))


def test_what_is_no_matlab_file_is_refused(tmp_path: Path) -> None:
    for content in (b"MATLAB", b"not a MATLAB file" * 20):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.mat: this MATLAB file is"):
            read_mat(tmp_path / "a.mat")
