"""The stream of photographs: everything once, each with its own answer, some at once."""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, ModelError, OutputError
from rilievo.io.files.commit import FileSet
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Inference
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.photographs import photos as stream
from rilievo.predicting.photographs.photos import Read, predict_photos
from rilievo.predicting.summary import RunSummary, Tally, failure_message
from rilievo.records.sample import Photo
from support.relief import Relief


class Brightness(Relief):
    """Answers with the brightness, and counts how many calls of ``infer`` were under way."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        time.sleep(0.005)  # long enough for one too many to be seen
        answers = [_brightness(photo) for photo in photos]
        with self._lock:
            self._under_way -= 1
        return answers


class Choosy(Relief):
    """Fails at every batch that has a black photograph in it."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        if any(not photo.pixels.any() for photo in photos):
            raise ModelError("it is too dark")
        return [_brightness(photo) for photo in photos]


def _brightness(photo: Photo) -> Inference:
    return Inference(depth=np.full((2, 2), 1 + photo.pixels[0, 0, 0], np.float32))


def _jobs(folder: Path, levels: Sequence[int]) -> list[Job]:
    jobs = []
    for index, level in enumerate(levels):
        path = folder / f"{index:02d}.png"
        Image.new("RGB", (40, 32), (level, level, level)).save(path)
        jobs.append(Job(source=path, medium=Medium.PHOTO, target=folder / path.stem))
    return jobs


def _read(job: Job) -> Photo:
    return read_photo(job.source)


def _run(
    jobs: list[Job], model: Relief, folder: Path, batch_size: int = 1, read: Read = _read
) -> tuple[RunSummary, dict[str, float]]:
    """The end of the run, and what was saved for each photograph."""
    saved: dict[str, float] = {}

    def save(job: Job, photo: Photo, inference: Inference) -> None:
        assert photo.name == str(job.source)
        assert inference.depth is not None
        assert job.source.name not in saved
        saved[job.source.name] = float(inference.depth[0, 0])

    with Tally(output=folder, total=len(jobs), show=False) as tally:
        predict_photos(jobs, model, tally, batch_size=batch_size, read=read, save=save)
    return tally.summary(), saved


@pytest.mark.parametrize("callers", [1, 2])
def test_the_network_runs_at_most_once_a_caller_and_every_answer_finds_its_photograph(
    tmp_path: Path, callers: int
) -> None:
    levels = list(range(10, 22))
    model = Brightness()
    model.callers = callers
    summary, saved = _run(_jobs(tmp_path, levels), model, tmp_path)
    assert summary.done == len(levels)
    assert model.most == callers
    assert saved == {f"{index:02d}.png": 1 + level for index, level in enumerate(levels)}


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_a_batch_that_fails_loses_only_the_photograph_at_fault(
    tmp_path: Path, batch_size: int
) -> None:
    levels = [5, 6, 0, 8, 9, 10, 0]
    summary, saved = _run(_jobs(tmp_path, levels), Choosy(), tmp_path, batch_size)
    assert (summary.done, summary.failed) == (5, 2)
    assert [message.partition(":")[0][-6:] for message in summary.failures] == ["02.png", "06.png"]
    assert all("too dark" in message for message in summary.failures)
    assert sorted(saved.values()) == [6, 7, 9, 10, 11]


def test_every_photograph_is_read_once_and_none_is_lost_when_some_are_broken(
    tmp_path: Path,
) -> None:
    jobs = _jobs(tmp_path, range(1, 30))
    for job in jobs[::4]:
        job.source.write_bytes(b"no photograph")
    summary, saved = _run(jobs, Brightness(), tmp_path, batch_size=3)
    assert (summary.done, summary.failed) == (21, 8)
    assert set(saved) == {job.source.name for job in jobs} - {job.source.name for job in jobs[::4]}


