"""Written videos hold what went in: numbers bit for bit, times, and the sound as it was."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rilievo.errors import OutputError
from rilievo.io.videos.video import VideoReader
from rilievo.io.videos.video_writer import (
    Coding,
    SoundSource,
    VideoFormat,
    sound_suffix,
)
from support.clips import Clip, number_of, numbered, sound_packets, write_clip
from support.written_videos import writing_video

UNEVEN = [0, 20, 90, 100, 333, 334, 900]


def like(size: tuple[int, int], coding: Coding = Coding.PICTURE) -> VideoFormat:
    return VideoFormat(size=size, rate=Fraction(30), time_base=Fraction(1, 1000), coding=coding)


def write(path: Path, frames: list[np.ndarray], ticks: list[int], **options) -> Path:
    coding = Coding.NUMBERS if frames[0].ndim == 2 else Coding.PICTURE
    with writing_video(path, like(frames[0].shape[:2], coding), **options) as video:
        for frame, tick in zip(frames, ticks, strict=True):
            video.write(frame, tick)
    return path


def test_pictures_and_uneven_times_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", numbered(7), UNEVEN)
    reader = VideoReader(path)
    frames = list(reader)
    assert [number_of(frame.photo.pixels) for frame in frames] == list(range(7))
    assert [frame.ticks * reader.time_base * 1000 for frame in frames] == UNEVEN


def test_times_that_the_form_cannot_hold_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.mp4: cannot be written \("):
        write(tmp_path / "out.mp4", numbered(3), [0, 2**40, 2**41])


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 65536, (51, 67)).astype(np.uint16) for _ in range(7)]
    path = write(tmp_path / "out.mkv", frames, UNEVEN)
    with av.open(str(path)) as container:
        back = list(container.decode(video=0))
    assert [round(frame.time * 1000) for frame in back] == UNEVEN
    for frame, expected in zip(back, frames, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(), expected)


def test_colours_come_back_as_a_player_shows_them(tmp_path: Path) -> None:
    """A ramp of the colour map, tagged BT.709: decoded by the tags within a few levels."""
    ramp = np.zeros((96, 128, 3), np.uint8)
    ramp[:] = np.linspace((68, 1, 84), (253, 231, 37), 128).astype(np.uint8)
    path = write(tmp_path / "out.mp4", [ramp] * 3, [0, 33, 67])
    back = next(iter(VideoReader(path))).photo.pixels
    assert np.abs(back.astype(int) - ramp).mean() < 2
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)


def test_odd_sizes_are_padded_with_their_edge(tmp_path: Path) -> None:
    frames = numbered(3, (95, 127))
    path = write(tmp_path / "out.mp4", frames, [0, 33, 67])
    assert like((95, 127)).coded_size == (96, 128)
    back = next(iter(VideoReader(path))).photo.pixels
    assert back.shape == (96, 128, 3)
    assert np.abs(back[:95, :127].astype(int) - frames[0]).mean() < 2
    assert np.abs(back[95].astype(int) - back[94]).mean() < 2


@pytest.mark.parametrize(
    ("source", "codec", "suffix"),
    [
        (".mp4", "aac", ".mp4"),
        (".mkv", "libmp3lame", ".mp4"),
        (".mkv", "pcm_s16le", ".mkv"),
        (".avi", "pcm_s16le", ".mkv"),
        (".ts", "mp2", ".mp4"),
    ],
)
def test_sound_is_copied_packet_by_packet_and_in_time(
    tmp_path: Path, source: str, codec: str, suffix: str
) -> None:
    clip = write_clip(tmp_path / f"clip{source}", Clip(sound=codec))
    reader = VideoReader(clip)
    assert sound_suffix(clip) == suffix
    sound = SoundSource(path=clip, origin=reader.origin)
    path = tmp_path / f"out{suffix}"
    form = VideoFormat(
        size=reader.size, rate=reader.rate, time_base=reader.time_base, coding=Coding.PICTURE
    )
    origin = round(reader.origin / reader.time_base)
    with writing_video(path, form, sound=sound) as video:
        for frame in reader:
            video.write(frame.photo.pixels, frame.ticks - origin)
        video.finish()
        assert video.fault is None
    before, after = sound_packets(clip), sound_packets(path)
    assert b"".join(packet for _, packet in after) == b"".join(packet for _, packet in before)
    shift = float(reader.origin)
    assert abs(after[0][0] - (before[0][0] - shift)) < 0.03
    assert abs(after[-1][0] - (before[-1][0] - shift)) < 0.03


def test_sound_that_no_container_holds_is_known(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", Clip(codec="mpeg4", sound="pcm_mulaw"))
    assert sound_suffix(clip) is None
    assert sound_suffix(write_clip(tmp_path / "silent.mp4")) is None


@pytest.mark.slow
def test_sound_is_interleaved_so_that_players_need_not_seek(tmp_path: Path) -> None:
    slow = Clip(pictures=numbered(80), rate=5, time_base=Fraction(1, 5), sound="aac")
    clip = write_clip(tmp_path / "clip.mp4", slow)
    reader = VideoReader(clip)
    form = VideoFormat(
        size=reader.size, rate=reader.rate, time_base=reader.time_base, coding=Coding.PICTURE
    )
    sound = SoundSource(path=clip, origin=reader.origin)
    with writing_video(tmp_path / "out.mp4", form, sound=sound) as video:
        for frame in reader:
            video.write(frame.photo.pixels, frame.ticks)
    with av.open(str(tmp_path / "out.mp4")) as container:
        latest = {"audio": 0.0, "video": 0.0}
        for packet in container.demux():
            if packet.size:
                latest[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(latest["audio"] - latest["video"]) < 1.6


def test_a_failure_leaves_no_file_and_the_old_one_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", numbered(3), [0, 33, 67])
    before = path.read_bytes()

    def stop_in_the_middle() -> None:
        with writing_video(path, like((96, 128))) as video:
            video.write(numbered(1)[0], 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_in_the_middle()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no" / "out.mp4"
    with (
        pytest.raises(OutputError, match="its folder does not exist"),
        writing_video(path, like((96, 128))),
    ):
        pass


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    script = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from rilievo.errors import OutputError
from rilievo.io.files.atomic import replacing
from rilievo.io.videos.video_writer import Coding, VideoFormat, writing_part

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
random = np.random.default_rng(0)
path = Path(sys.argv[1])
for coding in Coding:
    like = VideoFormat(
        size=(256, 256), rate=Fraction(30), time_base=Fraction(1, 30), coding=coding
    )
    target = path / ("out.mp4" if coding is Coding.PICTURE else "out.mkv")
    try:
        with replacing(target) as part, writing_part(target, part, like) as video:
            for tick in range(30):
                if coding is Coding.PICTURE:
                    video.write(random.integers(0, 255, (256, 256, 3), dtype=np.uint8), tick)
                else:
                    video.write(random.integers(0, 65535, (256, 256), dtype=np.uint16), tick)
    except OutputError as error:
        print(error)
"""
    run = [sys.executable, "-c", script, str(tmp_path)]
    said = subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(said) == 2
    assert all("choose another folder" in line for line in said)
    assert not list(tmp_path.iterdir())


def test_the_same_numbers_make_the_same_file(tmp_path: Path) -> None:
    """Matroska has identifiers that FFmpeg makes up by chance, unless it is told not to."""
    frames = [np.full((48, 64), 1000 * i, np.uint16) for i in range(3)]
    one, other = (write(tmp_path / f"{name}.mkv", frames, [0, 33, 67]) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
