"""MATLAB files of version 5, against SciPy's reader on whole files, and on damaged ones."""

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from rilievo.datasets.mat5 import Mat5File
from rilievo.errors import InputError

CELL = np.empty((2, 2), object)
CELL[0, 0], CELL[1, 0] = "SUNRGBD/kv1/NYU0001", np.arange(6.0).reshape(2, 3)
CELL[0, 1], CELL[1, 1] = np.empty((0, 0)), np.array([["a", "bc"]], dtype=object)
VARIABLES: dict[str, Any] = {
    **{name: np.arange(24).reshape(2, 3, 4).astype(name) for name in ("uint8", "int16", "int64")},
    "single": np.linspace(-1, 1, 7, dtype=np.float32)[:, None],
    "double": np.array([[np.nan, np.inf, -0.5]]),
    "complex": np.array([[1 + 2j, -3j]]),
    "logical": np.array([[True, False, True]]),
    "nothing": np.empty((0, 3)),
    "text": "grüße",
    "rows": np.array(["abc", "de "]),
    "cell": CELL,
    "record": {"K": np.eye(3), "name": "office", "inner": {"deep": np.uint16(7)}},
}


def same(ours: Any, theirs: Any) -> None:
    """Equal in shape and values, however deep."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    if theirs.dtype.names:
        assert ours.dtype.names == theirs.dtype.names
        for name in theirs.dtype.names:
            same(ours[name], theirs[name])
    elif theirs.dtype == object:
        for one, other in zip(ours.ravel(), theirs.ravel(), strict=True):
            same(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("compressed", [True, False])
def test_variables_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, VARIABLES, do_compression=compressed)
    file, theirs = Mat5File(path), loadmat(path)
    assert set(file.names) == set(VARIABLES)
    for name, written in VARIABLES.items():
        same(file.read(name), theirs[name])
        if isinstance(written, np.ndarray) and written.dtype.kind != "U":
            assert file.read(name).dtype == written.dtype


def element(order: str, kind: int, data: bytes) -> bytes:
    """Tag, bytes and padding; up to four bytes in the tag itself."""
    if 0 < len(data) <= 4:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def by_hand(order: str, *variables: bytes) -> bytes:
    mark = struct.pack(order + "HH", 0x0100, 0x4D49)
    return b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + mark + b"".join(variables)


def matrix(order: str, name: bytes, kind: int, shape: tuple[int, ...], *parts: bytes) -> bytes:
    body = element(order, 6, struct.pack(order + "II", kind, 0))
    body += element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape))
    return element(order, 14, body + element(order, 1, name) + b"".join(parts))


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_short_pieces_are_read(tmp_path: Path, order: str) -> None:
    values = element(order, 2, bytes([1, 2, 3]))
    letters = element(order, 17, "aü😀".encode("utf-16-le" if order == "<" else "utf-16-be"))
    path = tmp_path / "a.mat"
    path.write_bytes(
        by_hand(
            order,
            matrix(order, b"n", 6, (3, 1), values),
            matrix(order, b"t", 4, (1, 4), letters),
            matrix(order, b"", 9, (1, 3), values),
        )
    )
    file = Mat5File(path)
    assert file.names == ("n", "t")
    np.testing.assert_array_equal(file.read("n"), np.array([[1.0], [2.0], [3.0]]))
    assert file.read("n").dtype == np.float64
    assert file.read("t").tolist() == ["aü😀"]


def test_only_what_is_asked_for_must_be_of_a_known_class(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    opaque = element("<", 14, element("<", 6, bytes(8)) + element("<", 1, b"table1"))
    one = matrix("<", b"n", 9, (1, 1), element("<", 2, b"\x07"))
    path.write_bytes(by_hand("<", opaque, matrix("<", b"s", 5, (1, 1)), one))
    file = Mat5File(path)
    assert file.names == ("table1", "s", "n")
    assert file.read("n").tolist() == [[7]]
    with pytest.raises(InputError, match=r"a\.mat: 's' is a variable of MATLAB's class 5; numbers"):
        file.read("s")
    with pytest.raises(InputError, match="'table1' is a variable of MATLAB's class 17"):
        file.read("table1")


NUMBERS = element("<", 9, bytes(24))


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        (matrix("<", b"x", 6, (2**30, 2**30), NUMBERS), "24 bytes of type 9 for"),
        (matrix("<", b"x", 6, (-1, 3), NUMBERS), r"of the size \(-1, 3\)"),
        (matrix("<", b"x", 9, (3, 1), NUMBERS), "fractions in an array of whole numbers"),
        (matrix("<", b"x", 1, (2**20, 2**9), NUMBERS), "536870912 values in"),
        (matrix("<", b"x", 1, (1, 1), NUMBERS), "a value of type 9 in a cell"),
        (matrix("<", b"x", 1, (1, 2), matrix("<", b"", 1, (0, 0))), "ends before its values"),
        (matrix("<", b"x", 4, (1, 2), element("<", 4, b"a\0b\0c\0")), "3 letters in a text of 2"),
        (matrix("<", b"x", 6, (3, 1), NUMBERS)[:-8], "is cut short"),
        (element("<", 15, zlib.compress(element("<", 14, bytes(800)))[:12]), "is cut short"),
        (element("<", 15, zlib.compress(element("<", 9, bytes(800)))), "variable of type 9"),
        (element("<", 15, b"no deflated bytes"), "Error -3 while decompressing"),
        (element("<", 9, bytes(8)), "of the unknown type 9"),
    ],
)
def test_counts_that_cannot_be_are_one_line(tmp_path: Path, variable: bytes, words: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(by_hand("<", variable))
    with pytest.raises(InputError, match=words) as caught:
        Mat5File(path).read("x")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_cells_without_end_are_refused(tmp_path: Path) -> None:
    nested = NUMBERS
    for _ in range(40):
        nested = matrix("<", b"x", 1, (1, 1), nested)
    (tmp_path / "a.mat").write_bytes(by_hand("<", nested))
    with pytest.raises(InputError, match="cells within cells, more than 16 deep"):
        Mat5File(tmp_path / "a.mat").read("x")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"n": np.eye(2)}, format="4")
    with pytest.raises(InputError, match=r"is no MATLAB file of version 5 to 7\.3; .*save -v7"):
        Mat5File(path)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="is no MATLAB file"):
        Mat5File(path)


def refusal(path: Path) -> str | None:
    try:
        file = Mat5File(path)
        for name in file.names:
            file.read(name)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("compressed", [True, False])
def test_whatever_byte_is_wrong_the_answer_is_variables_or_one_line(
    tmp_path: Path, compressed: bool
) -> None:
    path, chance = tmp_path / "a.mat", random.Random(1)
    savemat(path, VARIABLES, do_compression=compressed)
    whole, refused = path.read_bytes(), 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] = chance.choice(
            [0, 1, 14, 255, chance.randrange(256)]
        )
        path.write_bytes(damaged)
        reason = refusal(path)
        assert reason is None or (reason.startswith(str(path)) and "\n" not in reason)
        refused += reason is not None
    assert refused > 40
