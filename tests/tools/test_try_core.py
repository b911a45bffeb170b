"""The core is tried in a copy of the repository without the subpackages and their tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from try_core import folders_of_tests, is_of_a_subpackage


def test_files_of_subpackages_and_of_their_tests_stay_behind() -> None:
    others = [
        "src/rilievo/io/data/table.json",
        "src/rilievo/data_of_pages.py",
        "tests/io/test_data.py",
        "tests/training.py",
        "docs/training/index.md",
        "pyproject.toml",
    ]
    left = ["src/rilievo/data/__init__.py", "tests/training/io/test_x.py"]
    assert [name for name in (*others, *left) if is_of_a_subpackage(name)] == left


def test_folders_of_tests_stand_in_folders_of_its_names(tmp_path: Path) -> None:
    for name in ("io", "pages", "data", "__pycache__"):
        (tmp_path / "src" / "rilievo" / name).mkdir(parents=True)
    for name in ("io", "tools", "data", "__pycache__"):
        (tmp_path / "tests" / name).mkdir(parents=True)
    assert list(folders_of_tests(tmp_path)) == ["tests/io"]
