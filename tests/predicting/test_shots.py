"""Shots of a film with borders of their own: each is predicted as it would be alone."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.io.json_record import from_json
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import Frame, FrameSource
from rilievo.io.videos.video import VideoReader
from rilievo.models.base import Inference
from rilievo.models.refinement.trimming import Trimmed
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.videos import clip_outputs
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.clip_outputs import ClipSidecar
from rilievo.predicting.videos.shot_borders import ShotBorders
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.clips import Clip, write_clip
from support.grids import mostly_slow
from support.relief import Relief

MakeNetwork = Callable[..., Path]
SIZE = (120, 160)
BARS = (20, 0, 36)
"""Rows of the black bars of each shot, at the top and at the bottom."""
LENGTHS = (9, 12, 10)
STARTS = (0, 9, 21)


def scene(seed: int) -> np.ndarray:
    """A bright picture, three times as wide as a frame."""
    coarse = np.random.default_rng(seed).integers(70, 250, (15, 60, 3)).astype(np.uint8)
    size = (3 * SIZE[1], SIZE[0])
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def shot(picture: np.ndarray, bars: int, length: int, start: int = 0) -> list[np.ndarray]:
    """Frames of a camera that pans over a picture, behind bars."""
    frames = []
    for number in range(start, start + length):
        frame = picture[:, 3 * number : 3 * number + SIZE[1]].copy()
        frame[:bars] = frame[SIZE[0] - bars :] = 0
        frames.append(frame)
    return frames


def shots(*seeds: int) -> list[list[np.ndarray]]:
    """Three shots; those of one seed go on where the one before ends."""
    return [
        shot(scene(seed), bars, length, start)
        for seed, bars, length, start in zip(seeds, BARS, LENGTHS, STARTS, strict=True)
    ]


class Looking(Relief):
    """Depth, and a focal length, that come from the picture."""

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        height, width = photo.shape[0] // 2, photo.shape[1] // 2
        grey = photo.pixels[: 2 * height : 2, : 2 * width : 2].mean(axis=2) / 255
        assert answer.depth is not None
        depth = answer.depth * (1 + photo.pixels.mean() / 255) + grey.astype(np.float32)
        camera = Camera(
            K=K_from_focal(100 + photo.pixels.mean(), 100 + photo.pixels.mean(), photo.shape),
            source=CameraSource.PREDICTED,
        )
        return replace(answer, depth=depth, camera=camera)


def film(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """A film without loss."""
    return write_clip(path, Clip(pictures=frames, codec="ffv1"))


def folder_of(path: Path, frames: Sequence[np.ndarray]) -> Path:
    path.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{number:06d}.png")
    return path


def predicted(source: Path, target: Path, kind: DepthKind = DepthKind.UP_TO_SCALE) -> ClipSidecar:
    frames = FrameFolder(source) if source.is_dir() else VideoReader(source)
    return predict_clip(
        frames, Trimmed(Looking(kind=kind)), target, ClipOptions(outputs=("npz",), batch_size=4)
    )


def compare_with_alone(whole: Path, alone: Sequence[Path]) -> None:
    """Compare the frames of a film with those of its shots alone."""
    frames = iter(sorted(whole.iterdir()))
    for part in alone:
        for path in sorted(part.iterdir()):
            with np.load(next(frames)) as film_arrays, np.load(path) as arrays:
                valid = arrays["valid"]
                np.testing.assert_array_equal(film_arrays["valid"], valid)
                depth, expected = film_arrays["depth"][valid], arrays["depth"][valid]
                np.testing.assert_allclose(depth, expected, rtol=1e-3)
                np.testing.assert_allclose(film_arrays["K"], arrays["K"], rtol=1e-3)
                np.testing.assert_allclose(film_arrays["normals"], arrays["normals"], atol=1e-3)
    assert next(frames, None) is None


@pytest.mark.parametrize(
    ("seeds", "is_folder", "kind"),
    mostly_slow([(1, 2, 3), (1, 1, 1)], [False, True], [DepthKind.UP_TO_SCALE, DepthKind.AFFINE]),
)
def test_each_shot_of_a_film_is_as_it_is_alone(
    tmp_path: Path, seeds: tuple[int, ...], is_folder: bool, kind: DepthKind
) -> None:
    parts = shots(*seeds)
    write, suffix = (folder_of, "") if is_folder else (film, ".mkv")
    whole = write(tmp_path / f"film{suffix}", [frame for part in parts for frame in part])
    sidecar = predicted(whole, tmp_path / "whole", kind)
    own = [
        predicted(write(tmp_path / f"{number}{suffix}", part), tmp_path / f"alone{number}", kind)
        for number, part in enumerate(parts)
    ]
    assert [photograph.video.shots for photograph in own] == [(0,)] * 3
    alone = [tmp_path / f"alone{number}.frames" for number in range(3)]
    compare_with_alone(tmp_path / "whole.frames", alone)
    for part, photograph in zip(alone, own, strict=True):
        with np.load(part / "000003.npz") as arrays:
            assert photograph.camera is not None
            np.testing.assert_array_equal(arrays["K"], photograph.camera.K)
    assert sidecar.video.cameras == tuple(photograph.camera for photograph in own)
    assert sidecar.video.shots == STARTS
    assert [(border.top, border.bottom) for border in sidecar.video.borders] == [
        (n, n) for n in BARS
    ]
    [note] = [note for note in sidecar.video.notes if "border" in note]
    assert "frames 0 to 8: top 20, bottom 20 px" in note
    assert "frames 21 to 30: top 36, bottom 36 px" in note
    assert not [note for note in sidecar.notes or () if "border" in note]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux names a file without a name")
def test_a_film_that_a_full_disk_stopped_keeps_the_borders_of_its_shots(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Upright, so that the assumed focal length depends on the bars.
    frames = [frame[:, :100] for part in shots(1, 2, 3) for frame in part]
    clip, network = film(tmp_path / "film.mkv", frames), make_network()

    def run(output: Path) -> list[str]:
        options = PredictOptions(model=str(network), output=output, save="npz,colour,png16")
        summary = predict_files([clip], options, show=False)
        return [*summary.failures]

    assert run(tmp_path / "whole") == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(clip_outputs.FolderSink, "finish", full)
        [failure] = run(tmp_path / "out")
    assert "the same command resumes from them" in failure
    assert run(tmp_path / "out") == []
    for path in (tmp_path / "whole").rglob("*.*"):
        if path.is_file():
            assert (
                path.read_bytes()
                == (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes()
            ), path
    text = (tmp_path / "out" / "film.json").read_text()
    video = from_json(ClipSidecar, text).video
    assert video.shots == STARTS
    assert [border.top for border in video.borders] == list(BARS)
    focal = [camera.K[0][0] for camera in video.cameras if camera.K is not None]
    np.testing.assert_allclose(np.divide(focal, focal[1]), [100 / 120, 1, 100 / 120])


class Frames(FrameSource):
    """Frames in memory, which counts how many were read."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.photos, self.reads = photos, [0]

    def __iter__(self) -> Iterator[Frame]:
        for index, photo in enumerate(self.photos):
            self.reads[0] += 1
            yield Frame(photo=photo, index=index, ticks=index)


