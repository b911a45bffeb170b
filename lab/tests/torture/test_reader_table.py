"""Every function that opens a file or an address has a row in the campaign's table of readers."""

import pkgutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab.torture.readers import all_readers
from rilievo.errors import InputError
from rilievo.io.cameras.lens_files import read_K, read_lens
from rilievo.io.numbers import read_numbers
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.training.video.pair_motions import read_estimate
from support import opened_files, source_readers
from support.reader_table import REASONS, TRIED, row_of

FOUND = source_readers.all_readers()


def functions_of_rows() -> dict[str, list[str]]:
    """Functions of the source by the row that each has."""
    found: dict[str, list[str]] = {row: [] for row in (*TRIED, *REASONS)}
    for name in FOUND:
        if (row := row_of(name)) is not None:
            found[row].append(name)
    return found


def test_every_reader_of_the_source_has_a_row() -> None:
    missing = {name: place for name, place in FOUND.items() if row_of(name) is None}
    assert missing == {}, "name its reader of the campaign, or a reason, in the table"
    assert not set(TRIED) & set(REASONS)


def test_a_row_is_of_one_reader_of_the_source() -> None:
    """A row is the end of a name: a file may move, but a second function needs a row of its own."""
    found = functions_of_rows()
    assert [row for row, names in found.items() if not names] == [], "nothing opens a file so"
    several = {row: names for row, names in found.items() if len(names) > 1}
    assert several == {}, "write more of each name"


def test_a_row_that_is_taken_away_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    for row, names in functions_of_rows().items():
        with monkeypatch.context() as patch:
            for table in (TRIED, REASONS):
                patch.delitem(table, row, raising=False)  # pyright: ignore[reportArgumentType]
            assert [name for name in FOUND if row_of(name) is None] == names


def test_a_function_that_moves_to_another_module_keeps_its_row() -> None:
    row = row_of("rilievo.io.cameras.lens_files.read_lens")
    assert row == row_of("rilievo.io.moved.elsewhere.read_lens") == "read_lens"
    assert row_of("rilievo.io.cameras.lens_files.read_lenses") is None


def test_rows_name_readers_of_the_campaign() -> None:
    assert sorted(set(TRIED.values()) - set(all_readers())) == []


@pytest.mark.parametrize(
    ("opening", "opens"),
    [
        ("open(path)", True),
        ("open(path, 'rb')", True),
        ("open(path, mode)", True),
        ("open(path, 'wb')", False),
        ("path.open()", True),
        ("path.open('r+b')", True),
        ("path.open('ab')", False),
        ("path.open(mode='x')", False),
        ("os.open(path, os.O_RDONLY)", True),
        ("os.open(path, os.O_RDWR | os.O_CREAT)", False),
        ("path.read_bytes()", True),
        ("read_text(path)", True),
        ("np.load(path)", True),
        ("np.memmap(path, np.uint8)", True),
        ("av.open(str(path))", True),
        ("av.open(str(path), 'w')", False),
        ("h5py.File(path, 'r')", True),
        ("onnxruntime.InferenceSession(path)", True),
        ("Image.open(path)", True),
        ("cv2.imread(str(path))", True),
        ("ZipFile(path)", True),
        ("zipfile.ZipFile(path, 'w')", False),
        ("urlopen(path)", True),
        ("path.write_text('open(path)')", False),
    ],
)
def test_openings_are_told_from_other_calls(opening: str, opens: bool, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"def read(path):\n    with {opening} as file:\n        return file\n")
    assert dict(source_readers.openers_of(module)) == ({"read": [2]} if opens else {})


def test_an_opening_counts_for_the_public_functions_around_it(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "def _npy(path): return open(path)\n"
        "_READERS = {'.npy': _npy}\n"
        "def read(path): return _any(path)\n"
        "def _any(path): return _READERS[path.suffix](path)\n"
        "class Store:\n"
        "    def frame(self): return self._map()\n"
        "    def _map(self): return [open(each) for each in self.paths]\n"
        "class _Kept:\n"
        "    def read(self): return open('kept')\n"
        "def kept(): return _Kept().read()\n"
        "def other(path): return path\n"
    )
    assert source_readers.readers_of(module) == {
        "_npy": {"read"},
        "Store._map": {"Store.frame"},
        "_Kept.read": {"kept"},
    }


@pytest.fixture
def recorded() -> Callable[[], dict[str, str]]:
    """Functions without a row in the table that open a file from now on."""
    opened_files.forget()
    return opened_files.unlisted


def _lens(folder: Path) -> None:
    (folder / "K.txt").write_text("500 501 320 240")
    read_lens(folder / "K.txt")


def _matrix(folder: Path) -> None:
    (folder / "K.txt").write_text("500 501 320 240")
    read_K(folder / "K.txt")


def _numbers(folder: Path) -> None:
    np.save(folder / "x.npy", np.ones((4, 5)))
    read_numbers(folder / "x.npy")


def _points(folder: Path) -> None:
    (folder / "x.txt").write_text("1 2 3")
    read_sparse(folder / "x.txt", (4, 5), None)


def _refused(folder: Path) -> None:
    (folder / "x.npz").write_text("no archive")
    with pytest.raises(InputError):
        read_estimate(folder / "x.npz")


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (_matrix, "rilievo.io.cameras.lens_files.read_K"),
        (_lens, "rilievo.io.cameras.lens_files.read_lens"),
        (_numbers, "rilievo.io.numbers.read_numbers"),
        (_points, "rilievo.predicting.metres.point_lists.read_point_list"),
        (_refused, "rilievo.training.video.pair_motions.read_estimate"),
    ],
)
def test_an_opening_without_a_row_is_seen_while_the_tests_run(
    use: Callable[[Path], None],
    name: str,
    tmp_path: Path,
    recorded: Callable[[], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(tmp_path)
    assert recorded() == {}
    opened_files.forget()
    row = row_of(name)
    assert row is not None
    monkeypatch.delitem(TRIED, row)  # pyright: ignore[reportArgumentType]
    use(tmp_path)
    assert [*recorded()] == [name]


@pytest.mark.parametrize("name", sorted(opened_files.THROUGH_LIBRARIES))
def test_functions_that_open_something_through_a_library_exist(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))
