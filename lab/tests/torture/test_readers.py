"""Each reader of the campaign reads its own good file, so the campaign runs at every commit."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import CodeType, FrameType

import pytest

from lab.torture.forms import FORMS
from lab.torture.readers import all_readers
from lab.torture.worker import FINE, Sandbox, judged
from support.opened_files import function_of
from support.reader_table import TRIED, row_of
from support.source_readers import SOURCE, qualified

READERS = all_readers()


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("TORTURE_MARKER", str(tmp_path / "executed"))
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)  # the sandbox goes elsewhere, and this brings the tests back
    return Sandbox(tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_its_own_good_file(name: str, sandbox: Sandbox) -> None:
    reader = READERS[name]
    sandbox.begin(reader)
    with functions_called() as called:
        outcome = judged(reader, sandbox, 0)
    assert outcome.verdict == FINE, f"{outcome.said}\n{outcome.trace}"
    for pattern, form in reader.victims.items():
        assert any(fnmatchcase(file, pattern) for file in sandbox.good), pattern
        assert form in FORMS
    assert {row for row, case in TRIED.items() if case == name} <= {*map(row_of, called)}


@contextmanager
def functions_called() -> Iterator[list[str]]:
    """Names of the functions of rilievo that are called in any thread; known at the end."""
    codes: set[CodeType] = set()
    names: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield names
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        for code in codes:
            path = Path(code.co_filename)
            if path.is_relative_to(SOURCE):
                names.append(qualified(path, function_of(code)))
