"""Clips on disk: whole, resumed, the same from any number of workers, read as a folder."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.scenes import (
    ClipPlan,
    Kind,
    command,
    make_textures,
    render_clip,
    write_clips,
)
from lab.scenes.clip import Clip
from lab.scenes.clip_folders import clip_path, depth_scale, missing_clips
from lab.scenes.pictures import scikit_image_photographs
from rilievo.data.datasets import open_dataset
from rilievo.errors import OptionError


def plan_of(folder: Path) -> ClipPlan:
    """Three clips of two frames, one of them with sky."""
    return ClipPlan(
        count=3, seed=7, size=(48, 64), photos=(), folder=folder, frames=2,
        kind=Kind.OPEN_GROUND, texture_share=0.01,
    )  # fmt: skip


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    bank = make_textures(scikit_image_photographs(), share=0.01)
    return [
        render_clip(7 * 2**32 + k, frames=2, size=(48, 64), textures=bank, kind=Kind.OPEN_GROUND)
        for k in range(3)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "clips"
    assert len(list(write_clips(plan_of(folder), 1))) == 3
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_clip_has_the_files_that_are_promised(folder: Path) -> None:
    assert sorted(contents(folder / "clip-00001")) == [
        "depth/000000.png",
        "depth/000001.png",
        "images/000000.png",
        "images/000001.png",
        "intrinsics.txt",
        "poses.txt",
        "rilievo.yaml",
    ]


@pytest.mark.slow
def test_clips_resume_and_do_not_depend_on_the_number_of_workers(
    folder: Path, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path / "together")
    assert sorted(write_clips(plan, 2)) == [clip_path(plan, k) for k in range(3)]
    assert contents(plan.folder) == contents(folder)
    for path in clip_path(plan, 1).rglob("*.*"):
        path.unlink()
    for name in ("images", "depth"):
        (clip_path(plan, 1) / name).rmdir()
    clip_path(plan, 1).rmdir()
    before = (clip_path(plan, 0) / "poses.txt").stat().st_mtime_ns
    assert missing_clips(plan) == [1]
    assert list(write_clips(plan, 1)) == [clip_path(plan, 1)]
    assert contents(plan.folder) == contents(folder)
    assert (clip_path(plan, 0) / "poses.txt").stat().st_mtime_ns == before


def test_the_folder_dataset_reads_what_was_rendered(folder: Path, clips: list[Clip]) -> None:
    seen_sky = False
    for index, clip in enumerate(clips):
        read = open_dataset("folder", folder / f"clip-{index:05d}")
        assert read.ids == ("000000", "000001")
        for sample, frame in zip(read, clip.frames, strict=True):
            np.testing.assert_array_equal(sample.image, frame.image)
            np.testing.assert_array_equal(sample.depth_valid, frame.depth_valid)
            np.testing.assert_array_equal(sample.sky, frame.sky)
            assert sample.depth is not None
            assert frame.depth is not None
            assert frame.sky is not None
            assert sample.camera is not None
            assert frame.camera is not None
            error = np.abs(sample.depth - frame.depth)[frame.depth_valid]
            assert error.max() <= 0.5 * depth_scale(clip) + 1e-4
            np.testing.assert_allclose(sample.camera.K, frame.camera.K, rtol=1e-11)
            seen_sky |= bool(frame.sky.any())
    assert seen_sky


@pytest.mark.slow
def test_poses_are_lines_of_three_by_four(folder: Path, clips: list[Clip]) -> None:
    for index, clip in enumerate(clips):
        rows = np.loadtxt(folder / f"clip-{index:05d}" / "poses.txt")
        assert rows.shape == (2, 12)
        for row, frame in zip(rows, clip.frames, strict=True):
            assert frame.world_T_cam is not None
            np.testing.assert_allclose(row.reshape(3, 4), frame.world_T_cam[:3], rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("farthest", "scale"),
    [(6.5, 0.0001), (6.6, 0.0002), (13.2, 0.0005), (65.0, 0.001), (327.6, 0.005), (327.7, 0.01)],
)
def test_the_step_of_depth_is_the_finest_that_reaches(
    clips: list[Clip], farthest: float, scale: float
) -> None:
    """65534 steps of 0.1 mm reach 6.5534 m, and so on."""
    frame = clips[0].frames[0]
    assert frame.depth is not None
    depth = np.full_like(frame.depth, farthest)
    assert depth_scale(Clip(id="x", frames=(replace(frame, depth=depth),))) == scale


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 0}, "--clips is at least 1, got 0"),
        ({"frames": 0}, "--frames is at least 1, got 0"),
        ({"step": 0.0}, r"--step is a positive number of metres, got 0\.0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, int | float], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        replace(plan_of(Path("x")), **change)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--clips 2 --count 3", "--count is about single frames: give either it or --clips\n"),
        ("--frames 2", "--frames is about clips: say how many with --clips\n"),
        ("--clips 1 --workers 0", "--workers is at least 1, got 0\n"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthetic", *options.split(), "-o", str(tmp_path)])
    assert command.main() == 2
    assert capsys.readouterr().err == said


@pytest.mark.slow
def test_the_command_draws_a_sheet_of_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = make_textures([], share=0.01)
    monkeypatch.setattr(command, "textures_of", lambda plan: bank)
    sheet = tmp_path / "sheet.png"
    options = f"--clips 2 --frames 3 --size 48 64 --step 0.03 --contact-sheet {sheet}"
    monkeypatch.setattr(sys, "argv", ["synthetic", *options.split()])
    assert command.main() == 0
    with Image.open(sheet) as image:
        assert image.size == (3 * 3 * 64, 2 * 48)
