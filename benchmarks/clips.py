"""A clip to measure with: a photograph under a camera that moves.

Usage: python -m benchmarks.clips PHOTO CLIP FRAMES
"""

import json
import sys
from pathlib import Path

from benchmarks.measure import answer_of

HEIGHT, WIDTH, RATE = 480, 640, 30


def make_clip(photo: Path, clip: Path, frames: int) -> Path:
    """Write a clip with this many frames, in a separate process."""
    answer_of("clips", photo, clip, str(frames))
    return clip


def _main(photo: Path, clip: Path, frames: int) -> None:
    import av
    import numpy as np
    from PIL import Image

    with Image.open(photo) as image:
        picture = np.asarray(image.convert("RGB"))
    room = (picture.shape[0] - HEIGHT, picture.shape[1] - WIDTH)
    with av.open(clip, "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = WIDTH, HEIGHT
        for index in range(frames):
            # Back and forth, so that clips of any length show the same.
            turn = 0.5 + 0.5 * np.sin(2 * np.pi * index / (4 * RATE))
            top, left = (round(length * turn) for length in room)
            pixels = picture[top : top + HEIGHT, left : left + WIDTH]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    print(json.dumps(str(clip)))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
