"""Defects that were mended are found when they are brought back."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.torture.jobs import JOBS
from lab.torture.plants import MINUTES, PLANTS, VARIABLE, planted
from lab.torture.readers import all_readers

ROOT = Path(__file__).parents[3]
_CHANGED = {
    "scans": "rilievo.io.photographs.decode.check_jpeg_scans",
    "channels": "rilievo.io.numbers._READERS",
    "lengths": "rilievo.models.onnx_files.file_metadata._read_fields",
    "lock": "rilievo.io.files.commit._hold_lock",
    "fsync": "rilievo.io.files.atomic.sync_file",
    "stop": "rilievo.system.signals.is_interruption",
}
"""Code in the place of each guard."""


def run(*words: str, plant: str = "") -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": paths, VARIABLE: plant},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", PLANTS)
def test_a_defect_is_planted_in_the_place_of_its_guard(name: str) -> None:
    module, _, guard = _CHANGED[name].rpartition(".")
    program = f"""
import {module} as module
from lab.torture.plants import plant
plant("")
before = module.{guard}
plant({name!r})
assert module.{guard} is not before
"""
    ended = run("-c", program)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", PLANTS)
def test_a_reader_or_job_finds_a_planted_defect(name: str) -> None:
    defect = PLANTS[name]
    names = all_readers() if defect.part == "inputs" else [job.name for job in JOBS]
    assert all(any(word in name for name in names) for word in defect.only)


def test_a_command_is_run_with_the_defect_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = (sys.executable, "-m", "rilievo", "--version")
    monkeypatch.delenv(VARIABLE, raising=False)
    assert planted(command) == command
    monkeypatch.setenv(VARIABLE, "lock")
    ended = run(*planted(command)[1:], plant="lock")
    assert ended.returncode == 0, ended.stderr
    refused = run(*planted(command)[1:], plant="typo")
    assert "no defect 'typo' to plant; known: scans, " in refused.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--plant", "typo"), "--plant typo: no such defect; known: scans, "),
        (("--plant", "lock", "--page", "x.md"), "--page is not written with a planted defect"),
        (("kill",), "no part 'kill'"),
    ],
)
def test_what_cannot_be_planted_is_refused(words: tuple[str, ...], line: str) -> None:
    ended = run("-m", "lab.torture", *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(line)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_defect_is_found_within_five_minutes(name: str, tmp_path: Path) -> None:
    words = ("--plant", name, "--workers", "1", "-o", str(tmp_path))
    ended = run("-m", "lab.torture", *words)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    match = re.search(rf"^planted {name} .*: found after (\d+) s$", ended.stdout, re.MULTILINE)
    assert match, ended.stdout
    assert int(match[1]) < 60 * MINUTES
