"""Pictures of photographs in memory: reduced, and as JPEG files."""

import io

from PIL import Image

from rilievo.types import Photo


def jpeg_bytes(image: Image.Image, *, quality: int, subsampling: int = 0) -> bytes:
    """Encode a picture as a JPEG file, with optimised Huffman tables where Pillow can make them.

    To optimise the tables, Pillow writes the whole file into a buffer of one byte a pixel, and
    fails ("broken data stream") where a noisy picture needs more. So the file is first written
    without: that has no such limit, and the file is never smaller.

    Args:
        image: RGB or grey picture.
        quality: JPEG quality, 1 to 95.
        subsampling: Chroma subsampling in Pillow's numbers: 0 is 4:4:4, for colours that stand for
            values; 2 is 4:2:0.
    """
    plain = _written(image, quality, subsampling, own_tables=False)
    if len(plain) >= image.width * image.height:
        return plain
    return _written(image, quality, subsampling, own_tables=True)


def _written(image: Image.Image, quality: int, subsampling: int, *, own_tables: bool) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, subsampling=subsampling, optimize=own_tables)
    return file.getvalue()


def reduced(photo: Photo, side: int) -> Image.Image:
    """The photograph, at most as wide or high as ``side``."""
    image = Image.fromarray(photo.pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return image
