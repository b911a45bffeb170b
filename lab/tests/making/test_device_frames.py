"""Frames on a device: what turned cameras see, faults, shares, files to carry."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import coffee

from lab.making.carried_frames import read_carried, shard_frames, write_carried
from lab.making.device_batches import DeviceMix, as_batch, make_device_batch, pasted
from lab.making.device_faults import blurred, compressed, degraded
from lab.making.device_store import FrameStore, kind_of
from lab.making.device_windows import Turns, cut, rotations, seen_camera, windows
from lab.making.distil.frames.training_frames import Frame
from lab.making.turning import seen_by, window
from rilievo.geometry.transforms import rotation_from_axis_angle

CPU = torch.device("cpu")
CAMERA = (210.0, 210.0, 127.5, 95.5)
ANGLES = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.3), (0.1, -0.05, -0.2)]


def hill(seed: int = 0, *, size: tuple[int, int] = (192, 256), sky: bool = True) -> Frame:
    """A wavy surface under a sky, with smooth random colours."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]] / 40.0
    log_depth = (1.0 + 0.3 * np.sin(columns + seed) + 0.2 * np.cos(rows)).astype(np.float32)
    above = (rows < 0.8) & sky
    small = random.integers(0, 255, (12, 16, 3), np.uint8)
    image = np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))
    normals = np.stack([np.sin(columns), np.cos(rows), -2 * np.ones(size)])
    normals = np.rint(127 * normals / np.linalg.norm(normals, axis=0)).astype(np.int8)
    return Frame(
        image=image,
        log_depth=log_depth,
        valid=~above,
        sky=above,
        normals=normals,
        normals_valid=~above,
        camera=CAMERA,
        is_rendered=True,
    )


def store_of(
    tmp_path: Path, frames: dict[str, list[Frame]], *, rendered: bool = True
) -> FrameStore:
    for kind, some in frames.items():
        write_carried(tmp_path / f"{kind}.frames", some, is_rendered=rendered)
    store = FrameStore(CPU)
    store.scan(tmp_path)
    return store


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("shape", [(96, 128), (64, 192)])
def test_a_camera_on_the_device_sees_what_one_of_turning_sees(
    tmp_path: Path, angles: tuple[float, float, float], shape: tuple[int, int]
) -> None:
    frame, R = hill(), rotation_from_axis_angle(np.array(angles))
    frames = store_of(tmp_path, {"hills": [frame]}).chunks["hills"][0]
    turn = rotations(torch.tensor([angles], dtype=torch.float32))
    np.testing.assert_allclose(turn[0], R, atol=1e-6)
    camera = window(frame, R, shape, scale=0.9, shift=(0.2, -0.3))
    ours = seen_camera(
        frames.camera, frames.size, turn, shape, torch.tensor([0.9]), torch.tensor([[0.2, -0.3]])
    )
    np.testing.assert_allclose(ours[0], camera, rtol=2e-4)
    seen = cut(frames, torch.tensor([0]), turn, ours, shape, mirrored=torch.tensor([False]))
    other = seen_by(frame, R, camera, shape)
    same = seen.valid[0].numpy() == other.valid
    assert same.mean() > 0.99
    both = seen.valid[0].numpy() & other.valid
    difference = np.abs(seen.log_depth[0].numpy() - other.log_depth)[both]
    assert np.quantile(difference, 0.99) < 0.02
    assert difference.mean() < 4e-3
    normals = seen.normals[0].numpy() - other.normals / 127
    assert np.abs(normals[:, both]).mean() < 0.05  # stored at a quarter of the size
    assert np.abs(seen.image[0].permute(1, 2, 0).numpy() - other.image).mean() < 2.5


