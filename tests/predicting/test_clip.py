"""Videos from end to end, with models whose answers are known."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage.data
from PIL import Image

from rilievo.alignment.fit import Fit, FitSpace
from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import KnownPoint
from rilievo.errors import CalibrationError, InputError, ModelError, OptionError
from rilievo.io.json_record import from_json
from rilievo.io.map_pictures import sky_colour
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import Frame
from rilievo.io.videos.video import VideoReader
from rilievo.models.base import Model
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions, MetricConversion
from rilievo.predicting.videos.clip_outputs import ClipSidecar, FolderSink, plan_results
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Calibration
from support.clips import Clip, numbered, sound_packets, write_clip
from support.relief import Relief

SIZE = (96, 128)


def still(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    picture = Image.fromarray(skimage.data.astronaut()).resize(size[::-1])
    return [np.asarray(picture)] * count


def run(
    source: Path,
    target: Path,
    *outputs: str,
    model: Model | None = None,
    **options: object,
) -> ClipSidecar:
    reader = VideoReader(source) if source.is_file() else FrameFolder(source)
    asked = ClipOptions(outputs=outputs or ("colour",), **options)  # pyright: ignore
    return predict_clip(reader, model or Relief(), target, asked)


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.photo.pixels for frame in VideoReader(path)]


def depths(path: Path, scale: float, offset: float) -> np.ndarray:
    """Depth that a reader of the 16-bit video computes."""
    with av.open(str(path)) as container:
        stored = np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
    assert stored.dtype == np.uint16
    return np.where(stored > 0, stored * np.float64(scale) + offset, np.nan)


def coded(target: Path) -> np.ndarray:
    sidecar = read_sidecar(target.with_name(target.name + ".json"))
    [facts] = [facts for facts in sidecar.files if facts.output == "png16"]
    assert facts.scale is not None
    assert facts.offset is not None
    return depths(target.with_name(facts.file), facts.scale, facts.offset)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pictures_numbers_sound_and_json_come_of_one_run(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(sound="aac"))
    sidecar = run(clip, tmp_path / "out" / "clip", "colour", "png16", "normals")
    assert names(tmp_path / "out") == {
        "clip.depth.mp4",
        "clip.depth16.mkv",
        "clip.normals.mp4",
        "clip.json",
    }
    text = (tmp_path / "out" / "clip.json").read_text()
    assert from_json(ClipSidecar, text) == sidecar
    assert sidecar.source.file == "clip.mp4"
    assert (sidecar.source.height, sidecar.source.width) == SIZE
    assert [facts.output for facts in sidecar.files] == ["colour", "png16", "normals"]
    assert sidecar.video.frames == 30
    assert sidecar.video.sound == "copied into the picture videos"
    assert sidecar.video.faults == sidecar.video.notes == ()
    for name in ("clip.depth.mp4", "clip.normals.mp4"):
        copied = b"".join(packet for _, packet in sound_packets(tmp_path / "out" / name))
        assert copied == b"".join(packet for _, packet in sound_packets(clip))
        reader, source = VideoReader(tmp_path / "out" / name), VideoReader(clip)
        assert [frame.ticks * reader.time_base for frame in reader] == [
            frame.ticks * source.time_base for frame in source
        ]
    expected = normal_colour()
    assert np.abs(pictures(tmp_path / "out" / "clip.normals.mp4")[7][40, 50] - expected).max() < 4


def normal_colour() -> np.ndarray:
    """(0.5, 0, -1) made unit, its last two signs turned, from -1..1 to 0..255."""
    x, z = 0.5 / np.sqrt(1.25), 1 / np.sqrt(1.25)
    return np.array([127.5 * (1 + x), 127.5, 127.5 * (1 + z)])


@pytest.mark.parametrize(
    ("axes", "name", "sign"), [("directx", "(DirectX)", 1), ("opencv", "(OpenCV)", -1)]
)
def test_a_video_of_normals_has_the_axes_that_were_asked_for(
    tmp_path: Path, axes: str, name: str, sign: int
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(clip, tmp_path / "clip", "normals", save=SaveOptions(normals_axes=axes))
    [facts] = sidecar.files
    assert facts.axes is not None
    assert name in facts.axes
    expected = 127.5 + (normal_colour() - 127.5) * [1, 1, sign]
    assert np.abs(pictures(tmp_path / "clip.normals.mp4")[1][40, 50] - expected).max() < 4


def test_numbers_are_the_models_own_times_the_stated_scales(tmp_path: Path) -> None:
    """The written depth, undone by what the JSON says, is what the network answered."""
    whims = [1.0, 1.1, 0.9, 1.3, 1.0, 0.8]
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(6)))
    model = Relief(whims)
    sidecar = run(clip, tmp_path / "out", "png16", model=model)
    small = Image.fromarray(Relief.relief((48, 64)).astype(np.float32))
    full = np.asarray(small.resize((128, 96), Image.Resampling.BILINEAR))
    for index, numbers in enumerate(coded(tmp_path / "out")):
        ours = full * whims[index] * sidecar.video.scales[index]
        np.testing.assert_allclose(numbers, ours, rtol=3e-4)
    assert np.prod(sidecar.video.scales) == pytest.approx(1.0)
    assert sidecar.video.shifts == (0.0,) * 6


@pytest.mark.slow
def test_one_colour_range_serves_all_frames(tmp_path: Path) -> None:
    """Percentiles over all frames at once, computed here from the written numbers."""
    whims = np.linspace(1, 3, 20)
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(20)))
    sidecar = run(
        clip, tmp_path / "out", "colour", "png16", model=Relief(whims.tolist()), temporal=False
    )
    colour = sidecar.files[0].colour
    assert colour is not None
    low, high = np.percentile(1 / coded(tmp_path / "out"), (2, 98))
    assert (colour.low, colour.high) == pytest.approx((low, high), rel=0.02)
    # Near is red and far is blue, so the redness falls from frame to frame: none is stretched.
    redness = [
        picture[..., 0].mean() - picture[..., 2].mean()
        for picture in pictures(tmp_path / "out.depth.mp4")
    ]
    assert redness[0] > redness[10] > redness[19]


def test_the_sky_of_a_video_has_its_colour_and_no_part_in_the_range(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(clip, tmp_path / "out", model=Relief(has_sky=True))
    colour = sidecar.files[0].colour
    assert colour is not None
    assert colour.sky == sky_colour("spectral")
    assert 1 / colour.low < 10
    for picture in pictures(tmp_path / "out.depth.mp4"):
        assert np.abs(picture[4:16].astype(int) - colour.sky).max() < 8


def test_the_range_that_was_asked_for_is_used(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(clip, tmp_path / "out", save=SaveOptions(colour_range="1,4"))
    colour = sidecar.files[0].colour
    assert colour is not None
    assert (colour.low, colour.high) == (0.25, 1.0)


def test_the_facts_of_a_folder_name_its_first_frame_whichever_was_drawn_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = threading.Event()
    render = FolderSink.render

    def later(sink: FolderSink, prediction: Prediction, frame: Frame) -> Any:
        if frame.index == 0:
            assert drawn.wait(60)
        result = render(sink, prediction, frame)
        if frame.index == 1:
            drawn.set()
        return result

    monkeypatch.setattr(FolderSink, "render", later)
    monkeypatch.setattr("rilievo.predicting.videos.clip.os.cpu_count", lambda: 2)
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(clip, tmp_path / "out", "npy", model=Relief([1.0, 1.1, 0.9]))
    [facts] = sidecar.files
    assert facts.holds.startswith("000000.depth.npy and the following files")
    assert list(facts.frames or {}) == [f"00000{number}.depth.npy" for number in range(3)]


def test_other_outputs_are_files_a_frame_in_one_folder(tmp_path: Path) -> None:
    whims = [1.0, 1.1, 0.9]
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(
        clip, tmp_path / "out", "npy", "npz", "normals-npy", "ply", "png16", model=Relief(whims)
    )
    frames = tmp_path / "out.frames"
    assert names(frames) == {
        f"00000{number}{suffix}"
        for number in range(3)
        for suffix in (".depth.npy", ".npz", ".normals.npy", ".ply")
    }
    numbers = coded(tmp_path / "out")
    for number in range(3):
        depth = np.load(frames / f"00000{number}.depth.npy")
        np.testing.assert_allclose(depth, numbers[number], rtol=2e-4)
        with np.load(frames / f"00000{number}.npz") as arrays:
            np.testing.assert_array_equal(arrays["depth"], depth)
            about = json.loads(arrays["about"].item())
        assert about["source"]["file"] == f"clip.mp4 frame {number}"
        normals = np.load(frames / f"00000{number}.normals.npy")
        np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-6)
    assert {facts.file for facts in sidecar.files} == {"out.frames", "out.depth16.mkv"}
    [facts] = [facts for facts in sidecar.files if facts.output == "npy"]
    assert facts.holds.startswith(
        "000000.depth.npy and the following files, one per frame: depth along"
    )
    assert facts.invalid == "nan"


def by_points(*points: KnownPoint):
    def find(first: Prediction) -> MetricConversion:
        assert first.depth is not None
        fitted = calibrate(first.depth, points)
        facts = Calibration(
            method="known points",
            asked=tuple(map(str, points)),
            space=fitted.fit.space,
            scale=fitted.fit.scale,
            shift=fitted.fit.shift,
        )
        return MetricConversion(fit=fitted.fit, calibration=facts)

    return find


def test_what_known_points_cannot_determine_fails_before_the_work(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(10)))
    model = Relief(kind=DepthKind.AFFINE)
    with pytest.raises(CalibrationError):
        run(
            clip,
            tmp_path / "out" / "clip",
            model=model,
            calibrate=by_points(KnownPoint(u=60, v=40, metres=2.5)),
        )
    assert model.seen == 1
    assert names(tmp_path / "out") == set()


def test_pixels_that_the_fit_leaves_without_depth_are_zero(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))

    def find(_: Prediction) -> MetricConversion:
        fit = Fit(space=FitSpace.DEPTH, scale=1.0, shift=-2.0, residual=0.0, pixels=2)
        facts = Calibration(method="test", asked=(), space="depth", scale=1.0, shift=-2.0)
        return MetricConversion(fit=fit, calibration=facts)

    sidecar = run(
        clip, tmp_path / "out", "png16", model=Relief(kind=DepthKind.AFFINE), calibrate=find
    )
    numbers = coded(tmp_path / "out")
    assert 0.1 < np.isnan(numbers).mean() < 0.9
    assert sidecar.depth is not None
    assert sidecar.depth.valid_pixels == np.isfinite(numbers).sum()


def test_uneven_times_odd_sizes_and_a_late_start_are_kept_and_said(tmp_path: Path) -> None:
    ticks = [500, 520, 590, 600, 833, 834, 1400]
    form = Clip(
        pictures=still(7, (95, 127)), ticks=ticks, time_base=Fraction(1, 1000), codec="ffv1"
    )
    clip = write_clip(tmp_path / "clip.mkv", form)
    sidecar = run(clip, tmp_path / "out", "colour", "png16")
    expected = [tick - ticks[0] for tick in ticks]
    assert [each * Fraction(sidecar.video.time_base) * 1000 for each in sidecar.video.ticks] == (
        expected
    )
    reader = VideoReader(tmp_path / "out.depth.mp4")
    assert reader.size == (96, 128)
    times = [frame.ticks * reader.time_base * 1000 for frame in reader]
    assert times == expected
    assert "128x96" in sidecar.video.notes[0]
    assert coded(tmp_path / "out").shape == (7, 95, 127)


@pytest.mark.slow
def test_a_broken_tail_is_said_and_the_rest_is_done(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "clip.mkv", Clip(pictures=numbered(60), key_every=6, sound="libmp3lame")
    )
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    sidecar = run(clip, tmp_path / "out", "colour")
    assert 10 < sidecar.video.frames < 60
    assert len(pictures(tmp_path / "out.depth.mp4")) == sidecar.video.frames
    [fault] = sidecar.video.faults
    assert f"{sidecar.video.frames} frames were read" in fault


def test_a_folder_of_frames_is_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(still(12)):
        Image.fromarray(picture).save(folder / f"f{number}.png")
    (folder / "f5.png").write_bytes(b"broken")
    sidecar = run(folder, tmp_path / "out", "colour", "npy")
    assert sidecar.source.file == "frames"
    assert sidecar.video.frames == 11
    assert sidecar.video.ticks == (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11)
    assert "1 of 12 frames was skipped" in sidecar.video.faults[0]
    assert len(names(tmp_path / "out.frames")) == 11


@pytest.mark.slow
def test_sound_that_mp4_does_not_hold_makes_the_pictures_matroska(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", Clip(codec="mpeg4", sound="pcm_s16le"))
    sidecar = run(clip, tmp_path / "out", "colour", "png16")
    assert [facts.file for facts in sidecar.files] == ["out.depth.mkv", "out.depth16.mkv"]
    assert VideoReader(tmp_path / "out.depth.mkv").has_audio


def test_batches_give_the_same_files(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(7)))
    run(clip, tmp_path / "one", "png16", batch_size=1)
    run(clip, tmp_path / "four", "png16", batch_size=4)
    np.testing.assert_array_equal(coded(tmp_path / "one"), coded(tmp_path / "four"))


def test_depth_is_the_same_whether_normals_are_written_too(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(2)))
    model = Relief()
    run(clip, tmp_path / "alone", "npy", model=model)
    run(clip, tmp_path / "both", "npy", "normals", model=model)
    one, other = (
        np.load(tmp_path / f"{name}.frames" / "000001.depth.npy") for name in ("alone", "both")
    )
    np.testing.assert_array_equal(one, other)


def test_a_model_of_normals_alone_gives_a_video_of_normals(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(3)))
    sidecar = run(clip, tmp_path / "out", "normals", model=Relief(kind=None))
    assert sidecar.depth is None
    assert len(pictures(tmp_path / "out.normals.mp4")) == 3
    with pytest.raises(OptionError, match="needs depth"):
        run(clip, tmp_path / "other", "colour", model=Relief(kind=None))


def test_answers_that_are_no_depth_are_the_models_error_and_leave_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(6)))
    for bad in (np.nan, -1.0):
        with pytest.raises(ModelError, match="test/relief"):
            run(clip, tmp_path / "out" / "clip", model=Relief([1.0, 1.0, 1.0, bad]))
        assert names(tmp_path / "out") == set()


def stop_at(frame: int):
    def report(done: int, total: int | None) -> None:
        if done == frame:
            raise KeyboardInterrupt

    return report


@pytest.mark.slow
@pytest.mark.parametrize("frame", [3, 15, 20])
def test_an_interruption_leaves_what_was_there_and_nothing_new(tmp_path: Path, frame: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(10)))
    outputs = ("colour", "png16", "npy")
    run(clip, tmp_path / "out" / "clip", *outputs)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    options = ClipOptions(outputs=outputs, save=SaveOptions(overwrite=True))
    with pytest.raises(KeyboardInterrupt):
        predict_clip(
            VideoReader(clip), Relief([2.0]), tmp_path / "out" / "clip", options, stop_at(frame)
        )
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "other",
    [
        Clip(pictures=still(8)),
        Clip(pictures=still(12)),
        Clip(pictures=still(10), ticks=range(0, 20, 2)),
    ],
    ids=["shorter", "longer", "slower"],
)
def test_a_video_that_changes_meanwhile_is_refused(tmp_path: Path, other: Clip) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(10)))
    changed = write_clip(tmp_path / "changed.mp4", other)

    def swap(done: int, total: int | None) -> None:
        if done == 10:
            os.replace(changed, clip)

    with pytest.raises(InputError, match="changed while it was being read"):
        predict_clip(
            VideoReader(clip),
            Relief(),
            tmp_path / "out" / "clip",
            ClipOptions(outputs=("colour",)),
            swap,
        )
    assert names(tmp_path / "out") == set()


class CountedReader(VideoReader):
    """A video that counts how often it is decoded."""

    readings = 0

    def __iter__(self) -> Iterator[Frame]:
        self.readings += 1
        return super().__iter__()


@pytest.mark.parametrize(
    ("output", "readings"), [("colour", 1), ("png16", 1), ("normals", 1), ("stereo", 2), ("npy", 2)]
)
def test_frames_are_decoded_again_only_for_what_shows_them(
    tmp_path: Path, output: str, readings: int
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=still(6)))
    results = []
    for name, has_alpha in (("once", False), ("twice", True)):
        reader = CountedReader(clip)
        reader.has_alpha = has_alpha
        options = ClipOptions(outputs=(output,))
        predict_clip(reader, Relief(), tmp_path / name / "clip", options)
        assert reader.readings == (2 if has_alpha else readings)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        results.append([path.read_bytes() for path in files])
    assert results[0] == results[1]


LONG = """
import re, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.relief import Relief
from rilievo.io.videos.video import VideoReader
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions

