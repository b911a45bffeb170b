"""Memory of a step of training on video: computed before it, compared with what is free."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.io.files import machine
from rilievo.training.commands import train_video as command
from rilievo.training.commands.train_video import parse_and_complete
from rilievo.training.video.video_run import required_memory, train_video
from support.peak_memory import peak_memory
from support.sliding_walls import write_walls
from support.video_runs import CPU, small_config

OPTIONS = ["--encoder", "timm/test_resnet", "--pose", "cnn", "--start", "scratch", "--steps", "1"]
OPTIONS += ["--stride", "1", "--held-out", "0.2", "--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("footage") / "walls", frames=12)


def test_a_step_grows_with_its_pixels_and_leaves_chance_alone(walls: Path) -> None:
    config = small_config(walls)
    state = torch.random.get_rng_state()
    one, two, six = (required_memory(replace(config, batch_size=count)) for count in (1, 2, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert six - one == pytest.approx(5 * (two - one), abs=8)
    height, width = config.blueprint.size
    wide = replace(config, blueprint=replace(config.blueprint, size=(height, 2 * width)))
    assert required_memory(wide) == pytest.approx(
        required_memory(replace(config, batch_size=4)), abs=8
    )
    half = required_memory(replace(config, precision="bf16"))
    assert half < required_memory(config)


def test_a_step_without_memory_is_refused_before_frames_are_decoded(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 1_000_000)
    line = (
        r"^about .* of memory is needed for steps of 2 frames of 96x64 and the neighbouring "
        r"frames, but only 1 MB is "
    )
    with pytest.raises(OptionError, match=line + r"free: free some memory, or use a smaller ba"):
        train_video(small_config(walls), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("free", "end"), [(5 * 10**11, "500 GB is free"), (1000, "precision")])
def test_a_dry_run_says_what_disk_and_memory_it_takes(
    free: int,
    end: str,
    walls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "free_memory", lambda: free)
    out = ["-o", str(tmp_path / "run"), "--dry-run", "--size", "64,96"]
    assert main(["train", "video", str(walls), *out, *OPTIONS]) == 0
    *_, disk, needed, last = capsys.readouterr().out.splitlines()
    assert disk == "disk: about 221 kB for 12 decoded frames of 96x64"
    assert needed.startswith("memory: steps of 12 frames of 96x64 and the neighbouring frames take")
    assert end in needed
    assert "nothing was trained" in last
    assert ("not enough on a CPU" in needed) == (free == 1000)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other units")
def test_a_step_takes_about_what_was_computed(walls: Path, tmp_path: Path) -> None:
    """Memory by which two batches differ, so that the program does not count: .8 to 3 of it.

    Losses take more; of the small batch other parts of the run are the peak.
    """
    taken, computed = [], []
    for count in ("1", "5"):
        words = ("--size", "192,288", "--batch-size", count)
        line = ["train", "video", str(walls), "-o", str(tmp_path / count), *OPTIONS, *words]
        # One step may teach nothing.
        taken.append(peak_memory(line, tmp_path / "peak", codes=(0, 1)))
        _, config = parse_and_complete([str(walls), "-o", "x", *OPTIONS, *words])
        computed.append(required_memory(config))
    ratio = (taken[1] - taken[0]) / (computed[1] - computed[0])
    assert 0.8 <= ratio <= 3, {"taken": taken, "computed": computed}
