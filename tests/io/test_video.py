"""Videos are read frame by frame: upright, with their own times, whatever is broken in them."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.io.photographs.signatures import is_video
from rilievo.io.videos.video import VideoReader
from support.clips import SIZE, Clip, number_of, numbered, write_clip


def refused(path: Path) -> str:
    """The message with which a path is refused: one line that begins with the path."""
    with pytest.raises(InputError) as caught:
        list(VideoReader(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm"])
def test_every_frame_comes_once_and_in_order(tmp_path: Path, suffix: str) -> None:
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(suffix, "libx264")
    reader = VideoReader(write_clip(tmp_path / f"clip{suffix}", Clip(codec=codec)))
    frames = list(reader)
    assert [number_of(frame.photo.pixels) for frame in frames] == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    assert reader.size == SIZE
    assert reader.fault is None
    assert abs(reader.rate - 30) < 0.1


def test_a_title_in_another_encoding_is_no_obstacle(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", Clip(title="a walk at dawn"))
    data = path.read_bytes()
    assert b"a walk at dawn" in data
    path.write_bytes(data.replace(b"a walk at dawn", b"alba, caff\xe8 nero"[:14]))
    assert len(list(VideoReader(path))) == 30


def test_a_reader_can_be_gone_through_again(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4"))
    first = [frame.photo.pixels for frame in reader]
    assert all(
        np.array_equal(frame.photo.pixels, pixels)
        for frame, pixels in zip(reader, first, strict=True)
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_keep_uneven_times(tmp_path: Path, suffix: str) -> None:
    ticks = [0, 20, 90, 100, 333, 334, 900]
    clip = Clip(pictures=numbered(7), ticks=ticks, time_base=Fraction(1, 1000))
    reader = VideoReader(write_clip(tmp_path / f"clip{suffix}", clip))
    times = [frame.ticks * reader.time_base for frame in reader]
    assert times == [Fraction(tick, 1000) for tick in ticks]


def test_a_jump_of_the_clock_is_closed_and_told(tmp_path: Path) -> None:
    """A camera whose clock fails writes the next frame years later; no file can hold that."""
    ticks = [0, 33, 66, 100, 10**9, 10**9 + 33, 10**9 + 66]
    clip = Clip(pictures=numbered(7), ticks=ticks, time_base=Fraction(1, 1000))
    reader = VideoReader(write_clip(tmp_path / "jump.mkv", clip))
    times = [round(frame.ticks * reader.time_base * 1000) for frame in reader]
    assert times[:4] == ticks[:4]
    assert [times[5] - times[4], times[6] - times[5]] == [33, 33]
    assert 100 < times[4] < 100 + 600_000
    [note] = [note for note in reader.notes if "jump" in note]
    assert note == "its timestamps jump by 1,000,000 s at frame 4, and rilievo closed the gap"


@pytest.mark.parametrize(("gap", "is_closed"), [(600_000, False), (600_001, True)])
def test_a_gap_of_up_to_ten_minutes_is_kept(tmp_path: Path, gap: int, is_closed: bool) -> None:
    ticks = [0, 100, 100 + gap]
    clip = Clip(pictures=numbered(3), ticks=ticks, time_base=Fraction(1, 1000))
    reader = VideoReader(write_clip(tmp_path / "gap.mkv", clip))
    times = [frame.ticks * reader.time_base * 1000 for frame in reader]
    assert (times != ticks) == is_closed
    assert any("jump" in note for note in reader.notes) == is_closed


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_frames_come_upright(tmp_path: Path, turned: int, mirrored: bool) -> None:
    """A player turns counter-clockwise first and mirrors after; so does numpy here."""
    clip = Clip(pictures=numbered(2), turned=turned, mirrored=mirrored)
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", clip))
    expected = np.rot90(numbered(1)[0], turned // 90)
    if mirrored:
        expected = expected[:, ::-1]
    pixels = next(iter(reader)).photo.pixels
    assert reader.size == pixels.shape[:2] == expected.shape[:2]
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(4, 3), (96, 171)), (Fraction(1, 2), (192, 128))]
)
def test_oblong_pixels_are_made_square_and_it_is_said(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", Clip(pixel_aspect=aspect)))
    assert reader.size == size == next(iter(reader)).photo.shape
    assert "times as wide as they are high" in reader.notes[0]


def test_colours_come_as_they_went_in_below_and_at_high_definition(tmp_path: Path) -> None:
    """Untagged video is BT.601 when small and BT.709 when large; the encoder here takes 601."""
    colours = np.zeros((96, 128, 3), np.uint8)
    colours[:, :64], colours[:, 64:] = (200, 40, 40), (30, 160, 60)
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=[colours] * 3))
    pixels = next(iter(VideoReader(path))).photo.pixels
    np.testing.assert_allclose(pixels[48, 32], (200, 40, 40), atol=6)
    np.testing.assert_allclose(pixels[48, 96], (30, 160, 60), atol=6)


def test_one_frame_is_a_video_too(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(1))))
    assert len(list(reader)) == 1
    assert reader.fault is None


def test_sound_is_noticed(tmp_path: Path) -> None:
    assert VideoReader(write_clip(tmp_path / "a.mp4", Clip(sound="aac"))).has_audio
    assert not VideoReader(write_clip(tmp_path / "b.mp4")).has_audio


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_every_whole_frame_of_a_truncated_video_comes_and_the_fault_is_said(
    tmp_path: Path, suffix: str, share: float
) -> None:
    noise = np.random.default_rng(0)
    pictures = [
        np.clip(frame.astype(int) + noise.integers(-9, 10, frame.shape), 0, 255).astype(np.uint8)
        for frame in numbered(30)
    ]
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    options = {"movflags": "faststart"} if suffix == ".mp4" else None
    clip = Clip(pictures=pictures, codec=codec, key_every=6, options=options)
    path = write_clip(tmp_path / f"clip{suffix}", clip)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    reader = VideoReader(path)
    numbers = [number_of(frame.photo.pixels) for frame in reader]
    assert 30 * share * 0.6 < len(numbers) < 30
    assert numbers[:5] == list(range(5))
    if suffix != ".ts":  # a transport stream has no length that it could fall short of
        assert reader.fault is not None
        assert reader.fault.startswith(f"{path}: ")
        assert f"{len(numbers)} frames were read" in reader.fault
        assert len(reader.fault.splitlines()) == 1


def test_broken_packets_in_the_middle_lose_few_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", Clip(codec="mpeg4"))
    content = bytearray(path.read_bytes())
    place = content.index(b"00dc", len(content) // 2) + 8
    content[place : place + 20] = bytes(20)
    path.write_bytes(content)
    reader = VideoReader(path)
    numbers = [number_of(frame.photo.pixels) for frame in reader]
    assert len(numbers) >= 28
    assert numbers[-1] == 29
    assert reader.fault is not None
    assert "1 broken packet" in reader.fault


def test_a_huge_frame_in_the_middle_of_a_small_video_is_not_decoded(tmp_path: Path) -> None:
    """A key frame of VP8 says its own size in 14 bits a side, after the bytes 9d 01 2a."""
    path = write_clip(tmp_path / "clip.webm", Clip(codec="libvpx", key_every=1))
    content = bytearray(path.read_bytes())
    place = content.index(b"\x9d\x01\x2a", len(content) // 2) + 3
    content[place : place + 4] = b"\x00\x27\x00\x27"
    path.write_bytes(content)
    reader = VideoReader(path)
    assert len(list(reader)) == 29
    assert reader.fault is not None
    assert "1 broken packet" in reader.fault


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video at all\n" * 100)
    assert "not a readable video" in refused(text)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert "empty" in refused(empty)
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    assert "a folder" in refused(folder)
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    assert "pipe" in refused(pipe)
    assert "no such file" in refused(tmp_path / "missing.mp4")


def test_a_video_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[:2000])
    refused(path)


def test_sound_alone_is_refused_and_named(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "only sound" in refused(path)


def test_frames_that_are_too_small_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(2, (16, 64))))
    assert "at least 32" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile other.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_lists_of_other_files_are_never_followed(tmp_path: Path, content: str) -> None:
    write_clip(tmp_path / "other.ts")
    path = tmp_path / "list.m3u8"
    path.write_text(content)
    assert "not a readable video" in refused(path)


@pytest.mark.parametrize("name", ["tcp:127.0.0.1:9.mp4", "a b%20#?.mp4", "zwei\nzeilen.mp4"])
def test_odd_names_are_names_of_files(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3)))
    odd = path.rename(tmp_path / name)
    reader = VideoReader(odd)
    assert len(list(reader)) == 3


@pytest.mark.slow
def test_mutated_videos_give_frames_or_one_line(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    clips = [
        write_clip(tmp_path / f"seed{suffix}", Clip(pictures=numbered(8), sound=sound, codec=codec))
        for suffix, codec, sound in (
            (".mp4", "libx264", "aac"),
            (".mkv", "libx264", None),
            (".avi", "mpeg4", "mp2"),
            (".webm", "libvpx", None),
            (".ts", "libx264", "mp2"),
        )
    ]
    messages, read = [], 0
    for clip in clips:
        whole = clip.read_bytes()
        path = tmp_path / f"mutant{clip.suffix}"
        for _ in range(40):
            content = bytearray(whole)
            for _ in range(random.integers(1, 20)):
                place = int(random.integers(len(content)))
                content[place : place + int(random.integers(1, 9))] = random.bytes(4)
            if random.random() < 0.3:
                del content[int(random.integers(len(content))) :]
            path.write_bytes(content or b"\0")
            try:
                reader = VideoReader(path)
                shapes = {frame.photo.shape for frame in reader}
                assert shapes == {reader.size}
                read += 1
            except InputError as error:
                messages.append(str(error))
    assert read > 10
    assert len(messages) > 10
    assert all(message.startswith(f"{tmp_path}/mutant.") for message in messages)
    assert all(len(message.splitlines()) == 1 for message in messages)


def test_a_video_is_told_by_its_content_and_else_by_its_name(tmp_path: Path) -> None:
    from PIL import Image

    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(2)))
    assert is_video(clip)
    assert is_video(clip.rename(tmp_path / "clip.jpg"))
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.mp4", format="JPEG")
    assert not is_video(tmp_path / "photo.mp4")
    (tmp_path / "broken.mov").write_bytes(b"\0" * 100)
    assert is_video(tmp_path / "broken.mov")
    assert not is_video(tmp_path / "notes.txt")
    assert not is_video(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's peak")
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    script = (
        "import re, sys\nfrom pathlib import Path\n"
        "from rilievo.io.videos.video import VideoReader\n"
        "count = sum(1 for _ in VideoReader(Path(sys.argv[1])))\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())\n"
        "print(count, peak[1])\n"
    )
    peaks = {}
    for seconds in (1, 10):
        pictures = numbered(seconds * 30, (480, 640))
        path = write_clip(tmp_path / f"{seconds}.mp4", Clip(pictures=pictures))
        run = [sys.executable, "-c", script, str(path)]
        count, peak = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
        assert int(count) == seconds * 30
        peaks[seconds] = int(peak)
    assert peaks[10] < peaks[1] + 10_000
