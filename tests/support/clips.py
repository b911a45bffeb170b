"""Clips that the tests of videos share, made with PyAV."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (96, 128)
# Reading, in order of brightness, tells which frame of a clip one has.
_STEP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Description of a clip.

    Attributes:
        pictures: RGB frames; by default 30, told apart by ``number_of``.
        ticks: Time of each frame, in units of ``time_base``; by default one after the other.
        sound: Codec of a tone, or None.
        turned: Degrees counter-clockwise that a player has to turn the stored frames.
        mirrored: Whether a player has to mirror them as well.
    """

    pictures: Sequence[np.ndarray] | None = None
    ticks: Sequence[int] | None = None
    time_base: Fraction = Fraction(1, 30)
    rate: int = 30
    sound: str | None = None
    turned: int = 0
    mirrored: bool = False
    pixel_aspect: Fraction | None = None
    codec: str = "libx264"
    key_every: int | None = None
    options: dict[str, str] | None = None
    title: str = ""


def numbered(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Frames whose brightness rises, with a bright corner top left."""
    frames = []
    for number in range(count):
        frame = np.full((*size, 3), 20 + _STEP * (number % 40), np.uint8)
        frame[: size[0] // 4, : size[1] // 4] = 255
        frames.append(frame)
    return frames


def number_of(pixels: np.ndarray) -> int:
    """Number of a frame among the ``numbered`` frames."""
    height, width = pixels.shape[:2]
    middle = pixels[height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8]
    return round((float(middle.mean()) - 20) / _STEP)


def write_clip(path: Path, clip: Clip | None = None) -> Path:
    clip = clip or Clip()
    pictures = clip.pictures or numbered(30)
    ticks = range(len(pictures)) if clip.ticks is None else clip.ticks
    with av.open(str(path), "w", options=clip.options or {}) as container:
        container.metadata["title"] = clip.title
        stream = container.add_stream(clip.codec, rate=clip.rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = clip.time_base
        if clip.codec != "libx264":
            stream.bit_rate = 4_000_000
        if clip.key_every is not None:
            stream.gop_size = clip.key_every
        if clip.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = clip.pixel_aspect
        if clip.turned or clip.mirrored:
            stream.set_display_rotation(clip.turned, hflip=clip.mirrored)
        sound = None if clip.sound is None else container.add_stream(clip.sound, rate=48000)
        for picture, tick in zip(pictures, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = tick, clip.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            _write_tone(container, sound, len(pictures) / clip.rate)
    return path


def _write_tone(container, stream, seconds: float) -> None:
    layout = stream.codec_context.format.name
    for start in range(0, int(seconds * 48000), 1152):
        wave = 0.2 * np.sin(np.arange(start, start + 1152) * 0.05)
        if layout.startswith("s16"):
            frame = av.AudioFrame.from_ndarray(
                (wave * 32767).astype(np.int16)[None], format="s16", layout="mono"
            )
        else:
            frame = av.AudioFrame.from_ndarray(
                wave.astype(np.float32)[None], format="fltp", layout="mono"
            )
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Time [s] and content of every packet of the first sound track."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(track)
            if packet.size
        ]
