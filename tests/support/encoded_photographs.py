"""Photographs that the tests of reading share, written by Pillow from one that scikit-image has."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageCms

FOLDER = Path(skimage.__file__).parent / "data"
SIZE = (72, 96)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def rgb() -> Image.Image:
    with Image.open(FOLDER / "astronaut.png") as image:
        return image.convert("RGB").resize((SIZE[1], SIZE[0]))


def grey_16() -> np.ndarray:
    """Every 8-bit level at its place in the full range of 16 bits."""
    return np.asarray(rgb().convert("L")).astype(np.uint16) * 257


def exif(orientation: int = 1, **block: object) -> bytes:
    """An EXIF block; ``block`` holds tags of its Exif part, as t0xA405=28."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    part = tags.get_ifd(0x8769)
    for name, value in block.items():
        part[int(name.removeprefix("t"), 16)] = value
    return tags.tobytes()


def heic(image: Image.Image, tags: bytes = b"") -> bytes:
    import pillow_heif

    file = BytesIO()
    written = pillow_heif.from_pillow(image)
    written.save(file, quality=90, **({"exif": tags} if tags else {}))
    return file.getvalue()


def srgb_profile() -> bytes:
    """The sRGB profile under another name, so that it is converted like any other."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(*(name.encode("utf-16-be") for name in ("sRGB built", "Test built")))


# XYZ of Display P3's primaries, adapted to the white of profiles (D50), as Apple's profile has.
P3_PRIMARIES = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)


def p3_profile() -> bytes:
    """Display P3: the sRGB profile with the entries of its three primaries overwritten."""
    profile = srgb_profile()
    for tag, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3_PRIMARIES, strict=True):
        entry = profile.index(tag)
        at = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        fixed = b"".join(round(each * 2**16).to_bytes(4, "big", signed=True) for each in primary)
        profile = profile[:at] + fixed + profile[at + 12 :]
    return profile


def lab() -> Image.Image:
    to = ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(
        rgb(), ImageCms.createProfile("sRGB"), to, outputMode="LAB"
    )
    assert converted is not None
    return converted


def two() -> dict[str, object]:
    return {"save_all": True, "append_images": [rgb().rotate(180)]}


# Name: how it is written, and how far its pixels may be from those of rgb(), on average.
FILES: Mapping[str, tuple[Callable[[], bytes], float]] = {
    "jpeg": (lambda: encode(rgb(), "JPEG", quality=95, exif=exif(1, t0xA405=28)), 4),
    "jpeg progressive": (lambda: encode(rgb(), "JPEG", quality=95, progressive=True), 4),
    "jpeg grey": (lambda: encode(rgb().convert("L"), "JPEG", quality=95), 40),
    "jpeg cmyk": (lambda: encode(rgb().convert("CMYK"), "JPEG", quality=95), 4),
    "png": (lambda: encode(rgb(), "PNG", icc_profile=srgb_profile()), 0.5),
    "png palette": (lambda: encode(rgb().quantize(128), "PNG"), 12),
    "png palette alpha": (lambda: encode(rgb().quantize(128), "PNG", transparency=0), 12),
    "png 1 bit": (lambda: encode(rgb().convert("1"), "PNG"), 120),
    "png grey 16": (lambda: encode(Image.fromarray(grey_16()), "PNG"), 40),
    "png grey alpha": (lambda: encode(rgb().convert("LA"), "PNG"), 40),
    "png alpha": (lambda: encode(rgb().convert("RGBA"), "PNG"), 0),
    "png animated": (lambda: encode(rgb(), "PNG", **two()), 0),
    "webp": (lambda: encode(rgb(), "WEBP", quality=95), 6),
    "webp lossless alpha": (lambda: encode(rgb().convert("RGBA"), "WEBP", lossless=True), 0),
    "webp animated": (lambda: encode(rgb(), "WEBP", lossless=True, **two()), 0),
    "tiff": (lambda: encode(rgb(), "TIFF"), 0),
    "tiff lzw": (lambda: encode(rgb(), "TIFF", compression="tiff_lzw"), 0),
    "tiff deflate": (lambda: encode(rgb(), "TIFF", compression="tiff_adobe_deflate"), 0),
    "tiff jpeg": (lambda: encode(rgb(), "TIFF", compression="jpeg", quality=95), 6),
    "tiff grey 16": (lambda: encode(Image.fromarray(grey_16()), "TIFF"), 40),
    "tiff float": (lambda: encode(Image.fromarray(grey_16() / np.float32(65535)), "TIFF"), 40),
    "tiff lab": (lambda: encode(lab(), "TIFF"), 5),
    "tiff cmyk": (lambda: encode(rgb().convert("CMYK"), "TIFF"), 0.5),
    "tiff pages": (lambda: encode(rgb(), "TIFF", compression="tiff_lzw", **two()), 0),
    "bmp": (lambda: encode(rgb(), "BMP"), 0),
    "bmp palette": (lambda: encode(rgb().quantize(128), "BMP"), 12),
    "gif": (lambda: encode(rgb(), "GIF"), 12),
    "gif animated": (lambda: encode(rgb(), "GIF", **two()), 12),
    "ppm": (lambda: encode(rgb(), "PPM"), 0),
    "pgm 16": (lambda: encode(Image.fromarray(grey_16()), "PPM"), 40),
    "avif": (lambda: encode(rgb(), "AVIF", quality=95), 6),
    "heic": (lambda: heic(rgb()), 8),
}
