"""Photographs to measure with: those that scikit-image ships, square and as JPEG.

Usage: python -m benchmarks.photographs FOLDER COUNT SIDE
"""

import json
import os
import sys
from pathlib import Path

from benchmarks.measure import answer_of

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left")
SIDE = 768
"""Side of a photograph unless stated otherwise [px]."""
QUALITY = 92
"""Quality of the JPEG files."""


def make_photographs(folder: Path, count: int, side: int = SIDE) -> list[Path]:
    """Put photographs into a folder, in a separate process.

    ``len(NAMES)`` of them are different; the others are the same files under other names.

    Returns:
        Paths, in the order of a folder run.
    """
    return [Path(path) for path in answer_of("photographs", folder, str(count), str(side))]


def _main(folder: Path, count: int, side: int) -> None:
    import skimage
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    pictures = Path(skimage.__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for index in range(count):
        name = NAMES[index % len(NAMES)]
        path = folder / f"{index:05d}-{name}.jpg"
        if index >= len(NAMES):
            os.link(paths[index % len(NAMES)], path)
        else:
            [source] = [each for each in pictures.glob(f"{name}.*") if each.suffix != ".npz"]
            with Image.open(source) as image:
                shortest = min(image.size)
                left, top = ((length - shortest) // 2 for length in image.size)
                square = image.convert("RGB").crop((left, top, left + shortest, top + shortest))
            square.resize((side, side), Image.Resampling.LANCZOS).save(path, quality=QUALITY)
        paths.append(path)
    print(json.dumps([str(path) for path in paths]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
