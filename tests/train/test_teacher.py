"""Photographs with a teacher's depth as training frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, ModelError, OutputError
from rilievo.models import load_model
from rilievo.train.shards import ShardPool, read_shard
from rilievo.train.teacher import main, write_lessons
from rilievo.types import DepthKind


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photographs of other sizes, and a file that is none."""
    random = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("a.png", "b.png", "broken.png")]
    for path, size in zip(paths, ((90, 140, 3), (160, 100, 3)), strict=False):
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    paths[2].write_bytes(b"no picture")
    return paths


def test_a_teachers_depth_and_normals_become_frames(photos: list[Path], tmp_path: Path) -> None:
    teacher = load_model()
    taken, failures = write_lessons(teacher, photos, tmp_path / "shards", (64, 96))
    assert taken == 2
    assert "broken.png" in str(failures[0])
    shard = read_shard(tmp_path / "shards" / "shard-00000.npz")
    said = teacher.predict([np.asarray(shard.image[0])])[0]
    assert said.depth is not None
    assert said.normals is not None
    frame = shard.frame(0)
    np.testing.assert_allclose(frame.log_depth, np.log(said.depth.values), atol=2e-3)
    np.testing.assert_allclose(frame.normals / 127, said.normals, atol=0.005)
    assert np.isnan(frame.camera[0])
    assert len(ShardPool(tmp_path / "shards", outdoors=0.0)) == 2


def test_no_photograph_at_all_is_refused(photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photograph to learn from"):
        write_lessons(load_model(), photos[2:], tmp_path / "shards", (64, 96))


def test_shards_that_are_there_are_not_overwritten(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "shard-00000.npz").write_bytes(b"hours of rendering")
    with pytest.raises(OutputError, match="holds shards already"):
        write_lessons(load_model(), photos, tmp_path / "shards", (64, 96))
    assert (tmp_path / "shards" / "shard-00000.npz").read_bytes() == b"hours of rendering"


def test_a_folder_without_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no folder with photographs"):
        main("rilievo/small", tmp_path / "nowhere", output=tmp_path / "shards")


def test_a_teacher_whose_depth_has_a_shift_is_refused(photos: list[Path], tmp_path: Path) -> None:
    teacher = load_model()
    teacher.card = replace(teacher.card, kind=DepthKind.AFFINE_INVERSE)
    with pytest.raises(ModelError, match="cannot teach"):
        write_lessons(teacher, photos, tmp_path / "shards", (64, 96))
