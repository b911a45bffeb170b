"""Videos in their containers, gone through from the first frame to the last."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lab.torture.reader import Reader, row
from lab.torture.readers.pictures import colours, save
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.video import VideoReader
from rilievo.io.videos.video_writer import Sound, sound_suffix

_FRAMES = 6


def write_video(
    path: Path, codec: str, *, frames: int = _FRAMES, size: tuple[int, int] = (48, 64)
) -> None:
    """A short video of noise on slopes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream), codec
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for seed in range(frames):
            frame = av.VideoFrame.from_ndarray(colours(seed, size), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _read(path: Path) -> int:
    return sum(1 for _ in VideoReader(path))


def _reader(file: str, codec: str) -> Reader:
    return row(
        f"video: {file.partition('.')[2]}, {codec}",
        lambda folder: write_video(folder / file, codec),
        f"{file}:lengths",
        lambda folder: _read(folder / file),
        0.6,
    )


def _write_sound(path: Path) -> None:
    """A short video with a tone."""
    with av.open(str(path), "w") as container:
        video, audio = (
            container.add_stream("mpeg4", rate=10),
            container.add_stream("aac", rate=8000),
        )
        assert isinstance(video, av.VideoStream), "it was asked for"
        assert isinstance(audio, av.AudioStream), "it was asked for"
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        for seed in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(colours(seed, (48, 64)), "rgb24")
            container.mux(video.encode(frame))
        tone = np.sin(np.arange(1024, dtype=np.float32))[None]
        for _ in range(4):
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate = 8000
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _read_sound(path: Path) -> object:
    if sound_suffix(path) is None:
        return None
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        sound = Sound(path, container, origin=Fraction(0))
        sound.copy_until(None)
        return sound.fault


def _write_frames(folder: Path) -> None:
    for seed in range(3):
        save(folder / "clip" / f"frame{seed}.png", colours(seed))


READERS = (
    _reader("x.mp4", "libx264"),
    _reader("x.mkv", "libx264"),
    _reader("x.avi", "mjpeg"),
    _reader("x.webm", "libvpx"),
    _reader("x.mov", "mpeg4"),
    _reader("x.ts", "mpeg2video"),
    row(
        "video: its sound",
        lambda folder: _write_sound(folder / "x.mp4"),
        "x.mp4:lengths",
        lambda folder: _read_sound(folder / "x.mp4"),
        0.6,
    ),
    row(
        "video: folder of frames",
        _write_frames,
        {f"clip/frame{seed}.png": "png" for seed in range(3)},
        lambda folder: sum(1 for _ in FrameFolder(folder / "clip")),
        0.3,
    ),
)