def borders_of(frames: Sequence[np.ndarray], hidden: np.ndarray | None = None) -> list[Margins]:
    photos = [Photo(pixels=pixels, transparent=hidden) for pixels in frames]
    borders = ShotBorders(Frames(photos))
    return [borders.frame_margins(index, photo) for index, photo in enumerate(photos)]


def test_a_video_without_bars_is_read_once_and_one_with_bars_at_most_twice() -> None:
    full, boxed = shot(scene(1), 0, 30), shot(scene(2), 20, 5)
    for frames, most in ((full, 0), (full + boxed, 35), (boxed + full, 6)):
        photos = [Photo(pixels=pixels) for pixels in frames]
        source = Frames(photos)
        borders = ShotBorders(source)
        for index, photo in enumerate(photos):
            borders.frame_margins(index, photo)
        assert source.reads == [most]


def test_a_dark_scene_that_is_lit_up_within_a_shot_has_no_bars() -> None:
    lit, boxed = shot(scene(1), 0, 30), shot(scene(1), 20, 30)
    light = np.linspace(0, 1, 30)
    frames = [
        (share * one + (1 - share) * other).astype(np.uint8)
        for share, one, other in zip(light, lit, boxed, strict=True)
    ]
    assert borders_of(frames) == [Margins()] * 30


def test_a_subtitle_in_a_bar_ends_the_bars_of_its_shot_alone() -> None:
    parts = shots(1, 2, 3)
    for frame in parts[0][4:6]:
        frame[105:112, 40:120] = 255
    frames = [frame for part in parts for frame in part]
    lit = [Margins()] * (LENGTHS[0] + LENGTHS[1])
    assert borders_of(frames) == [*lit, *[Margins(top=36, bottom=36)] * LENGTHS[2]]


def test_a_shot_that_fades_in_from_black_keeps_its_bars() -> None:
    faded = [
        (frame * min(1, number / 12)).astype(np.uint8)
        for number, frame in enumerate(shot(scene(1), 20, 20))
    ]
    assert borders_of(faded) == [Margins(top=20, bottom=20)] * 20


def test_bars_beside_an_upright_shot_are_its_own() -> None:
    upright = [np.ascontiguousarray(frame.swapaxes(0, 1)) for frame in shot(scene(1), 30, 8)]
    full = [frame.swapaxes(0, 1) for frame in shot(scene(2), 0, 8)]
    narrow = Margins(left=30, right=30)
    assert borders_of(upright + full) == [narrow] * 8 + [Margins()] * 8
    assert borders_of(full + upright) == [Margins()] * 8 + [narrow] * 8


def test_transparent_sides_of_frames_are_no_bars() -> None:
    hidden = np.zeros(SIZE, bool)
    hidden[:20] = hidden[-20:] = True
    frames = shot(scene(1), 20, 8)
    assert borders_of(frames) == [Margins(top=20, bottom=20)] * 8
    assert borders_of(frames, hidden) == [Margins()] * 8
