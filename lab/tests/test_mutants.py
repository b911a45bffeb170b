"""Mutants change one place that computes, and are tried with the tests nearest to them."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.prove.mutants import (
    LIST,
    ROOT,
    Mutant,
    attempt,
    files_for,
    find,
    follow,
    functions_of,
    mutants_of,
    read,
    report,
    told,
    trace,
)

SOURCE = '''"""Not 1 of these."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Of:
    def share(self, a: "3", b):
        """Share of 2."""
        assert a < b
        if not a or "é" == b and a <= 7:
            raise ValueError(f"not {a + 1}")
        return min(a, b) / b
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "src" / "rilievo" / "it.py"
    place.parent.mkdir(parents=True)
    place.write_text(SOURCE, "utf-8")
    return tmp_path


def test_each_mutant_changes_one_expression_that_computes() -> None:
    [(name, nodes)] = functions_of(SOURCE.encode()).items()
    assert name == "Of.share"
    assert {told(mutant) for mutant in mutants_of("Of.share", nodes)} == {
        f"Of.share: {before}  →  {after}"
        for before, after in (
            ("not a or ('é' == b and a <= 7)", "not a and ('é' == b and a <= 7)"),
            ("not a", "a"),
            ("'é' == b and a <= 7", "'é' == b or a <= 7"),
            ("'é' == b", "'é' != b"),
            ("a <= 7", "a < 7"),
            ("a <= 7", "a <= 8"),
            ("min(a, b) / b", "min(a, b) * b"),
            ("min(a, b)", "max(a, b)"),
        )
    }


def test_a_mutant_is_found_where_its_file_moved_and_the_lines_around_it_changed(
    tree: Path,
) -> None:
    mutant = Mutant(function="rilievo.it.Of.share", before="a <= 7", after="a < 7")
    place = tree / "src" / "rilievo" / "it.py"
    moved = place.with_name("other.py")
    moved.write_text("LIMIT = 7\n" + SOURCE.replace("a <= 7", "a  <=  7"), "utf-8")
    place.unlink()
    match = find(mutant, tree)
    assert match is not None
    assert match.changed().decode().splitlines()[9].strip() == ('if not a or "é" == b and (a < 7):')
    moved.write_text(SOURCE.replace("a <= 7", "c <= 7"), "utf-8")
    renamed = find(mutant, tree)
    assert renamed is not None
    assert renamed.after == "c < 7"
    moved.write_text(SOURCE.replace("a <= 7", "a <= 6"), "utf-8")
    assert find(mutant, tree) is None


def test_a_mutant_follows_its_function_to_another_file_or_leaves(tree: Path) -> None:
    place = tree / "src" / "rilievo" / "it.py"
    place.rename(place.with_name("other.py"))
    moved = Mutant(function="rilievo.it.Of.share", before="a <= 7", after="a < 7", outcome="caught")
    gone = replace(moved, before="a <= 6")
    assert follow([moved, gone], tree) == [replace(moved, function="rilievo.other.Of.share")]


def test_the_list_names_functions_that_exist() -> None:
    mutants = read(LIST)
    assert len(mutants) > 90
    assert follow(mutants, ROOT) == mutants


def test_files_that_reach_the_function_are_tried_those_of_its_words_and_few_others_first() -> None:
    function = "rilievo.io.videos.clip._has_pictures"
    reached = {
        "tests/data/test_few.py": {function},
        "tests/io/test_many.py": {function, "a", "b"},
        "tests/io/test_few.py": {function, "a"},
        "tests/io/test_clip_pictures.py": {function, "a", "b", "c"},
        "tests/io/test_none.py": {"a"},
    }
    assert files_for(function, reached) == [
        "tests/io/test_clip_pictures.py",
        "tests/io/test_few.py",
        "tests/io/test_many.py",
        "tests/data/test_few.py",
    ]
    assert files_for(function, reached, "tests/io/test_none.py") == ["tests/io/test_none.py"]


REACHED_TREE = {
    "pytest.ini": "[pytest]\nmarkers = slow\n",
    "src/rilievo/__init__.py": "def top(): pass\n",
    "src/rilievo/shares.py": """
class Cake:
    def share(self):
        return 2

def eaten():
    return Cake().share()

def uneaten(): pass
""",
    "tests/test_thread.py": """
from threading import Thread
from rilievo.shares import eaten

def test_in_a_thread():
    thread = Thread(target=eaten)
    thread.start()
    thread.join()
""",
    "tests/test_quick.py": """
import pytest
import rilievo
from rilievo.shares import uneaten

def test_quick():
    rilievo.top()

@pytest.mark.slow
def test_slow():
    uneaten()
""",
}


def test_the_functions_that_each_file_of_quick_tests_calls_are_recorded(tmp_path: Path) -> None:
    for name, text in REACHED_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "lab").symlink_to(ROOT / "lab")  # the plugin that records
    assert trace(tmp_path, tmp_path / "record") == {
        "tests/test_thread.py": {"rilievo.shares.eaten", "rilievo.shares.Cake.share"},
        "tests/test_quick.py": {"rilievo.top"},
    }


@pytest.mark.parametrize(
    ("after", "cpu", "outcome"),
    [
        ("a > b", 90, ("caught", "test_it.py")),
        ("a <= b", 90, ("survived", "")),
        ("len([0 for _ in iter(int, 1)])", 1, ("undecided", "")),
    ],
)
def test_a_mutant_is_caught_by_a_test_that_fails(
    tmp_path: Path, after: str, cpu: int, outcome: tuple[str, str]
) -> None:
    place, test = tmp_path / "src" / "rilievo" / "it.py", tmp_path / "test_it.py"
    place.parent.mkdir(parents=True)
    place.write_text("def less(a, b):\n    return a < b\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\npythonpath = src/rilievo\n")
    test.write_text("from it import less\ndef test_less(): assert less(1, 2) and not less(2, 1)\n")
    match = find(Mutant(function="rilievo.it.less", before="a < b", after=after), tmp_path)
    assert match is not None
    assert attempt(match, tmp_path, ["test_it.py"], cpu) == outcome
    assert place.read_text() == "def less(a, b):\n    return a < b\n"


def test_the_report_counts_by_folder_and_names_the_survivors() -> None:
    mutant = Mutant(function="rilievo.io.x.f", before="a < b", after="a <= b", outcome="survived")
    text = report([mutant, replace(mutant, outcome="caught")])
    assert "| `io` | 1 | 1 | 0 | 0 | 0 |" in text
    assert text.endswith("- survived: `rilievo.io.x.f: a < b  →  a <= b`")
