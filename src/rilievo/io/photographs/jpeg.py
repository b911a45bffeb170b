"""Reduce photographs in memory and encode pictures as JPEG."""

import io

from PIL import Image

from rilievo.records.sample import Photo


def jpeg_bytes(image: Image.Image, *, quality: int, subsampling: int = 0) -> bytes:
    """Encode an image as JPEG, with optimised Huffman tables if Pillow can compute them.

    Args:
        image: RGB or grey image.
        quality: Quality of Pillow, 1 to 95.
        subsampling: Pillow's code for the chroma subsampling: 0 is 4:4:4, 2 is 4:2:0.
    """
    with_standard_tables = _encode_jpeg(image, quality, subsampling, optimize=False)
    # To optimise tables, Pillow uses a buffer of one byte per pixel, and fails if it is too small.
    if len(with_standard_tables) >= image.width * image.height:
        return with_standard_tables
    return _encode_jpeg(image, quality, subsampling, optimize=True)


def _encode_jpeg(image: Image.Image, quality: int, subsampling: int, *, optimize: bool) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, subsampling=subsampling, optimize=optimize)
    return file.getvalue()


def shrink_to_image(photo: Photo, side: int) -> Image.Image:
    """Convert a photograph to an image that is at most ``side`` pixels wide and high."""
    image = Image.fromarray(photo.pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return image
