"""No file runs code by naming it, whichever of its fields has the name."""

from pathlib import Path

import pytest

import rilievo.extensions.trust
from lab.torture import names
from lab.torture.worker import Outcome, Sandbox


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Sandbox, tuple[str, str]]:
    monkeypatch.setenv("TORTURE_MARKER", str(tmp_path / "executed"))
    monkeypatch.setenv(rilievo.extensions.trust.TRUST, "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.chdir(tmp_path)
    return Sandbox(tmp_path / "sandbox"), names.plant(tmp_path / "code")


def was_run(outcome: Outcome) -> bool:
    return "code inside" in outcome.said


_QUICK = (
    *("our evaluation.json", "our JSON beside results"),
    *("TOML of a sweep", "TOML of a suite", "YAML of a folder", "index of a pipeline"),
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=() if each in _QUICK else pytest.mark.slow)
        for each in names.readers()
    ],
)
def test_code_that_a_file_names_is_not_run(
    name: str, planted: tuple[Sandbox, tuple[str, str]]
) -> None:
    sandbox, places = planted
    outcomes = list(names.tried(names.readers()[name], sandbox, places))
    assert outcomes, "nothing was replaced"
    assert not [each for each in outcomes if was_run(each)]


@pytest.mark.slow
def test_code_that_is_run_is_found(
    planted: tuple[Sandbox, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above fails if the check of files is taken out."""
    monkeypatch.setattr("rilievo.training.adapters.run_models.check_trusted", lambda *given: None)
    sandbox, places = planted
    reader = names.readers()["run of a probe: its configuration"]
    assert any(was_run(each) for each in names.tried(reader, sandbox, places))
