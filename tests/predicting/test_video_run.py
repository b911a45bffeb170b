"""``rilievo predict`` over videos and folders of frames, with a network whose answer is known."""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.json_record import from_json
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.io.verification import verify
from rilievo.io.videos.video import VideoReader
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from rilievo.predicting.videos.clip_outputs import ClipSidecar, find_clip_sidecar
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind
from support.clips import Clip, numbered, write_clip

MakeNetwork = Callable[..., Path]
SUFFIXES = (".depth.npy", ".glb")


def run(network: Path, output: Path, *inputs: Path, **options: object) -> RunSummary:
    given = PredictOptions(model=str(network), output=output, **options)  # pyright: ignore
    return predict_files(inputs, given, show=False)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_lens_is_compared_with_the_frames_of_a_video(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    """Depth alone needs no pixels a second time, but a named lens is checked with them."""
    write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3, (64, 128))))
    words = ("--projection", "equirect:180x90", "-m", str(make_network()), "--save", "colour")
    assert main(["predict", str(tmp_path / "clip.mp4"), "-o", str(tmp_path / "out"), *words]) == 0


def test_videos_and_photographs_of_one_folder_are_done(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    write_clip(source / "deep" / "clip.mp4", Clip(pictures=numbered(5)))
    (source / "broken.mp4").write_bytes(b"nothing")
    Image.fromarray(numbered(1)[0]).save(source / "photo.png")
    summary = run(make_network(), tmp_path / "out", source)
    assert (summary.done, summary.failed, summary.exit_code) == (2, 1, 1)
    assert summary.failures[0].startswith(f"{source / 'broken.mp4'}: ")
    assert sum(summary.spent.answers.values()) == 6
    assert names(tmp_path / "out") == {"photo.depth.png", "photo.json", "deep"}
    assert names(tmp_path / "out" / "deep") == {"clip.depth.mp4", "clip.json"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "depth along the optical axis"),
        ({"fov": 60.0}, "depth along the optical axis"),
        ({"projection": "fisheye:150"}, "distance along the ray"),
        ({"projection": "equirect:180x90"}, "distance along the ray"),
    ],
)
def test_the_json_of_a_video_says_along_what_depth_is(
    tmp_path: Path, make_network: MakeNetwork, options: dict[str, Any], words: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3, (64, 128))))
    assert run(make_network(), tmp_path, clip, save="png16,npy", **options).done == 1
    record = json.loads((tmp_path / "clip.json").read_text())
    assert record["depth"]["meaning"].startswith(words)
    assert len(record["files"]) == 2
    assert all(words in file["holds"] for file in record["files"])


def test_a_truncated_video_keeps_its_frames_and_ends_with_1(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    """As a truncated photograph does, also if the command is repeated."""
    network, out = make_network(), tmp_path / "out"
    whole = write_clip(tmp_path / "whole.mkv", Clip(pictures=numbered(20), key_every=4))
    clip = write_clip(tmp_path / "clip.mkv", Clip(pictures=numbered(20), key_every=4))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    assert run(network, out, whole, save="npy").exit_code == 0
    summary = run(network, out, whole, clip, save="npy")
    assert (summary.done, summary.finished_before, summary.failed) == (1, 1, 0)
    assert (summary.incomplete, summary.exit_code) == (1, 1)
    frames = from_json(ClipSidecar, (out / "clip.json").read_text()).video.frames
    assert 0 < frames < 20
    assert len(names(out / "clip.frames")) == frames
    again = run(network, out, clip, save="npy")
    assert (again.done, again.finished_before, again.exit_code) == (0, 1, 1)
    assert "the video is broken" in again.notes[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"video": {"faults": 3}}', "\x00"])
def test_a_json_of_a_video_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    assert find_clip_sidecar(path) is None
    path.write_text(text)
    assert find_clip_sidecar(path) is None


@pytest.mark.slow
def test_a_finished_video_is_passed_over_and_a_changed_one_is_not(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network, out = make_network(), tmp_path / "out"
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(5)))
    assert run(network, out, clip, save="colour,npy").done == 1
    again = run(network, out, clip, save="colour,npy")
    assert (again.done, again.finished_before) == (0, 1)
    other = run(network, out, clip, save="colour,npy", independent=True)
    assert other.failed == 1
    assert "different options (independent was False and is now True)" in other.failures[0]
    more = run(network, out, clip, save="png16,npz")
    assert (more.done, more.finished_before) == (1, 0)
    sidecar = read_sidecar(out / "clip.json")
    assert {facts.output for facts in sidecar.files} == {"colour", "npy", "png16", "npz"}
    assert (out / "clip.frames/000000.depth.npy").is_file()
    (out / "clip.depth.mp4").unlink()
    assert run(network, out, clip, save="colour").done == 1
    assert run(network, out, clip, save="colour", overwrite=True).done == 1


