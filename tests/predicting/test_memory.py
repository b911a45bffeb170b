"""Memory: what photographs and videos need is compared before they begin."""

import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import OptionError
from rilievo.io.files import machine
from rilievo.predicting import run as run_module
from rilievo.predicting.photographs import photo_memory
from rilievo.predicting.photographs.output_sizes import MEMORY_PER_PIXEL, min_memory
from rilievo.predicting.photographs.results import ResultWriter
from support.file_runs import run, run_on_nine_frames
from support.peak_memory import peak_memory

MakeNetwork = Callable[..., Path]


def free(monkeypatch: pytest.MonkeyPatch, count: int | None) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: count)


def photographs(folder: Path, count: int, size: tuple[int, int] = (200, 100)) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)
    return paths


def test_the_largest_output_of_a_photograph_counts() -> None:
    pixels = 1_000_000
    colour, npz = (min_memory([name], pixels, 0) for name in ("colour", "npz"))
    assert colour >= MEMORY_PER_PIXEL * pixels
    assert min_memory(["colour", "npz"], pixels, 0) == npz > colour
    assert min_memory([], pixels, 0) == MEMORY_PER_PIXEL * pixels
    few, many = (min_memory(["glb"], pixels, points) for points in (1000, 10**9))
    assert few < many == min_memory(["glb"], pixels, pixels)


@pytest.mark.parametrize("count", [1, 3])
def test_photographs_of_which_none_fits_are_refused_before_any_work(
    count: int, tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, network = photographs(tmp_path, count), make_network()
    needed = min_memory(["npz"], 20_000, 10**6)
    free(monkeypatch, needed - 1)
    line = (
        "^about .* of memory is needed for the results of 200x100 pixels, but only .* is free: "
        "free some "
    )
    with pytest.raises(OptionError, match=line + r"memory, or choose fewer outputs with save"):
        run(network, tmp_path / "out", *pictures, save="npz")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    free(monkeypatch, needed)
    assert run(network, tmp_path / "out", *pictures, save="npz").done == count
    # What is there already takes nothing more, and where nothing is known all is tried.
    free(monkeypatch, 0)
    assert run(network, tmp_path / "out", *pictures, save="npz").finished_before == count
    free(monkeypatch, None)
    assert run(network, tmp_path / "again", *pictures, save="npz").done == count


@pytest.mark.parametrize("share", [1.0, 1.9, 2.0, 100.0])
def test_with_little_memory_fewer_photographs_are_done_at_once(
    share: float, tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_memory, "thread_count", lambda: 4)
    under_way, most, lock = 0, 0, threading.Lock()
    write = ResultWriter.write

    def slow(self: ResultWriter, *arguments: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.1)
        try:
            return write(self, *arguments)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(ResultWriter, "write", slow)
    free(monkeypatch, int(share * min_memory(["npz"], 20_000, 10**6)))
    summary = run(make_network(), tmp_path / "out", *photographs(tmp_path, 6), save="npz")
    assert summary.done == 6
    assert min(2, int(share)) <= most <= min(4, int(share))


@pytest.mark.parametrize("is_measured", [True, False])
def test_a_photograph_that_does_not_fit_alone_is_passed_over(
    is_measured: bool, tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = photographs(tmp_path, 3)
    (tmp_path / "large").mkdir()
    [large] = photographs(tmp_path / "large", 1, (800, 600))
    if not is_measured:
        # One in ten thousand is not among those whose headers are read before.
        monkeypatch.setattr(run_module, "_MAX_READ_HEADERS", 1)
    free(monkeypatch, 4 * min_memory(["npz"], 20_000, 10**6))
    summary = run(make_network(), tmp_path / "out", small[0], large, *small[1:], save="npz")
    [failure] = summary.failures
    assert summary.done == 3
    assert failure.startswith(f"{large}: about ")
    assert "of memory is needed for the results of 800x600 pixels" in failure
    assert "make the photograph smaller" in failure


def test_frames_of_a_video_are_compared_at_the_first(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1000)
    summary = run_on_nine_frames(make_network(), tmp_path)
    [failure] = summary.failures
    assert "the results of frames of " in failure
    assert "1 kB is free: free some memory, or choose fewer outputs" in failure
    assert sum(summary.spent.answers.values()) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other units")
@pytest.mark.parametrize("save", ["colour", "npy", "npz", "png16", "normals", "panel", "glb,ply"])
def test_a_photograph_takes_what_was_computed_and_at_most_twice(save: str, tmp_path: Path) -> None:
    """Memory by which two sizes differ, so that the program and its network do not count."""
    taken, computed = [], []
    for name, size in (("small", (1600, 1200)), ("large", (4800, 3600))):
        (tmp_path / name).mkdir()
        [photo] = photographs(tmp_path / name, 1, size)
        words = ["predict", str(photo), "--save", save, "-o", str(tmp_path / "out" / name)]
        taken.append(peak_memory([*words, "--surface-points", "300000"], tmp_path / "peak"))
        computed.append(min_memory(save.split(","), size[0] * size[1], 300_000))
    ratio = (taken[1] - taken[0]) / (computed[1] - computed[0])
    assert 1 <= ratio <= 2, {"taken": taken, "computed": computed}


def test_photographs_that_all_fit_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_memory, "thread_count", lambda: 4)
    sizes, needed = [(100, 100)] * 9 + [(100, 200)], 20_000
    for count, together in ((1, 1), (3, 3), (10, 4)):
        free(monkeypatch, together * needed)
        assert photo_memory.photo_memory(sizes[-count:], math.prod).at_once is None
        free(monkeypatch, together * needed - 1)
        if together > 1:
            assert photo_memory.photo_memory(sizes[-count:], math.prod).at_once == together - 1