class Defective(Relief):
    """Stumbles over every batch that has a black photograph in it."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        if any(not photo.pixels.any() for photo in photos):
            raise ZeroDivisionError("by\nzero")
        return [_brightness(photo) for photo in photos]


@pytest.mark.parametrize("stage", ["read", "infer", "write"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_defect_at_one_photograph_is_one_line_and_one_trace_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str, batch_size: int
) -> None:
    jobs = _jobs(tmp_path, [5, 0, 7, 0, 9])

    def read(job: Job) -> Photo:
        photo = read_photo(job.source)
        if stage == "read" and not photo.pixels.any():
            raise ZeroDivisionError("by\nzero")
        return photo

    def save(job: Job, photo: Photo, inference: Inference) -> None:
        if stage == "write" and not photo.pixels.any():
            raise ZeroDivisionError("by\nzero")

    model = Defective() if stage == "infer" else Brightness()
    with Tally(output=tmp_path, total=len(jobs), show=False) as tally:
        predict_photos(jobs, model, tally, batch_size=batch_size, read=read, save=save)
    summary = tally.summary()
    assert (summary.done, summary.failed, summary.exit_code) == (3, 2, 1)
    line = "this is a bug in rilievo, please report it (ZeroDivisionError: by)"
    assert summary.failures == tuple(f"{tmp_path / name}: {line}" for name in ("01.png", "03.png"))
    assert capsys.readouterr().err.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize("name", ["bad\nline.jpg", "bad  two.jpg"])
def test_odd_names_are_said_once_as_they_are_and_on_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no photograph")
    job = Job(source=path, medium=Medium.PHOTO, target=tmp_path / "out")
    summary, _ = _run([job], Brightness(), tmp_path)
    said = str(path).replace("\n", "\\n")
    others = [OutputError(f"{path}.json is there"), InputError(f"{path}: cannot"), MemoryError()]
    messages = [*summary.failures, *(failure_message(job, error) for error in others)]
    assert len(messages) == 4
    assert all(message.startswith(f"{said}: ") for message in messages)
    assert not any("\n" in message for message in messages)
    assert [message.count(said) for message in messages] == [1, 2, 1, 1]


class Slowly:
    """Stands in for ``read_photo``: takes a moment, and knows how many reads are under way."""

    def __init__(self, size: tuple[int, int]) -> None:
        # A view of one byte, so that photographs of any size cost nothing.
        self._pixels = np.broadcast_to(np.uint8(7), (*size, 3))
        self.under_way: list[int] = []
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, job: Job) -> Photo:
        with self._lock:
            self._now += 1
            self.under_way.append(self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return Photo(pixels=self._pixels, name=str(job.source))


@pytest.mark.parametrize(("size", "most"), [((40, 32), 8), ((4000, 4000), 3), ((8000, 6000), 1)])
def test_no_more_are_decoded_at_once_than_memory_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], most: int
) -> None:
    """The size is known from the first photograph on, which comes with seven more; 64 cores are
    assumed.
    """
    read = Slowly(size)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    summary, _ = _run(_jobs(tmp_path, [7] * 40), Brightness(), tmp_path, read=read)
    assert summary.done == 40
    assert max(read.under_way[:8]) <= 8
    assert max(read.under_way[16:]) <= most


class Counting(Relief):
    """Remembers how many photographs came together."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[int] = []

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        self.together.append(len(photos))
        return [_brightness(photo) for photo in photos]


def test_a_batch_ends_where_it_has_the_pixels_that_memory_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_WAITING_PIXELS", 3 * 40 * 32)
    model = Counting()
    summary, _ = _run(_jobs(tmp_path, range(8)), model, tmp_path, batch_size=100)
    assert summary.done == 8
    assert model.together == [3, 3, 2]


def _save_parts(job: Job, photo: Photo, inference: Inference) -> FileSet:
    record = job.target.with_suffix(".json")
    placement = FileSet(record=record, pending_list=record.with_suffix(".txt"), pending_text="")
    for path in (job.target.with_suffix(".npy"), record):
        placement.create_part(path).write_bytes(b"written")
        time.sleep(0.005)  # the call that was given last is under way
    return placement


