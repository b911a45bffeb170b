"""The targets of fuzzing read their good files, without atheris too."""

import time
from pathlib import Path

import pytest

from lab.torture import fuzz
from lab.torture.readers import all_readers
from lab.torture.settings import Settings

READERS = [reader for readers in fuzz.TARGETS.values() for reader in readers]


@pytest.mark.parametrize("name", READERS)
def test_a_target_reads_its_good_files_and_refuses_a_broken_one(name: str, tmp_path: Path) -> None:
    target = fuzz.Target(all_readers()[name], tmp_path / "in")
    assert target.seeds
    for seed in target.seeds:
        assert target.read(seed)
    assert not target.read(target.seeds[0][:1] + b"\0\xff")


def test_a_reader_that_fails_is_not_passed_over(tmp_path: Path) -> None:
    from lab.torture.reader import Reader

    def read(folder: Path) -> object:
        return 1 / (len((folder / "x").read_bytes()) - 3)

    reader = Reader(
        name="made up",
        write=lambda folder: (folder / "x").write_bytes(b"good") and None,
        victims={"x": "bytes"},
        read=read,
    )
    target = fuzz.Target(reader, tmp_path)
    assert target.read(target.seeds[0])
    with pytest.raises(ZeroDivisionError):
        target.read(b"\0bad")


def test_one_line_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz, "find_spec", lambda name: None)
    settings = Settings(
        end=time.monotonic(),
        seed=1,
        inputs=0,
        kills=0,
        cuts=0,
        workers=1,
        only=(),
        output=tmp_path,
        work=tmp_path,
    )
    assert fuzz.run(settings).bad
    [line] = capsys.readouterr().err.splitlines()
    assert "--group fuzz" in line
