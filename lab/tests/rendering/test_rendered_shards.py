"""Shards of rendered frames: the same from any number of workers, whole, resumed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lab.scenes import ShardPlan, make_textures, render, write_shards
from lab.scenes.pictures import scikit_image_photographs
from lab.scenes.shards import missing_shards, shard_path
from rilievo.errors import OptionError, OutputError


def plan_of(folder: Path) -> ShardPlan:
    """Six frames in two shards."""
    return ShardPlan(
        count=6,
        seed=7,
        size=(16, 24),
        photos=(),
        folder=folder,
        frames_per_shard=4,
        texture_share=0.01,
    )


@pytest.mark.slow
def test_shards_resume_and_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    alone, together = plan_of(tmp_path / "alone"), plan_of(tmp_path / "together")
    assert sorted(write_shards(alone, 1)) == [shard_path(alone, 0), shard_path(alone, 1)]
    before = shard_path(alone, 0).stat().st_mtime_ns
    shard_path(alone, 1).unlink()
    assert missing_shards(alone) == [1]
    assert list(write_shards(alone, 1)) == [shard_path(alone, 1)]
    assert shard_path(alone, 0).stat().st_mtime_ns == before
    assert len(list(write_shards(together, 2))) == 2
    assert {path.name for path in together.folder.iterdir()} == {
        "shard-00000.npz",
        "shard-00001.npz",
    }
    for k in range(2):
        with np.load(shard_path(alone, k)) as one, np.load(shard_path(together, k)) as other:
            for name in ("image", "log_depth", "normals"):
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_a_shard_holds_what_render_gives(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    first, last = write_shards(plan, 1)
    with np.load(first) as shard, np.load(last) as rest:
        assert rest["image"].shape == (2, 16, 24, 3)
        image, log_depth, normals = shard["image"], shard["log_depth"], shard["normals"]
    assert image.shape == (4, 16, 24, 3)
    bank = make_textures(scikit_image_photographs(), share=0.01)
    for k in range(4):
        sample = render(7 * 2**32 + k, size=(16, 24), textures=bank)
        assert sample.depth is not None
        assert sample.normals is not None
        valid = sample.depth_valid
        np.testing.assert_array_equal(image[k], sample.image)
        np.testing.assert_array_equal(np.isposinf(log_depth[k]), sample.sky)
        logarithm = log_depth[k][valid].astype(float)
        np.testing.assert_allclose(np.exp(logarithm), sample.depth[valid], rtol=3e-3)
        np.testing.assert_allclose(normals[k][:, valid] / 127, sample.normals[:, valid], atol=0.004)
        assert not normals[k][:, sample.sky].any()


@pytest.mark.parametrize(
    ("count", "size", "said"), [(0, (16, 24), "--count"), (5, (8, 24), "--size")]
)
def test_a_plan_that_cannot_be_is_refused(count: int, size: tuple[int, int], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        ShardPlan(count=count, seed=0, size=size, photos=(), folder=Path("x"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        list(write_shards(plan_of(tmp_path / "file" / "shards"), 1))


@pytest.mark.slow
def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.scenes", "--count", "0"]
    done = subprocess.run([*command, "-o", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "--count is at least 1, got 0\n"
