"""Put some photographs into a folder: those that scikit-image ships.

Usage: python examples/photographs.py FOLDER
"""

import sys
from pathlib import Path

import skimage.data
from PIL import Image

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def write_photographs(folder: Path) -> list[Path]:
    """Write the photographs as JPEG, and the left picture of the Middlebury motorcycle."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: getattr(skimage.data, name)() for name in PHOTOGRAPHS}
    pictures["motorcycle"] = skimage.data.stereo_motorcycle()[0]
    paths = []
    for name, pixels in pictures.items():
        paths.append(folder / f"{name}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=95)
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for path in write_photographs(Path(sys.argv[1])):
        print(path)
