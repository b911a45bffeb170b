"""Mutants change one place that computes, and are tried with the tests nearest to them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from mutants import Mutant, attempt, files_for, mutants_of, report, rest_of

SOURCE = '''"""Not 1 of these."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Of:
    n: tuple[int, int] = (3, 4)

def share(a, b):
    """Share of 2."""
    assert a < b
    if not a or "é" == b and a <= 7:
        raise ValueError(f"not {a + 1}")
    return min(a, b) / b
'''


def test_each_mutant_changes_one_place_that_computes() -> None:
    source = SOURCE.encode()
    found = {each.told(source) for each in mutants_of("src/x.py", source)}
    first, second = "n: tuple[int, int] = (3, 4)", 'if not a or "é" == b and a <= 7:'
    last = "return min(a, b) / b"
    assert found == {
        f"{first}  →  n: tuple[int, int] = (4, 4)",
        f"{first}  →  n: tuple[int, int] = (3, 5)",
        f'{second}  →  if a or "é" == b and a <= 7:',
        f'{second}  →  if not a and "é" == b and a <= 7:',
        f'{second}  →  if not a or "é" != b and a <= 7:',
        f'{second}  →  if not a or "é" == b or a <= 7:',
        f'{second}  →  if not a or "é" == b and a < 7:',
        f'{second}  →  if not a or "é" == b and a <= 8:',
        f"{last}  →  return max(a, b) / b",
        f"{last}  →  return min(a, b) * b",
    }


def test_files_of_the_modules_name_the_same_folder_and_of_few_imports_come_first() -> None:
    tests = {
        "tests/io/test_many.py": {"rilievo.io.x", "rilievo.io.y", "numpy"},
        "tests/io/test_few.py": {"rilievo.io.x"},
        "tests/cli/test_other.py": {"rilievo.io.x"},
        "tests/data/test_x.py": {"rilievo.io.x", "numpy", "scipy"},
        "tests/io/test_none.py": {"numpy"},
    }
    assert files_for("src/rilievo/io/x.py", tests) == [
        "tests/data/test_x.py",
        "tests/io/test_few.py",
        "tests/io/test_many.py",
        "tests/cli/test_other.py",
    ]
    assert files_for("src/rilievo/io/z.py", tests)[0] == "tests/io/test_few.py"


def test_a_survivor_is_tried_with_the_other_tests_of_its_folder() -> None:
    tests = ["tests/io/test_a.py", "tests/io/deep/test_b.py", "tests/cli/test_c.py"]
    assert rest_of("src/rilievo/io/files/x.py", tests, tests[:1]) == ["tests/io/deep/test_b.py"]
    assert rest_of("src/rilievo/errors.py", tests, ()) == []


@pytest.mark.parametrize(
    ("new", "limit", "outcome"),
    [(">", 300, "caught"), ("<=", 300, "survived"), ("<", 0.01, "undecided")],
)
def test_a_mutant_is_caught_by_a_test_that_fails(
    tmp_path: Path, new: str, limit: float, outcome: str
) -> None:
    place, test = tmp_path / "src" / "it.py", tmp_path / "test_it.py"
    place.parent.mkdir()
    place.write_text("def less(a, b):\n    return a < b\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    test.write_text("from it import less\ndef test_less(): assert less(1, 2) and not less(2, 1)\n")
    mutant = Mutant("src/it.py", 2, 13, 14, new)
    assert attempt(mutant, tmp_path, ["test_it.py"], limit) == outcome
    assert place.read_text() == "def less(a, b):\n    return a < b\n"


def test_the_report_counts_by_folder_and_names_the_survivors() -> None:
    facts = {"path": "src/rilievo/io/x.py", "line": 3, "told": "a < b  →  a <= b"}
    text = report([{**facts, "outcome": "survived"}, {**facts, "outcome": "caught"}])
    assert "| `io` | 1 | 0 | 1 | 0 |" in text
    assert text.endswith("- `io/x.py` line 3: `a < b  →  a <= b`")
