"""A test that asserts less than it did is told, wherever it moved."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from laws import Book, compare, read_book, read_laws, stored

FILE = "geometry/test_plane.py"
SOURCE = """
LIMIT = 1e-6
def test_a_plane_is_flat():
    plane = fit(3)
    assert plane.area == 12.5
    assert abs(plane.z - 1) < LIMIT
    np.testing.assert_allclose(plane.normal, [0, 0, -1], rtol=1e-5)
    for side in plane:
        with pytest.raises(ValueError, match="no side"):
            side.cut()
@pytest.mark.parametrize("size", [1, "two", (3, 4)])
def test_it_has_a_size(size):
    assert 2 < plane(size).width, "too narrow"
"""
BOOK = Book(("tests/geometry/*.py",), frozenset())


def report(folder: Path, source: str, file: str = FILE, book: Book = BOOK) -> list[str]:
    """Lines about a folder of tests with this source, of which SOURCE was the law."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(source)
    return [*compare(book, {FILE: read_laws(SOURCE)}, folder)]


WEAKER = (
    ("    assert plane.area == 12.5\n", "", "3 of 4 assertions"),
    ("12.5", "12.4", "no longer expects 12.5"),
    ("LIMIT = 1e-6", "LIMIT = 1e-3", "below 0.001, expected at most 1e-06"),
    ("rtol=1e-5", "rtol=1e-4", "tolerances 0.0001, expected at most 1e-05"),
    ("2 <", "1 <", "above 1, expected at least 2"),
    ('        with pytest.raises(ValueError, match="no side"):', "        if 1:", "3 of 4"),
    (', match="no side"', "", "0 of 1 strings"),
    ('"two", ', "", "2 of 3 rows"),
    ("@pytest.mark.param", "@pytest.mark.slow\n@pytest.mark.param", "marked slow"),
    ("LIMIT = 1e-6", "LIMIT = 1e-6\npytestmark = pytest.mark.slow", "marked slow"),
    ("def test_it_has_a_size(size):\n    assert 2", "def test_x(size):\n    assert 1", "is gone"),
)


@pytest.mark.parametrize(("old", "new", "words"), WEAKER)
def test_what_became_weaker_is_told_in_one_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in SOURCE
    lines = report(tmp_path, SOURCE.replace(old, new))
    assert len(lines) == 1
    assert lines[0].startswith(f"{FILE}: weaker: ")
    assert words in lines[0]


STRONGER = (
    ("12.5", "12.5\n    assert plane.edges == 4"),
    ("LIMIT = 1e-6", "LIMIT = 1e-9"),
    ("rtol=1e-5", "rtol=1e-6"),
    ("no side", "other words"),
    ("[1, ", "[1, 1.5, "),
    ("test_it_has_a_size", "test_renamed"),
    ("    assert 2 <", "    # a comment\n    assert 2  <"),
)


@pytest.mark.parametrize(("old", "new"), STRONGER)
def test_what_stayed_or_became_stronger_is_not_told(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert report(tmp_path, SOURCE.replace(old, new)) == []


def test_a_moved_file_is_the_same_file(tmp_path: Path) -> None:
    assert report(tmp_path, SOURCE, file="surfaces/test_flat.py") == []
    (tmp_path / "surfaces/test_flat.py").unlink()
    lines = report(tmp_path, SOURCE.replace("12.5", "12.4"), file="surfaces/test_flatter.py")
    assert [line.partition(" (")[0] for line in lines] == [f"{FILE}: weaker: test_a_plane_is_flat"]


def test_laws_leave_by_the_table_which_names_laws_alone(tmp_path: Path) -> None:
    text = (
        "`tests/not_listed.py`\n- Geometry: `tests/geometry/test_*.py` `tests/test_flat.py`\n\n"
        f"| law | reason |\n|---|---|\n| `{FILE}::test_it_has_a_size` | sizes are gone |\n"
    )
    book = read_book(text)
    assert book.patterns == ("tests/geometry/test_*.py", "tests/test_flat.py")
    shorter = SOURCE.partition("@pytest")[0]
    assert report(tmp_path, shorter, book=book) == []
    lines = report(tmp_path, shorter.replace("12.5", "12"), book=book)
    assert [line.partition(" (")[0] for line in lines] == [f"{FILE}: weaker: test_a_plane_is_flat"]
    assert report(tmp_path, "", book=Book((), frozenset([FILE]))) == []
    assert len(report(tmp_path, SOURCE, book=Book((), frozenset(["no_such.py"])))) == 1


def test_laws_are_stored_without_what_is_empty() -> None:
    text = stored("0" * 40, {FILE: read_laws("def test_a():\n    assert b == 2\n")})
    assert '"test_a":{"body":"' in text
    assert '"count":1,"values":[2]}' in text
    assert "marks" not in text