options = ClipOptions(outputs=("colour", "png16"))
model = Relief([1.0, 1.1, 0.9])
sidecar = predict_clip(VideoReader(Path(sys.argv[1])), model, Path(sys.argv[2]), options)
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(sidecar.video.frames, peak[1], flush=True)
"""


def script() -> list[str]:
    tests = str(Path(__file__).parent.parent)
    return [sys.executable, "-c", LONG.format(tests=tests)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's peak")
def test_memory_is_the_same_for_a_clip_ten_times_as_long(tmp_path: Path) -> None:
    peaks = []
    for count in (40, 400):
        frames = numbered(40, (120, 160)) * (count // 40)
        clip = write_clip(tmp_path / f"{count}.mp4", Clip(pictures=frames))
        ran = subprocess.run(
            [*script(), str(clip), str(tmp_path / f"out{count}")],
            check=True,
            capture_output=True,
            text=True,
        )
        read, peak = ran.stdout.split()
        assert int(read) == count
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 8_000


@pytest.mark.slow
def test_what_a_killed_run_leaves_is_swept_and_the_video_done_anew(tmp_path: Path) -> None:
    from rilievo.io.files.atomic import sweep_parts

    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(40, (120, 160)) * 5))
    out = tmp_path / "out"
    process = subprocess.Popen([*script(), str(clip), str(out / "clip")])
    deadline = time.monotonic() + 60
    while not (out.exists() and any(".depth16.mkv." in name for name in names(out))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = names(out)
    assert left
    assert all(name.startswith(".") and name.endswith(".rilievo-part") for name in left)
    sweep_parts(out)
    assert names(out) == set()
    run(clip, out / "clip", "colour")
    assert names(out) == {"clip.depth.mp4", "clip.json"}


@pytest.mark.parametrize("is_sequence", [True, False])
def test_each_output_has_one_row_and_numbers_of_a_sequence_are_files(
    tmp_path: Path, is_sequence: bool
) -> None:
    outputs = ("png16", "npy", "colour")
    results = plan_results(tmp_path / "a", outputs, picture_suffix=".mkv", is_sequence=is_sequence)
    places = {result.path.name: result.outputs for result in results}
    numbers = {"a.frames": ("png16", "npy")}
    if not is_sequence:
        numbers = {"a.depth16.mkv": ("png16",), "a.frames": ("npy",)}
    assert places == {"a.depth.mkv": ("colour",), **numbers}


def test_a_clip_refuses_an_unknown_output_when_its_options_are_made() -> None:
    with pytest.raises(OptionError, match="no output 'colours'"):
        ClipOptions(outputs=("npy", "colours"))