def test_a_mirrored_view_is_the_view_mirrored(tmp_path: Path) -> None:
    frames = store_of(tmp_path, {"hills": [hill()]}).chunks["hills"][0]
    R, row, shape = rotations(torch.tensor([[0.05, 0.1, 0.2]])), torch.tensor([0]), (96, 128)
    camera = seen_camera(
        frames.camera, frames.size, R, shape, torch.tensor([0.8]), torch.tensor([[0.1, 0.4]])
    )
    plain, mirrored = (
        cut(frames, row, R, camera, shape, mirrored=torch.tensor([flip])) for flip in (False, True)
    )
    torch.testing.assert_close(mirrored.image, plain.image.flip(3), atol=1e-3, rtol=0)
    assert (mirrored.valid == plain.valid.flip(2)).float().mean() > 0.995
    flipped = plain.normals.flip(3) * torch.tensor([-1.0, 1, 1]).view(1, 3, 1, 1)
    assert (mirrored.normals - flipped).abs().mean() < 0.01
    assert float(mirrored.camera[0, 2]) == pytest.approx(127 - float(plain.camera[0, 2]), abs=1e-3)


def test_windows_lie_in_their_frames(tmp_path: Path) -> None:
    frames = store_of(tmp_path, {"hills": [hill(n, sky=False) for n in range(4)]}).chunks["hills"]
    random = torch.Generator().manual_seed(3)
    rows = torch.arange(64) % 4
    for shape in [(96, 128), (128, 96), (64, 192)]:
        seen = windows(frames[0], rows, shape, Turns(share=0.5, roll=15.0), random)
        assert seen.valid.float().mean() > 0.995