def test_the_user_names_camera_and_known_point(tmp_path: Path, make_network: MakeNetwork) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(5)))
    summary = run(
        make_network(), tmp_path / "out", clip, save="png16", fov=60.0, known=("64,70,2",)
    )
    assert summary.done == 1
    assert summary.frames == 5
    assert "(5 frames, " in str(summary)
    sidecar = read_sidecar(tmp_path / "out" / "clip.json")
    assert sidecar.camera is not None
    assert sidecar.camera.source is CameraSource.FOV
    assert sidecar.camera.horizontal_fov == pytest.approx(60.0)
    assert sidecar.depth is not None
    assert sidecar.depth.kind is DepthKind.METRIC
    assert sidecar.calibration is not None
    assert sidecar.calibration.asked == ("64,70,2",)


def test_one_known_point_scales_a_whole_clip(tmp_path: Path, make_network: MakeNetwork) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3)))
    run(make_network(), tmp_path / "free", clip, save="npy")
    run(make_network(), tmp_path / "known", clip, save="npy", known=("64,70,2",))
    factors = [
        np.load(tmp_path / "known" / place) / np.load(tmp_path / "free" / place)
        for place in (f"clip.frames/{frame:06}.depth.npy" for frame in range(3))
    ]
    assert np.ptp(factors) < 1e-4 * np.mean(factors)
    assert np.load(tmp_path / "known/clip.frames/000000.depth.npy")[70, 64] == pytest.approx(2)


def test_a_known_point_outside_fails_the_video_alone(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(5)))
    summary = run(make_network(), tmp_path / "out", clip, known=("640,70,2.0",))
    assert (summary.done, summary.failed) == (0, 1)
    assert summary.failures[0].startswith(f"{clip}: ")
    assert names(tmp_path / "out") == set()


def test_a_folder_of_frames_is_one_clip_by_request(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(numbered(6)):
        Image.fromarray(picture).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"broken")
    summary = run(make_network(), tmp_path / "out", folder, sequence=True, fps=12.5)
    assert (summary.done, summary.failed, summary.exit_code) == (1, 0, 1)
    assert any("1 of 6 frames was skipped" in note for note in summary.notes)
    text = (tmp_path / "out" / "frames.json").read_text()
    video = from_json(ClipSidecar, text).video
    assert (video.frames, video.rate, video.time_base) == (5, 12.5, "2/25")


def test_every_output_is_made_of_a_video(tmp_path: Path, make_network: MakeNetwork) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(2), sound="aac"))
    assert run(make_network(), tmp_path / "out", clip, save="all").done == 1
    sidecar = read_sidecar(tmp_path / "out" / "clip.json")
    assert len(sidecar.files) >= 9
    for facts in sidecar.files:
        assert (tmp_path / "out" / facts.file).exists()
    assert "000001.glb" in names(tmp_path / "out" / "clip.frames")


def test_fps_keeps_that_many_frames_of_a_second_with_their_times(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network, out = make_network(), tmp_path / "out"
    clip = write_clip(tmp_path / "clip.mp4", Clip(sound="aac"))
    summary = run(network, out, clip, save="colour,png16,npy", fps=5)
    assert (summary.done, summary.frames) == (1, 5)
    video = from_json(ClipSidecar, (out / "clip.json").read_text()).video
    times = [tick * Fraction(video.time_base) for tick in video.ticks]
    assert times == [0, *(Fraction(k, 5) for k in range(1, 5))]
    assert (video.frames, video.rate, len(video.scales)) == (5, 5.0, 5)
    assert len(names(out / "clip.frames")) == 5
    for name in ("clip.depth.mp4", "clip.depth16.mkv"):
        reader = VideoReader(out / name)
        assert [float(frame.ticks * reader.time_base) for frame in reader] == pytest.approx(
            [0, 0.2, 0.4, 0.6, 0.8], abs=1e-3
        )
    assert run(network, out, clip, save="colour", fps=5).finished_before == 1
    other = run(network, out, clip, save="colour", fps=10)
    assert "different options (fps was 5 and is now 10)" in other.failures[0]
    all_frames = run(network, out, clip, save="colour")
    assert "different options (fps was 5 and is now not given)" in all_frames.failures[0]


def test_fps_above_the_rate_of_a_video_keeps_all_and_says_so(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(4)))
    summary = run(make_network(), tmp_path / "out", clip, save="npy", fps=60.0)
    assert summary.frames == 4
    assert (
        f"{clip}: fps 60 keeps all frames, because the video has 30 frames per second"
        in summary.notes
    )


