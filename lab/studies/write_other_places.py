"""Write the pictures by which ``rilievo train video`` sees that it forgets nothing.

    python lab/studies/write_other_places.py

They are rendered scenes, and photographs that scikit-image ships (all CC0 or public domain). The
archive is the same for the same renderer and libraries; it has no times in it.
"""

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image

from lab.scenes import Kind, render
from rilievo.io.files.atomic import replacing
from rilievo.training.video.other_places import ARCHIVE

_COMMON, _WIDE = (224, 288), (128, 448)
_SEED = 2**62
_ROUNDS = 3
_INDOORS = (
    *(Kind.ROOMS, Kind.FURNISHED, Kind.DESKS, Kind.BATHROOMS, Kind.CORRIDORS, Kind.LOW_VIEWS),
    *(Kind.NEAR_VIEWS, Kind.CLOSE_UPS, Kind.PEOPLE, Kind.FALSE_EDGES),
)
_OUTDOORS = (Kind.STREETS, Kind.OPEN_GROUND)
_PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
_QUALITY = 80


def pictures() -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Pictures of many kinds, mixed, so that every part of them is like the whole."""
    seed = _SEED
    for _ in range(_ROUNDS):
        for kind in (*_INDOORS, *_OUTDOORS, *_OUTDOORS):
            yield render(seed, size=_COMMON, kind=kind).image
            seed += 1
        for kind in (*_OUTDOORS, *_OUTDOORS, Kind.LOW_VIEWS, Kind.CORRIDORS):
            yield render(seed, size=_WIDE, kind=kind).image
            seed += 1
        for name in _PHOTOGRAPHS:
            yield _part(getattr(skimage.data, name)(), seed)
            seed += 1


def _part(image: UInt8[np.ndarray, "h w 3"], seed: int) -> UInt8[np.ndarray, "h w 3"]:
    """A part of a photograph, at least three quarters as wide, at the common size."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    aspect = _COMMON[1] / _COMMON[0]
    across = rng.uniform(0.75, 1.0) * min(width, aspect * height)
    down = across / aspect
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    box = (left, top, left + across, top + down)
    return np.asarray(Image.fromarray(image).resize(_COMMON[::-1], box=box))


def main() -> None:
    """Write the archive."""
    with replacing(ARCHIVE) as part, zipfile.ZipFile(part, "w") as archive:
        for number, image in enumerate(pictures()):
            stored = io.BytesIO()
            Image.fromarray(image).save(stored, "JPEG", quality=_QUALITY, optimize=True)
            archive.writestr(zipfile.ZipInfo(f"{number:03d}.jpg"), stored.getvalue())
    print(f"{ARCHIVE}: {number + 1} pictures, {ARCHIVE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
