"""Frames as files: whole, resumed, and read as the dataset ``synthetic`` to the bit."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lab.scenes import Kind, command, make_textures, render
from lab.scenes.frame_files import FilePlan, image_path, missing_files, write_files
from lab.scenes.pictures import scikit_image_photographs
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset

FIRST_SEED = 2**31
"""Seed of the guide's frames, so that frame n has the seed ``2**63 + n``."""


def plan_of(folder: Path) -> FilePlan:
    return FilePlan(
        count=2, seed=FIRST_SEED, size=(48, 64), photos=(), folder=folder,
        kind=Kind.OPEN_GROUND, texture_share=0.01,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "frames"
    plan = plan_of(folder)
    assert list(write_files(plan, 1)) == [image_path(plan, index) for index in range(2)]
    return folder


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return open_dataset("synthetic", folder)


def test_the_dataset_reads_what_was_rendered(dataset: Dataset) -> None:
    assert dataset.ids == ("0000000001", "0000000002")
    bank = make_textures(scikit_image_photographs(), share=0.01)
    for sample in dataset:
        frame = render(2**63 + int(sample.id), size=(48, 64), textures=bank, kind=Kind.OPEN_GROUND)
        for name in ("image", "depth", "depth_valid", "normals_valid", "sky"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(frame, name))
        assert frame.sky is not None
        assert frame.sky.any()
        assert sample.normals is not None
        assert frame.normals is not None
        surface = ~frame.sky
        np.testing.assert_allclose(
            sample.normals[:, surface], frame.normals[:, surface], rtol=0, atol=1e-6
        )
        assert sample.camera is not None
        assert frame.camera is not None
        np.testing.assert_allclose(sample.camera.K, frame.camera.K, rtol=1e-11)


def test_frames_resume(folder: Path) -> None:
    plan = plan_of(folder)
    assert missing_files(plan) == []
    second = image_path(plan, 1)
    before = second.read_bytes()
    second.unlink()
    first = image_path(plan, 0).stat().st_mtime_ns
    assert list(write_files(plan, 1)) == [second]
    assert second.read_bytes() == before
    assert image_path(plan, 0).stat().st_mtime_ns == first


def test_files_and_clips_are_refused_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scenes", "--files", "--clips", "2", "-o", str(tmp_path)])
    assert command.main() == 2
    assert capsys.readouterr().err == (
        "--files is about single frames: give either it or --clips\n"
    )
