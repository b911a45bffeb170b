"""Memory: what photographs and videos need is compared before they begin."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from file_runs import run, run_on_nine_frames
from peak_memory import peak_memory
from rilievo.errors import OptionError
from rilievo.io.files import memory
from rilievo.predicting.photographs.photos import most_at_once
from rilievo.prediction.output import MEMORY_A_PIXEL, memory_of

MakeNetwork = Callable[..., Path]


def free(monkeypatch: pytest.MonkeyPatch, count: int | None) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: count)


def photographs(folder: Path, count: int, size: tuple[int, int] = (200, 100)) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)
    return paths


def test_the_largest_output_of_a_photograph_counts() -> None:
    pixels = 1_000_000
    colour, npz = (memory_of([name], pixels, 0) for name in ("colour", "npz"))
    assert colour >= MEMORY_A_PIXEL * pixels
    assert memory_of(["colour", "npz"], pixels, 0) == npz > colour
    assert memory_of([], pixels, 0) == MEMORY_A_PIXEL * pixels
    few, many = (memory_of(["glb"], pixels, points) for points in (1000, 10**9))
    assert few < many == memory_of(["glb"], pixels, pixels)


@pytest.mark.parametrize("count", [1, 3])
def test_what_photographs_take_is_compared_before_any_work(
    count: int, tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, network = photographs(tmp_path, count), make_network()
    at_once = min(count, most_at_once(20_000))
    needed = at_once * memory_of(["npz"], 20_000, 10**6)
    free(monkeypatch, needed - 1)
    words = f"the results of {at_once} photographs" if at_once > 1 else "the results"
    line = f"^{words} of 200x100 pixels take about .* of memory, and .* are free: free some "
    with pytest.raises(OptionError, match=line + r"memory, or choose fewer outputs with --save"):
        run(network, tmp_path / "out", *photos, save="npz")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    free(monkeypatch, needed)
    assert run(network, tmp_path / "out", *photos, save="npz").done == count
    # What is there already takes nothing more, and where nothing is known all is tried.
    free(monkeypatch, 0)
    assert run(network, tmp_path / "out", *photos, save="npz").finished_before == count
    free(monkeypatch, None)
    assert run(network, tmp_path / "again", *photos, save="npz").done == count


def test_frames_of_a_video_are_compared_at_the_first(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1000)
    summary = run_on_nine_frames(make_network(), tmp_path)
    [failure] = summary.failures
    assert "the results of frames of " in failure
    assert "1 kB are free: free some memory, or choose fewer outputs" in failure
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
        computed.append(memory_of(save.split(","), size[0] * size[1], 300_000))
    ratio = (taken[1] - taken[0]) / (computed[1] - computed[0])
    assert 1 <= ratio <= 2, {"taken": taken, "computed": computed}
