"""The list of a run's jobs: inputs are searched once, and read as often as needed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import rilievo
from rilievo.predicting import inputs
from rilievo.predicting.inputs import Job, JobList, Medium


def some_jobs(count: int) -> Iterator[Job]:
    media = (Medium.PHOTO, Medium.VIDEO, Medium.PHOTO, Medium.SEQUENCE)
    for number in range(count):
        name = os.fsdecode(f"photo {number} \n ü ".encode() + b"\xff")
        path = Path("in", name)
        yield Job(source=path, medium=media[number % 4], target=Path("out", name))


@pytest.mark.parametrize("in_memory", [100, 10_000_000])
def test_jobs_are_read_as_they_were_found(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_MAX_BYTES_IN_MEMORY", in_memory)
    expected, jobs = list(some_jobs(50)), JobList(some_jobs(50))
    assert len(jobs) == 50
    assert list(jobs) == list(jobs) == expected
    assert jobs.has_photos
    assert jobs.has_videos
    assert [*zip(jobs, jobs, strict=True)] == [*zip(expected, expected, strict=True)]


def test_a_list_without_jobs_is_empty() -> None:
    jobs = JobList(())
    assert (len(jobs), list(jobs)) == (0, [])
    assert not jobs.has_photos
    assert not jobs.has_videos


def test_a_run_searches_its_folders_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.png"):
        Image.new("RGB", (64, 48), "grey").save(tmp_path / "in" / name)
    searched: list[str] = []
    walk = inputs.os.walk

    def counted(folder: Path, **options: object) -> Iterator[object]:
        searched.append(str(folder))
        return walk(folder, **options)  # pyright: ignore

    monkeypatch.setattr(inputs.os, "walk", counted)
    options = rilievo.PredictOptions(
        output=tmp_path / "out", model="rilievo/small", known=("9,9,2",), same_camera=True
    )
    assert rilievo.predict_files([tmp_path / "in"], options, show=False).done == 2
    assert searched == [str(tmp_path / "in")]
