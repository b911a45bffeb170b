"""Twenty-four everyday photographs: those of the gallery, by which surfaces are judged.

Six come with scikit-image. The others lie in ``docs/pictures/photographs``, at most 512 pixels wide
or high, and NOTICE names them; ``python lab/studies/everyday_photographs.py FOLDER`` made them from
the folders ``photos_kodak24`` and ``photos_cameras`` of FOLDER.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image

FOLDER = Path(__file__).parents[2] / "docs" / "pictures" / "photographs"
_SIDE, _QUALITY = 512, 80

_SHIPPED: Mapping[str, Callable[[], np.ndarray]] = {
    "coffee": skimage.data.coffee,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "astronaut": skimage.data.astronaut,
    "camera": skimage.data.camera,
    "cat": skimage.data.chelsea,
    "rocket": skimage.data.rocket,
}
_SOURCES: Mapping[str, str] = {
    "door": "photos_kodak24/02.png",
    "caps": "photos_kodak24/03.png",
    "hat": "photos_kodak24/04.png",
    "motocross": "photos_kodak24/05.png",
    "hibiscus": "photos_kodak24/07.png",
    "houses": "photos_kodak24/08.png",
    "stonehenge": "photos_cameras/0028.jpg",
    "bungalow": "photos_cameras/0043.jpg",
    "fruit": "photos_cameras/0066.jpg",
    "dog-with-stick": "photos_cameras/0079.jpg",
    "desk": "photos_cameras/0094.jpg",
    "scooter": "photos_cameras/0126.jpg",
    "dog": "photos_cameras/0127.jpg",
    "telephone-box": "photos_cameras/0134.jpg",
    "cannon": "photos_cameras/0144.jpg",
    "college": "photos_cameras/0153.jpg",
    "rose": "photos_cameras/0163.jpg",
    "plate": "photos_cameras/0190.jpg",
}
NAMES = (*_SHIPPED, *_SOURCES)


def photograph(name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of one of ``NAMES``."""
    if name in _SHIPPED:
        pixels = _SHIPPED[name]()
        return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    with Image.open(FOLDER / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def main() -> None:
    """Make the files."""
    [source] = map(Path, sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, place in _SOURCES.items():
        with Image.open(source / place) as image:
            small = image.convert("RGB")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        small.save(FOLDER / f"{name}.jpg", quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
