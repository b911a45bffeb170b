"""Disks: what long work needs is compared before it; a full one keeps what is done."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import OutputError
from rilievo.predicting.videos import clip_outputs
from support.clips import Clip, numbered, write_clip
from support.file_runs import run, run_on_nine_frames

MakeNetwork = Callable[..., Path]


def free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=count)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1300k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_what_photographs_take_is_compared_before_any_work(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / f"{name}.png")
    photos, network = [tmp_path / f"{name}.png" for name in "abc"], make_network()
    free(monkeypatch, 239_000)
    with pytest.raises(
        OutputError,
        match=r"about 240 kB .* of 3 photographs, but only 239 kB is",
    ):
        run(network, tmp_path / "out", *photos)
    assert files(tmp_path / "out") == {}
    free(monkeypatch, 241_000)
    assert run(network, tmp_path / "out", *photos).done == 3
    # What is there already takes nothing more.
    free(monkeypatch, 10)
    assert run(network, tmp_path / "out", *photos).finished_before == 3
    # Compressed files have no size that is known.
    assert run(network, tmp_path / "pictures", *photos, save="colour").done == 3


def test_what_a_videos_answers_take_is_compared_before_the_second_frame(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1000)
    summary = run_on_nine_frames(make_network(), tmp_path)
    [failure] = summary.failures
    assert "is needed for the predictions for 9 frames" in failure
    assert "1 kB is free: free some space, or choose another folder with output" in failure
    assert sum(summary.spent.answers.values()) == 1
    assert files(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "the file system is read-only: choose another folder"),
        (errno.EACCES, "no permission to write here: choose another folder"),
    ],
)
def test_a_folder_that_a_videos_answers_cannot_lie_in_is_told_in_a_line(
    tmp_path: Path,
    make_network: MakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
) -> None:
    out, open_file = tmp_path / "out", os.open

    def refuse(path: str | Path, flags: int, *arguments: Any, **options: Any) -> int:
        is_written = flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(out))
        if is_written:
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    [failure] = run_on_nine_frames(make_network(), tmp_path).failures
    assert failure.endswith(f"{out}: {words}")


def test_every_photograph_of_a_folder_that_cannot_be_made_is_told_in_a_line(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "part").mkdir(parents=True)
    for name in "abc":
        picture = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
        picture.save(tmp_path / "photos" / "part" / f"{name}.png")
    make = Path.mkdir

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == "part":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        make(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    failures = run(make_network(), tmp_path / "out", tmp_path / "photos").failures
    assert len(failures) == 3
    assert all("no permission to write here" in failure for failure in failures)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux names a file without a name")
@pytest.mark.parametrize("save", ["npy", "colour"])
def test_a_full_disk_keeps_a_videos_answers_and_the_next_run_goes_on(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, save: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(7)))
    network, out = make_network(), tmp_path / "out"
    run(network, tmp_path / "whole", clip, save=save)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        for sink in (clip_outputs.FolderSink, clip_outputs.VideoSink):
            patch.setattr(sink, "finish", full)
        [failure] = run(network, out, clip, save=save).failures
    assert "the disk is full" in failure
    assert "the predictions for 7 frames are kept in" in failure
    assert {*files(out)} == {".clip.rilievo-answers"}
    summary = run(network, out, clip, save=save)
    assert (summary.done, sum(summary.spent.answers.values())) == (1, 1)
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux names a file without a name")
def test_kept_answers_of_other_options_or_cut_ones_are_not_used(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(5)))
    network, out = make_network(), tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for spoil in ("model", "cut", "json"):
        with monkeypatch.context() as patch:
            patch.setattr(clip_outputs.FolderSink, "finish", full)
            assert run(network, out, clip).failed == 1
        data = out / ".clip.rilievo-answers"
        if spoil == "cut":
            os.truncate(data, data.stat().st_size - 1)
        if spoil == "json":
            data.write_bytes(data.read_bytes().replace(b'"ticks"', b'"clock"'))
        other = make_network(offset=3.0) if spoil == "model" else network
        summary = run(other, out, clip)
        assert (summary.done, sum(summary.spent.answers.values())) == (1, 5)
        assert not data.exists()
        shutil.rmtree(out)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux names a file without a name")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scales", [1.0, 1.0, -2.0, 1.0, 1.0]),
        ("scales", [1.0, 1.0, 0.0, 1.0, 1.0]),
        ("shifts", [0.0, 0.0, 0.0, 0.0, float("inf")]),
        ("shots", [1]),
        ("shots", [5]),
        ("shots", []),
        ("stretches", [0, 0, 3, 0, 0]),
        ("stretches", [-2, -1, -1, -1, -1]),
        ("names", ["a.png"]),
        ("borders", [{"top": -3, "right": 0, "bottom": 0, "left": 0}]),
        ("cameras", [{"source": "fov"}]),
    ],
)
def test_kept_answers_with_impossible_numbers_are_not_used(
    tmp_path: Path,
    make_network: MakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: list[object],
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(5)))
    network, out = make_network(), tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run(network, tmp_path / "whole", clip)
    with monkeypatch.context() as patch:
        patch.setattr(clip_outputs.FolderSink, "finish", full)
        assert run(network, out, clip).failed == 1
    data = out / ".clip.rilievo-answers"
    content = data.read_bytes()
    length = int.from_bytes(content[-16:-8], "little")
    record = json.loads(content[-16 - length : -16])
    assert name in record or name == "names"
    text = json.dumps({**record, name: value}).replace("Infinity", "1e999").encode()
    end = text + len(text).to_bytes(8, "little") + content[-8:]
    data.write_bytes(content[: -16 - length] + end)
    summary = run(network, out, clip)
    assert (summary.done, sum(summary.spent.answers.values())) == (1, 5)
    assert files(out) == files(tmp_path / "whole")


def test_a_real_full_disk_keeps_the_photographs_that_are_done(
    tmp_path: Path, small_disk: Path, make_network: MakeNetwork
) -> None:
    for number in range(8):
        picture = np.random.default_rng(number).integers(0, 255, (400, 400, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    photos, network = sorted(tmp_path.glob("*.png")), make_network()
    summary = run(network, small_disk / "out", *photos, save="png16")
    assert 0 < summary.done < 8
    assert all("the disk is full" in failure for failure in summary.failures)
    done = files(small_disk / "out")
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    again = run(network, small_disk / "out", *photos, save="png16")
    assert (again.finished_before, again.done) == (summary.done, 8 - summary.done)
    assert done.items() <= files(small_disk / "out").items()


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux names a file without a name")
def test_a_real_full_disk_keeps_a_videos_answers(
    tmp_path: Path, small_disk: Path, make_network: MakeNetwork
) -> None:
    pictures = numbered(6, (160, 240))
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=pictures))
    network, whole = make_network(), tmp_path / "whole"
    [failure] = run(network, small_disk / "out", clip).failures
    assert "the disk is full" in failure
    assert "the predictions for 6 frames are kept in" in failure
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    summary = run(network, small_disk / "out", clip)
    assert (summary.done, sum(summary.spent.answers.values())) == (1, 1)
    run(network, whole, clip)
    assert files(small_disk / "out") == files(whole)
