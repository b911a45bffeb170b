"""Videos in their containers, gone through from the first frame to the last."""

from pathlib import Path

import av

from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.video import VideoReader
from torture.reader import Reader
from torture.readers.pictures import colours, save

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
    return Reader(
        name=f"video: {file.partition('.')[2]}, {codec}",
        write=lambda folder: write_video(folder / file, codec),
        victims={file: "lengths"},
        read=lambda folder: _read(folder / file),
        share=0.6,
    )


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
    Reader(
        name="video: folder of frames",
        write=_write_frames,
        victims={f"clip/frame{seed}.png": "png" for seed in range(3)},
        read=lambda folder: sum(1 for _ in FrameFolder(folder / "clip")),
        share=0.3,
    ),
)
