"""Training frames of shards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.making.distil.frames.frame_batches import collate
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.shards import read_shard
from rilievo.errors import InputError


def write_shard(path: Path, *, frames: int, metres: float, sky: bool = False) -> None:
    log_depth = np.full((frames, 12, 16), np.log(metres), np.float16)
    normals = np.zeros((frames, 3, 12, 16), np.int8)
    normals[:, 2] = -127
    if sky:
        log_depth[:, :4], normals[:, :, :4] = np.inf, 0
    image = np.full((frames, 12, 16, 3), int(metres), np.uint8)
    focal = np.full(frames, 20, np.float32)
    np.savez(path, image=image, log_depth=log_depth, normals=normals, focal=focal)


def test_sky_and_far_surfaces_are_told_apart(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.npz", frames=1, metres=250.0, sky=True)
    frame = read_shard(tmp_path / "shard-00000.npz").frame(0)
    assert frame.sky[:4].all()
    assert not frame.sky[4:].any()
    assert not (frame.sky & frame.valid).any()
    np.testing.assert_allclose(frame.log_depth[4:], np.log(200), rtol=1e-6)
    assert np.isfinite(frame.log_depth).all()


def test_new_shards_are_taken_in_and_the_first_is_held_out(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.npz", frames=2, metres=1)
    write_shard(tmp_path / "shard-00001.npz", frames=3, metres=2)
    pool = ShardPool(tmp_path, outdoors=0.0)
    assert len(pool) == 3
    assert pool.held_out is not None
    assert pool.held_out.image[0, 0, 0, 0] == 1
    write_shard(tmp_path / "shard-00002.npz", frames=4, metres=3)
    pool.scan()
    pool.scan()
    assert len(pool) == 7


def test_shards_of_folders_and_links_inside_are_taken_in(tmp_path: Path) -> None:
    for folder, frames in (("near", 2), ("rooms", 3)):
        (tmp_path / folder).mkdir()
        write_shard(tmp_path / folder / "shard-00000.npz", frames=frames, metres=1)
    (tmp_path / "all").mkdir()
    for folder in ("near", "rooms"):
        (tmp_path / "all" / folder).symlink_to(tmp_path / folder)
    pool = ShardPool(tmp_path / "all", outdoors=0.0)
    assert len(pool) == 3
    write_shard(tmp_path / "near" / "shard-00001.npz", frames=4, metres=1)
    pool.scan()
    assert len(pool) == 7


def test_outdoors_come_with_the_share_asked_for(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.npz", frames=1, metres=1)
    write_shard(tmp_path / "shard-00001.npz", frames=30, metres=2)
    write_shard(tmp_path / "shard-00002.npz", frames=2, metres=30)
    write_shard(tmp_path / "shard-00003.npz", frames=2, metres=5, sky=True)
    pool, random = ShardPool(tmp_path, outdoors=0.4), np.random.default_rng(0)
    drawn = [int(pool.draw(random).image[0, 0, 0]) for _ in range(500)]
    assert sum(metres in (5, 30) for metres in drawn) / 500 == pytest.approx(0.4, abs=0.07)
    assert set(drawn) == {2, 5, 30}


def test_an_empty_folder_and_a_broken_shard_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render some first"):
        ShardPool(tmp_path, outdoors=0.3)
    with pytest.raises(InputError, match="no folder"):
        ShardPool(tmp_path / "absent", outdoors=0.3)
    path = tmp_path / "shard-00000.npz"
    path.write_bytes(b"PK not really")
    with pytest.raises(InputError, match=r"shard-00000\.npz: not a shard"):
        read_shard(path)
    np.savez(
        path,
        image=np.zeros((2, 4, 4, 3), np.uint8),
        log_depth=np.zeros((1, 4, 4)),
        normals=np.zeros((2, 3, 4, 4)),
        focal=np.zeros(2, np.float32),
    )
    with pytest.raises(InputError, match=r"image is .* expected"):
        read_shard(path)
    np.savez(path, image=np.zeros((1, 4, 4, 3), np.uint8), log_depth=np.zeros((1, 4, 4)))
    with pytest.raises(InputError, match=r"00000\.npz: .*: it has no 'normals'; render it anew$"):
        read_shard(path)


def test_sky_is_known_of_rendered_frames_alone(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.npz", frames=1, metres=2.0, sky=True)
    frame = read_shard(tmp_path / "shard-00000.npz").frame(0)
    batch = collate([replace(frame, is_rendered=flag) for flag in (True, False)])
    assert batch.marked[0].all()
    assert not batch.marked[1].any()
