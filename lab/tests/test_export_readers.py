"""The matrix of readers is red where it has to be, and the documentation names its releases."""

import re
from pathlib import Path

import numpy as np
import pytest

from lab.prove.readers import matrix, releases
from lab.prove.readers.exports import KINDS, Export
from lab.prove.readers.matrix import difference, rows_of
from lab.prove.readers.releases import Reader, read_readers, releases_of
from rilievo.errors import RilievoError

ROOT = Path(__file__).parents[2]
READER = Reader(
    name="numpy",
    function="numpy",
    package="numpy",
    licence="BSD-3-Clause",
    kinds=("arrays",),
    oldest="1.0",
    newest="2.0",
)
VALUES = np.array([1.0, 2.0, np.nan])


def rows_where_releases_say(
    monkeypatch: pytest.MonkeyPatch, *values: np.ndarray, precision: float | None = None
) -> list[matrix.Row]:
    said = iter(values)
    monkeypatch.setattr(matrix, "make_environment", lambda *_: Path("python"))
    monkeypatch.setattr(matrix, "version_in", lambda *_: "1.0")
    monkeypatch.setattr(
        matrix, "read_by", lambda *_: {"arrays/npy/values": next(said), "arrays/npy/": np.zeros(0)}
    )
    export = Export(
        path=Path("x.npy"),
        expected={"values": VALUES},
        precision={} if precision is None else {"values": precision},
    )
    return rows_of(READER, {"arrays/npy": export}, Path("environments"), latest=False)


@pytest.mark.parametrize(
    ("oldest", "newest", "precision", "is_red"),
    [
        (VALUES, VALUES, None, False),
        (VALUES, VALUES + 9e-7, None, False),
        (VALUES, VALUES + 3e-6, None, True),
        (VALUES + 9e-5, VALUES + 9e-5, None, False),
        (VALUES + 3e-4, VALUES + 3e-4, None, True),
        (VALUES + 3e-4, VALUES + 3e-4, 1e-3, False),
        (VALUES, VALUES[:2], None, True),
        (VALUES, np.array([1.0, 2.0, 3.0]), None, True),
    ],
)
def test_a_difference_beyond_its_limit_is_red(
    oldest: np.ndarray,
    newest: np.ndarray,
    precision: float | None,
    is_red: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [row] = rows_where_releases_say(monkeypatch, oldest, newest, precision=precision)
    assert row.is_red == is_red


def test_a_release_that_cannot_be_installed_is_red_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RilievoError("cannot be installed: no such release")

    monkeypatch.setattr(releases, "_run", fail)
    export = Export(path=Path("x.npy"), expected={"values": VALUES})
    [row] = rows_of(READER, {"arrays/npy": export}, tmp_path, latest=False)
    assert row.is_red
    assert "numpy 1.0: cannot be installed" in row.fault
    assert "numpy 2.0: cannot be installed" in row.fault


def test_a_difference_is_relative_above_1() -> None:
    assert difference(np.array([1000.0]), np.array([1001.0])) == pytest.approx(1 / 1001)
    assert difference(np.array([0.0]), np.array([0.5])) == 0.5


def test_each_kind_of_export_has_a_reader_and_each_reader_two_releases() -> None:
    readers = read_readers()
    assert {kind for reader in readers for kind in reader.kinds} == set(KINDS)
    for reader in readers:
        oldest, newest = releases_of(reader, latest=False)
        assert oldest.version, reader.name
        assert newest.version, reader.name


def test_the_documentation_names_the_releases_that_are_tried() -> None:
    text = (ROOT / "docs/reference/formats.md").read_text(encoding="utf-8")
    for reader in read_readers():
        if not reader.installed:
            row = rf"\| `{re.escape(reader.package)}` .*\| {re.escape(reader.oldest)} \| "
            assert re.search(rf"{row}{re.escape(reader.newest)} \|", text), reader.name
