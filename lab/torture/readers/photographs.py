"""Photographs of every kind, with and without what they say of themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from lab.torture.reader import Reader, row
from lab.torture.readers.pictures import colours, counts, save
from rilievo.io.photographs.photo import read_photo


def _exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x0110] = 6, "Maker", "Model"
    inside = tags.get_ifd(0x8769)
    inside[0x920A], inside[0xA405], inside[0xA20E] = (50.0, 35, 1000.0)
    inside[0xA002], inside[0xA003] = 48, 36
    return tags


def _jpeg(path: Path) -> None:
    save(path, colours(), quality=90, exif=_exif(), progressive=True)


def _plain_jpeg(path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(path, colours(), quality=80, icc_profile=profile, exif=_exif())


def _png(path: Path) -> None:
    alpha = np.dstack([colours(), np.full((36, 48), 200, np.uint8)])
    save(path, alpha, exif=_exif())


def _palette(path: Path) -> None:
    Image.fromarray(colours()).quantize(16).save(path, transparency=3)


def _apng(path: Path) -> None:
    frames = [Image.fromarray(colours(seed)) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _webp(path: Path) -> None:
    save(path, colours(), lossless=True, exif=_exif())


def _tiff(path: Path) -> None:
    save(path, colours(), compression="tiff_lzw", exif=_exif())


def _tiff_plain(path: Path) -> None:
    save(path, counts())


def _gif(path: Path) -> None:
    frames = [Image.fromarray(colours(seed)) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _heic(path: Path) -> None:
    import pillow_heif

    made = pillow_heif.from_pillow(Image.fromarray(colours(0, (64, 64))))
    made.save(path, quality=60, exif=_exif().tobytes())


def _reader(
    name: str, file: str, form: str, write: Callable[[Path], None], share: float = 1.0
) -> Reader:
    return row(
        name,
        lambda folder: write(folder / file),
        {file: form},
        lambda folder: read_photo(folder / file),
        share,
    )


READERS = (
    _reader("photo: JPEG", "x.jpg", "jpeg", _plain_jpeg),
    _reader("photo: JPEG, progressive, with EXIF", "x.jpg", "jpeg", _jpeg),
    _reader("photo: PNG", "x.png", "png", _png),
    _reader("photo: PNG, palette", "x.png", "png", _palette, 0.5),
    _reader("photo: PNG, animated", "x.png", "png", _apng, 0.5),
    _reader("photo: PNG, 16 bits", "x.png", "png", lambda path: save(path, counts()), 0.5),
    _reader("photo: WebP", "x.webp", "lengths", _webp),
    _reader("photo: TIFF", "x.tif", "tiff", _tiff),
    _reader("photo: TIFF, 16 bits", "x.tif", "tiff", _tiff_plain, 0.5),
    _reader("photo: BMP", "x.bmp", "lengths", lambda path: save(path, colours()), 0.5),
    _reader("photo: GIF", "x.gif", "lengths", _gif, 0.5),
    _reader("photo: PPM", "x.ppm", "text", lambda path: save(path, colours()), 0.5),
    _reader("photo: HEIC", "x.heic", "boxes", _heic),
    _reader("photo: AVIF", "x.avif", "boxes", lambda path: save(path, colours()), 0.5),
)
