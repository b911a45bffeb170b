"""The tool that tries newer Pythons finds them, and tests skip for want of an extra alone."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from try_pythons import Python, Trial, newer_pythons, trials

ROOT = Path(__file__).parents[2]
THIS = Python((3, 11, 7), Path("python3.11"))


def installed(folder: Path, name: str, says: str, code: int = 0) -> Path:
    """A program that answers as a Python would, or fails as a shim of pyenv does."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {says}\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_the_newest_release_of_every_newer_minor_version_is_found(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    installed(one, "python3.11", "cpython final 3 11 9")
    installed(one, "python3.12", "cpython final 3 12 1")
    installed(one, "python3.13", "'command not found'", code=127)
    installed(one, "python3.13-config", "cpython final 3 13 9")
    installed(one, "python3.15", "cpython beta 3 15 0")
    twelve = installed(two, "python3.12", "cpython final 3 12 8")
    thirteen = installed(two, "python3.13", "cpython final 3 13 0")
    installed(two, "python3.10", "cpython final 3 10 0")
    found = newer_pythons(THIS, [one, two, tmp_path / "none"])
    assert found == [Python((3, 12, 8), twelve), Python((3, 13, 0), thirteen)]


def test_this_python_is_tried_with_the_oldest_dependencies_alone() -> None:
    newer = Python((3, 13, 0), Path("python3.13"))
    assert trials(THIS, [newer], newest=False) == [
        Trial(THIS, oldest=True),
        Trial(newer, oldest=False),
        Trial(newer, oldest=True),
    ]
    assert trials(THIS, [newer], newest=True) == [Trial(newer, oldest=False)]
    assert trials(THIS, [], newest=True) == []


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ("import torch.nn", "1 skipped"),
        ("import rilievo_of_another_name", "1 error"),
        ("def test_it(): import cv2", "1 skipped"),
        ("def test_it(): import of_no_extra", "1 failed"),
        ("def test_it(): assert False", "1 failed"),
        ("def test_it(): pass", "1 passed"),
        (
            "from rilievo.errors import explain_missing_extra\n"
            "def test_it():\n    with explain_missing_extra('this', 'train'): import torch",
            "1 skipped",
        ),
    ],
)
def test_a_test_skips_for_want_of_an_extra_alone(tmp_path: Path, body: str, ended: str) -> None:
    (tmp_path / "test_it.py").write_text(body + "\n", encoding="utf-8")
    for package in ("torch", "cv2"):  # as if they were not installed
        lines = f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n"
        (tmp_path / f"{package}.py").write_text(lines, encoding="utf-8")
    places = ":".join(map(str, (tmp_path, ROOT / "tests", ROOT / "src")))
    plugins = ("-p", "support.without_extras", "-p", "no:cacheprovider")
    settings = ("-c", "/dev/null", "--rootdir", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *settings, tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": places, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended in done.stdout.splitlines()[-1], done.stdout
