"""Pictures of photographs in memory: reduced, and as JPEG files."""

import io

from PIL import Image

from rilievo.records.sample import Photo


def jpeg_bytes(image: Image.Image, *, quality: int, subsampling: int = 0) -> bytes:
    """Encode a JPEG file, with optimised Huffman tables where Pillow can.

    ``subsampling`` 0 is 4:4:4, 2 is 4:2:0.
    """
    plain = _encode_jpeg(image, quality, subsampling, own_tables=False)
    if len(plain) >= image.width * image.height:
        return plain
    return _encode_jpeg(image, quality, subsampling, own_tables=True)


def _encode_jpeg(image: Image.Image, quality: int, subsampling: int, *, own_tables: bool) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, subsampling=subsampling, optimize=own_tables)
    return file.getvalue()


def shrink_to_image(photo: Photo, side: int) -> Image.Image:
    """Photograph as an image at most ``side`` wide and high."""
    image = Image.fromarray(photo.pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return image