@pytest.mark.parametrize("name", ["read_0", "infer_0", "write_0", "write_1", "place_0"])
def test_ctrl_c_while_a_thread_starts_leaves_no_parts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool makes the call that it was given, but its future is lost."""
    jobs = _jobs(tmp_path, range(6))

    start = threading.Thread.start

    def start_and_press(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == name:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, Tally(output=tmp_path, total=6, show=False) as tally:
        patch.setattr(threading.Thread, "start", start_and_press)
        with pytest.raises(KeyboardInterrupt):
            predict_photos(jobs, Brightness(), tally, batch_size=1, read=_read, save=_save_parts)
    time.sleep(0.1)  # a lost call ends
    assert not [*tmp_path.glob("*rilievo-part*")]
    records = {path.stem for path in tmp_path.glob("*.json")}
    assert records == {path.stem for path in tmp_path.glob("*.npy")}
    assert tally.summary().done == len(records)


def test_later_interruptions_do_not_end_what_the_first_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presses of one hand come more than a second apart on a busy machine."""
    jobs, presses = _jobs(tmp_path, range(6)), 4
    place_next = stream._Writers._commit_group

    def press_and_place(writers: stream._Writers) -> None:
        nonlocal presses
        if presses:
            presses -= 1
            raise KeyboardInterrupt
        place_next(writers)

    with Tally(output=tmp_path, total=6, show=False) as tally:
        monkeypatch.setattr(stream._Writers, "_commit_group", press_and_place)
        with pytest.raises(KeyboardInterrupt):
            predict_photos(jobs, Brightness(), tally, batch_size=1, read=_read, save=_save_parts)
    assert presses == 0
    assert not [*tmp_path.glob("*rilievo-part*")]
    assert {path.stem for path in tmp_path.glob("*.json")}


@pytest.mark.parametrize("place", ["done", "failed"])
def test_ctrl_c_while_a_photograph_is_counted_loses_no_count(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, count = _jobs(tmp_path, range(6)), getattr(Tally, place)
    presses, calls = 1, []

    def press_and_count(tally: Tally, *arguments: object, **named: object) -> None:
        nonlocal presses
        if presses:
            presses -= 1
            signal.raise_signal(signal.SIGINT)
        count(tally, *arguments, **named)

    def save(job: Job, photo: Photo, inference: Inference) -> FileSet:
        calls.append(job)
        if place == "failed":
            raise OutputError("no room")
        return _save_parts(job, photo, inference)

    def run(tally: Tally) -> None:
        predict_photos(jobs, Brightness(), tally, batch_size=1, read=_read, save=save)
        time.sleep(0.1)  # it comes a moment after what it must not split

    monkeypatch.setattr(Tally, place, press_and_count)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Tally(output=tmp_path, total=6, show=False) as tally, pytest.raises(KeyboardInterrupt):
            run(tally)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert presses == 0
    summary = tally.summary()
    assert summary.done == len([*tmp_path.glob("*.json")])
    assert summary.done + summary.failed == len(calls)


def test_a_caller_that_handles_an_error_loses_nothing(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, range(6))
    with Tally(output=tmp_path, total=6, show=False) as tally:
        try:
            raise ModelError("another model was tried first")
        except ModelError:
            predict_photos(jobs, Brightness(), tally, batch_size=1, read=_read, save=_save_parts)
    assert tally.summary().done == 6


def test_code_of_others_that_ends_the_process_ends_its_photograph(tmp_path: Path) -> None:
    """Writers and models of others may call ``sys.exit``, as scripts do."""
    jobs = _jobs(tmp_path, range(6))

    def save(job: Job, photo: Photo, inference: Inference) -> FileSet:
        if job is jobs[2]:
            sys.exit(3)
        return _save_parts(job, photo, inference)

    class Leaving(Brightness):
        def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
            if any(photo.name == str(jobs[4].source) for photo in photos):
                sys.exit("no licence")
            return super().run_network(photos)

    with Tally(output=tmp_path, total=6, show=False) as tally:
        predict_photos(jobs, Leaving(), tally, batch_size=1, read=_read, save=save)
    summary = tally.summary()
    assert (summary.done, summary.failed) == (4, 2)
    lines = sorted(summary.failures)
    assert "02.png" in lines[0]
    assert "SystemExit: 3" in lines[0]
    assert "no licence" in lines[1]


def test_one_at_once_is_one_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    jobs, read = _jobs(tmp_path, [7] * 6), Slowly((40, 32))
    with Tally(output=tmp_path, total=len(jobs), show=False) as tally:
        predict_photos(
            jobs, Brightness(), tally, batch_size=1, read=read, save=_save_parts, at_once=1
        )
    assert tally.summary().done == 6
    assert read.under_way == [1] * 6
