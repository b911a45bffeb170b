"""Intrinsics from small files: the forms that are read, and what is no camera."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.io.cameras.lens_files import read_K

K = np.array([[50.0, 0, 24], [0, 51, 18], [0, 0, 1]])


@pytest.mark.parametrize("text", ["50 51 24 18", "50,51,24,18\n", "50 0 24\n0 51 18\n0 0 1\n"])
def test_four_numbers_and_nine_are_the_same_camera(text: str, tmp_path: Path) -> None:
    (tmp_path / "K.txt").write_text(text)
    np.testing.assert_array_equal(read_K(tmp_path / "K.txt"), K)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50 51 nan 18", "cx is nan"),
        ("-50 51 24 18", "focal lengths must be positive"),
        ("50 0 24 0 51 18 0 0 2", r"K must be \[\[fx"),
        ("50 51 24", "got 3"),
        ("fifty", "not a list of numbers"),
    ],
)
def test_what_is_no_camera_is_refused_with_the_file(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "K.txt").write_text(text)
    with pytest.raises(InputError, match=rf"K\.txt: .*{words}"):
        read_K(tmp_path / "K.txt")
