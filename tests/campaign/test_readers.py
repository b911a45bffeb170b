"""Each reader of the campaign reads its own good file, so the campaign runs at every commit."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from torture.forms import FORMS
from torture.readers import all_readers
from torture.worker import FINE, Sandbox, judged

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
    outcome = judged(reader, sandbox, 0)
    assert outcome.verdict == FINE, f"{outcome.said}\n{outcome.trace}"
    for pattern, form in reader.victims.items():
        assert any(fnmatchcase(file, pattern) for file in sandbox.good), pattern
        assert form in FORMS