def sequence_of(folder: Path, *files: str) -> Path:
    folder.mkdir()
    for name, picture in zip(files, numbered(len(files)), strict=True):
        Image.fromarray(picture).save(folder / name)
    return folder


def test_frames_of_a_sequence_keep_their_names(tmp_path: Path, make_network: MakeNetwork) -> None:
    files = ("shot_9.png", "shot_10.png", "shot_10.jpg", "b.v2.png", "broken.png", "café.webp")
    folder, out = sequence_of(tmp_path / "shots", *files), tmp_path / "out"
    (folder / "broken.png").write_bytes(b"broken")
    assert run(make_network(), out, folder, save="npy,glb", sequence=True).done == 1
    sidecar = from_json(ClipSidecar, (out / "shots.json").read_text(encoding="utf-8"))
    order = ("b.v2.png", "café.webp", "shot_9.png", "shot_10.jpg", "shot_10.png")
    assert sidecar.video.names == order
    stems = ("b.v2", "café", "shot_9", "shot_10.jpg", "shot_10.png")
    for facts, suffix in zip(sidecar.files, (".depth.npy", ".glb"), strict=True):
        assert list(facts.frames or {}) == [stem + suffix for stem in stems]
        assert facts.holds.startswith(f"b.v2{suffix} and the following files")
    assert names(out / "shots.frames") == {stem + each for stem in stems for each in SUFFIXES}
    assert verify(out).faults == ()


def test_a_sequence_becomes_pngs_of_one_scale_under_their_names(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network, out = make_network(), tmp_path / "out"
    folder = sequence_of(tmp_path / "shots", "shot_0001.png", "shot_0003.png", "shot_0004.png")
    assert run(network, out, folder, save="png16,npy", sequence=True).done == 1
    assert names(out) == {"shots.frames", "shots.json"}
    [facts, _] = read_sidecar(out / "shots.json").files
    scales = set()
    for number in (1, 3, 4):
        path = out / f"shots.frames/shot_000{number}.depth16.png"
        with Image.open(path) as picture:
            assert picture.mode == "I;16"
            scales.add((picture.info["scale"], picture.info["offset"]))
        alone = read_prediction(path)
        values = np.load(path.with_name(f"shot_000{number}.depth.npy"))
        assert facts.scale is not None
        np.testing.assert_allclose(alone.depth.values, values, atol=0.51 * facts.scale)
    assert scales == {(repr(facts.scale), repr(facts.offset))}
    assert run(network, out, folder, save="png16", sequence=True).finished_before == 1
    before = (out / "shots.frames/shot_0003.depth16.png").read_bytes()
    (out / "shots.frames/shot_0003.depth16.png").unlink()
    assert run(network, out, folder, save="png16", sequence=True).done == 1
    assert (out / "shots.frames/shot_0003.depth16.png").read_bytes() == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else_is_never_replaced_by_a_sequence(
    tmp_path: Path, make_network: MakeNetwork, overwrite: bool
) -> None:
    folder, out = sequence_of(tmp_path / "shots", "shot_0001.png"), tmp_path / "out"
    (out / "shots.frames").mkdir(parents=True)
    (out / "shots.frames/000001.txt").write_text("mine")
    summary = run(make_network(), out, folder, save="png16", sequence=True, overwrite=overwrite)
    assert "rilievo did not write this" in summary.failures[0]
    assert names(out / "shots.frames") == {"000001.txt"}


def test_a_sequence_becomes_pngs_without_the_extra_of_videos(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rilievo.io.videos.video", None)
    monkeypatch.delattr("rilievo.io.videos.video", raising=False)
    folder = sequence_of(tmp_path / "shots", "shot_0001.png")
    assert run(make_network(), tmp_path / "out", folder, save="png16", sequence=True).done == 1