@pytest.mark.parametrize("quality", [30, 75])
def test_compression_of_grey_is_that_of_jpeg(quality: int) -> None:
    # Colours have another table in files.
    image = np.repeat(coffee()[:192, :256].mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    theirs = np.asarray(Image.open(file)).astype(np.float32)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    ours = compressed(planes, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    lost = np.abs(theirs - image).mean()
    assert lost > 1
    assert np.abs(ours - theirs).mean() < 0.25 * lost


def test_each_image_has_its_own_blur() -> None:
    image = torch.zeros(3, 3, 33, 33)
    image[:, :, 16, 16] = 1
    spread = blurred(image, torch.tensor([0.0, 0.7, 1.5]))
    torch.testing.assert_close(spread[0], image[0])
    torch.testing.assert_close(spread.sum(dim=(2, 3)), torch.ones(3, 3), atol=1e-4, rtol=0)
    x = torch.arange(33.0) - 16
    for number, deviation in ((1, 0.7), (2, 1.5)):
        variance = (spread[number, 0].sum(dim=0) * x**2).sum()
        assert float(variance) == pytest.approx(deviation**2, rel=0.08)


def test_degraded_images_stay_pixels() -> None:
    image = torch.rand(16, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    out = degraded(image, torch.Generator().manual_seed(1))
    assert out.shape == image.shape
    assert out.min() >= 0
    assert out.max() <= 255
    changed = (out - image).abs().mean(dim=(1, 2, 3)) > 0.5  # the others are rounded alone
    assert changed.float().mean() > 0.75
    assert (out == out.round()).all()


def test_carried_frames_come_back(tmp_path: Path) -> None:
    frames = [hill(1), replace(hill(2), valid=hill(2).valid & (np.arange(256) > 9))]
    path = tmp_path / "hills-3.frames"
    write_carried(path, frames, is_rendered=True)
    back = read_carried(path)
    for number, frame in enumerate(frames):
        log_depth = back.log_depth[number]
        np.testing.assert_array_equal(np.isfinite(log_depth), frame.valid)
        np.testing.assert_array_equal(np.isposinf(log_depth), frame.sky)
        np.testing.assert_allclose(
            log_depth[frame.valid], frame.log_depth[frame.valid], atol=0.0026
        )
        assert np.abs(back.image[number].astype(int) - frame.image).mean() < 3
    np.testing.assert_allclose(back.camera, [CAMERA, CAMERA])
    assert back.is_rendered
    assert path.stat().st_size < 0.2 * sum(f.image.nbytes + f.log_depth.nbytes for f in frames)


def test_a_store_reads_shards_as_frames_that_were_carried(shards: Path, tmp_path: Path) -> None:
    plain, folder = FrameStore(CPU), shards.parent
    plain.scan(folder)
    kind = kind_of(next(folder.glob("**/shard-*.npz")), folder)
    (tmp_path / "carried").mkdir()
    write_carried(tmp_path / "carried" / f"{kind}.frames", shard_frames(shards), is_rendered=True)
    carried = FrameStore(CPU)
    carried.scan(tmp_path / "carried")
    plain.joined()
    (one,), (other,) = plain.chunks[kind], carried.chunks[kind]
    assert one.size == other.size
    assert len(one) == len(other)
    torch.testing.assert_close(one.marks & 3, other.marks & 3)
    torch.testing.assert_close(one.log_depth, other.log_depth, atol=0.01, rtol=0)
    torch.testing.assert_close(one.camera, other.camera)


def test_a_broken_file_is_passed_over_until_it_is_whole(tmp_path: Path) -> None:
    write_carried(tmp_path / "whole.frames", [hill()], is_rendered=True)
    whole = (tmp_path / "whole.frames").read_bytes()
    (tmp_path / "cut.frames").write_bytes(whole[: len(whole) // 2])
    store = FrameStore(CPU)
    assert store.scan(tmp_path) == 1
    assert store.scan(tmp_path) == 0
    (tmp_path / "cut.frames").write_bytes(whole)
    assert store.scan(tmp_path) == 1
    assert store.counts() == {"cut": 1, "whole": 1}


def test_kinds_have_their_shares(tmp_path: Path) -> None:
    # Brightness tells the kind.
    def grey(level: int) -> Frame:
        return replace(hill(sky=False), image=np.full((192, 256, 3), level, np.uint8))

    store = store_of(tmp_path, {"corridors": [grey(20)], "rooms-1": [grey(120)] * 3})
    write_carried(tmp_path / "real.frames", [grey(220)], is_rendered=False)
    store.scan(tmp_path)
    store.joined()
    mix = DeviceMix(real=0.25, weights={"corridors": 0.5}, turns=Turns(share=0), pasted=0)
    random, draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    batch = make_device_batch(store, mix, (32, 32), 2000, random, draws)
    rendered = batch.marked.flatten(1).any(dim=1)
    assert float(rendered.float().mean()) == pytest.approx(0.75, abs=0.04)
    assert batch.valid.all()
    assert batch.image.dtype == torch.uint8


def test_sky_is_twice_as_far_as_the_farthest_surface(tmp_path: Path) -> None:
    frames = store_of(tmp_path, {"hills": [hill()]}).chunks["hills"][0]
    still = rotations(torch.zeros(1, 3))
    shape = (192, 256)
    camera = seen_camera(frames.camera, frames.size, still, shape, torch.ones(1), torch.zeros(1, 2))
    batch = as_batch(cut(frames, torch.tensor([0]), still, camera, shape,
                         mirrored=torch.tensor([False])))  # fmt: skip
    land = batch.log_depth[batch.valid & ~batch.sky]
    above = batch.log_depth[batch.sky]
    assert len(above)
    torch.testing.assert_close(above, (land.max() + np.log(2)).expand_as(above))


def test_what_is_pasted_is_nearer_than_what_it_covers(tmp_path: Path) -> None:
    near = hill(5, sky=False)
    post = np.abs(np.arange(256) - 128) < 40
    near = replace(near, log_depth=np.where(post, near.log_depth - 1.5, near.log_depth))
    hills = hill(6, sky=False)
    # Nearer than the post was in its own frame.
    hills = replace(hills, log_depth=hills.log_depth - 4)
    store = store_of(tmp_path, {"posts": [near], "hills": [hills]})
    shape, still = (96, 128), Turns(share=0.0)
    random = torch.Generator().manual_seed(0)
    parts = [windows(store.chunks[kind][0], torch.zeros(2, dtype=torch.long), shape, still, random)
             for kind in ("posts", "hills")]  # fmt: skip
    both = type(parts[0])(
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in parts[0].__slots__}
    )
    out = pasted(both, torch.ones(4, dtype=torch.bool), 1.0, random)
    changed = (out.log_depth - both.log_depth).abs() > 1e-4
    # The post of the second frame stands before the third one; hills have no gap to give.
    assert changed[2].any()
    assert not changed[[0, 3]].any()
    covered = both.log_depth[2][changed[2]]
    assert out.log_depth[2][changed[2]].max() < covered.min()
