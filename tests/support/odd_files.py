"""Files of photographs that programs like to read in different ways."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_ORIENTATION = 0x0112


def _cup(width: int = 480, height: int = 320) -> Image.Image:
    return Image.fromarray(skimage.data.coffee()).resize((width, height))


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _barred() -> bytes:
    page = Image.new("RGB", (480, 440))
    page.paste(_cup(), (0, 60))
    return _bytes(page)


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return _bytes(_cup().transpose(_TURNED_BACK[orientation]), exif=exif)


def _deep() -> bytes:
    grey = np.asarray(_cup().convert("L"), np.uint16) * 257
    return _bytes(Image.fromarray(grey))


def _seen_through() -> bytes:
    image = _cup()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return _bytes(image)


def _large() -> bytes:
    return _bytes(_cup(2400, 1600), "JPEG", quality=90)


ODD_FILES: Mapping[str, Callable[[], bytes]] = {
    "barred.png": _barred,
    **{f"turned-{each}.png": lambda each=each: _turned(each) for each in _TURNED_BACK},
    "deep.png": _deep,
    "seen-through.png": _seen_through,
    "grey.png": lambda: _bytes(_cup().convert("L")),
    "palette.gif": lambda: _bytes(_cup().quantize(64), "GIF"),
    "portrait.png": lambda: _bytes(_cup(240, 560)),
    "tiny.png": lambda: _bytes(_cup(32, 40)),
    "strip.png": lambda: _bytes(_cup(1500, 40)),
    "white.webp": lambda: _bytes(Image.new("RGB", (200, 150), "white"), "WEBP", lossless=True),
    "inks.jpg": lambda: _bytes(_cup().convert("CMYK"), "JPEG", quality=92),
    "large.jpg": _large,
}


def write_odd_files(folder: Path) -> Mapping[str, Path]:
    """Write all of them into a folder; gives their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in ODD_FILES}
    for name, path in paths.items():
        path.write_bytes(ODD_FILES[name]())
    return paths
