"""Transparent pixels of every form are told from others, and opaque photographs are as before."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.io.photographs.photo import read_photo
from support.encoded_photographs import encode, exif, heic, rgb
from support.tiff_bytes import Layout, tiff

HEIGHT, WIDTH = 72, 96
PIXELS = np.asarray(rgb())
GREY = np.asarray(rgb().convert("L"))
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]


def ellipse() -> np.ndarray:
    return ((ROWS - 36) / 25) ** 2 + ((COLUMNS - 48) / 30) ** 2 > 1


def hole() -> np.ndarray:
    return (abs(ROWS - 40) < 9) & (abs(COLUMNS - 30) < 14)


def border() -> np.ndarray:
    return (COLUMNS < 20) | (COLUMNS >= 80)


def specks() -> np.ndarray:
    return (ROWS % 9 == 4) & (COLUMNS % 7 == 3)


MASKS = {each.__name__: each for each in (ellipse, hole, border, specks)}


def alpha_of(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 0, 255).astype(np.uint8)


def with_alpha(mask: np.ndarray, mode: str = "RGBA") -> Image.Image:
    image = rgb().convert(mode)
    image.putalpha(Image.fromarray(alpha_of(mask)))
    return image


def with_key(mode: str, mask: np.ndarray) -> Image.Image:
    """A picture in which one colour is transparent, which nothing else has."""
    if mode == "L":
        return Image.fromarray(np.where(mask, 7, np.maximum(GREY, 8)).astype(np.uint8))
    key = np.array([1, 254, 3], np.uint8)
    return Image.fromarray(np.where(mask[..., None], key, PIXELS))


def palette(mask: np.ndarray) -> Image.Image:
    """A picture of a palette of which number 200 is transparent."""
    image = rgb().quantize(128)
    numbers = np.where(mask, 200, np.asarray(image)).astype(np.uint8)
    found = Image.fromarray(numbers, "P")
    found.putpalette((image.getpalette() or [])[: 3 * 128] + [9] * 3 * 128)
    return found


def png(bits: int, kind: int, rows: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file; rows are bytes."""
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 1)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, 0)
    parts = ((b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def deep(*bands: np.ndarray) -> np.ndarray:
    return np.stack(bands, axis=-1).astype(">u2").reshape(HEIGHT, -1).view(np.uint8)


def packed(levels: np.ndarray, bits: int) -> np.ndarray:
    parts = levels.reshape(HEIGHT, -1, 8 // bits).astype(np.uint8)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return (parts << shifts).sum(axis=2).astype(np.uint8)


def deep_tiff(mask: np.ndarray) -> bytes:
    """RGBA of 16 bits, of unassociated alpha."""
    layout = Layout("<", False)
    alpha = alpha_of(mask).astype(np.uint16) * 257
    data = np.dstack([PIXELS.astype(np.uint16) * 257, alpha]).astype("<u2").tobytes()
    return tiff(
        layout,
        {
            256: (4, 1, layout.pack("I", WIDTH)),
            257: (4, 1, layout.pack("I", HEIGHT)),
            258: (3, 4, layout.pack("HHHH", 16, 16, 16, 16)),
            262: (3, 1, layout.pack("H", 2)),
            277: (3, 1, layout.pack("H", 4)),
            278: (4, 1, layout.pack("I", HEIGHT)),
            279: (4, 1, layout.pack("I", len(data))),
            338: (3, 1, layout.pack("H", 2)),
        },
        data=data,
    )


WIDE, COLOUR_16 = (each.astype(np.uint16) * 257 for each in (GREY, PIXELS))
FORMS: dict[str, Callable[[np.ndarray], object]] = {
    "PNG": lambda m: encode(with_alpha(m), "PNG"),
    "PNG, grey": lambda m: encode(with_alpha(m, "LA"), "PNG"),
    "PNG, palette, one number": lambda m: encode(palette(m), "PNG", transparency=200),
    "PNG, palette, alpha of numbers": lambda m: encode(
        palette(m), "PNG", transparency=bytes([255] * 200 + [90, 130])
    ),
    "PNG, colour": lambda m: encode(with_key("RGB", m), "PNG", transparency=(1, 254, 3)),
    "PNG, level": lambda m: encode(with_key("L", m), "PNG", transparency=7),
    "PNG, level of 4 bits": lambda m: png(
        4, 0, packed(np.where(m, 9, GREY // 32), 4), (b"tRNS", struct.pack(">H", 9))
    ),
    "PNG, level of 2 bits": lambda m: png(
        2, 0, packed(np.where(m, 3, GREY // 90), 2), (b"tRNS", struct.pack(">H", 3))
    ),
    "PNG, 1 bit": lambda m: png(1, 0, packed(m, 1), (b"tRNS", struct.pack(">H", 1))),
    "PNG, level of 16 bits": lambda m: png(
        16, 0, deep(np.where(m, 777, WIDE)), (b"tRNS", struct.pack(">H", 777))
    ),
    "PNG, colour of 16 bits": lambda m: png(
        16,
        2,
        deep(*(np.where(m, key, COLOUR_16[..., c]) for c, key in enumerate((300, 65000, 5)))),
        (b"tRNS", struct.pack(">HHH", 300, 65000, 5)),
    ),
    "PNG, 16 bits": lambda m: png(
        16, 6, deep(*(COLOUR_16[..., c] for c in range(3)), alpha_of(m).astype(int) * 257)
    ),
    "PNG, grey of 16 bits": lambda m: png(16, 4, deep(WIDE, alpha_of(m).astype(int) * 257)),
    "WebP": lambda m: encode(with_alpha(m), "WEBP", quality=90),
    "WebP, lossless": lambda m: encode(with_alpha(m), "WEBP", lossless=True),
    "GIF": lambda m: encode(palette(m), "GIF", transparency=200),
    "TIFF": lambda m: encode(with_alpha(m), "TIFF"),
    "TIFF, LZW": lambda m: encode(with_alpha(m), "TIFF", compression="tiff_lzw"),
    "TIFF, grey": lambda m: encode(with_alpha(m, "LA"), "TIFF"),
    "TIFF, 16 bits": deep_tiff,
    "AVIF": lambda m: encode(with_alpha(m), "AVIF", quality=90),
    "HEIC": lambda m: heic(with_alpha(m)),
    "array": lambda m: np.dstack([PIXELS, alpha_of(m)]),
    "array of floats": lambda m: np.dstack([PIXELS, alpha_of(m)]) / np.float32(255),
    "tensor": lambda m: torch.from_numpy(np.dstack([PIXELS, alpha_of(m)])).permute(2, 0, 1),
    "Pillow": with_alpha,
    "Pillow, grey": lambda m: with_alpha(m, "LA"),
    "Pillow, premultiplied": lambda m: with_alpha(m).convert("RGBa"),
}
LOSSY = {"AVIF", "HEIC"}


@pytest.mark.parametrize("shape", MASKS)
@pytest.mark.parametrize("form", FORMS)
def test_transparent_pixels_are_found_and_black_and_others_as_kept(form: str, shape: str) -> None:
    mask = MASKS[shape]()
    source = FORMS[form](mask)
    photo, kept = read_photo(source), read_photo(source, alpha="keep")
    assert photo.transparent is not None
    assert (photo.transparent != mask).mean() <= (0.02 if form in LOSSY else 0)
    seen = ~photo.transparent
    np.testing.assert_array_equal(photo.pixels[seen], kept.pixels[seen])
    assert not photo.pixels[photo.transparent].any()
    [note] = [each for each in photo.notes if "transparent" in each]
    assert "alpha='keep'" in note
    share = float(note.split("(")[1].split("%")[0])
    assert share == pytest.approx(100 * mask.mean(), abs=2 if form in LOSSY else 0.05 * share)
    assert kept.transparent is None
    assert not [each for each in kept.notes if "transparent" in each]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_of_nothing_is_refused_in_a_line(form: str) -> None:
    source = FORMS[form](np.ones((HEIGHT, WIDTH), bool))
    with pytest.raises(InputError, match="all of its pixels are transparent") as caught:
        read_photo(source)
    assert "alpha='keep'" in str(caught.value)
    if form not in ("PNG, level of 16 bits", "PNG, colour of 16 bits"):  # those have one value
        assert read_photo(source, alpha="keep").shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", FORMS)
def test_an_opaque_picture_is_read_as_with_keep(form: str) -> None:
    source = FORMS[form](np.zeros((HEIGHT, WIDTH), bool))
    photo, kept = read_photo(source), read_photo(source, alpha="keep")
    assert photo.transparent is None
    np.testing.assert_array_equal(photo.pixels, kept.pixels)
    assert not [each for each in photo.notes if "transparent" in each]


@pytest.mark.parametrize(("alpha", "is_there"), [(0, False), (127, False), (128, True)])
def test_alpha_below_half_is_transparent(alpha: int, is_there: bool) -> None:
    soft = np.full((HEIGHT, WIDTH), 255, np.uint8)
    soft[:, :30] = alpha
    for source in (np.dstack([PIXELS, soft]), Image.fromarray(np.dstack([PIXELS, soft]))):
        photo = read_photo(source)
        assert (photo.transparent is None) == is_there
        if photo.transparent is not None:
            np.testing.assert_array_equal(photo.transparent, soft == alpha)


def test_half_transparent_pixels_are_over_white_as_before() -> None:
    soft = np.broadcast_to(np.linspace(128, 255, WIDTH).astype(np.uint8), (HEIGHT, WIDTH))
    image = Image.fromarray(np.dstack([PIXELS, soft]))
    flat = Image.new("RGB", image.size, (255, 255, 255))
    flat.paste(image, mask=image.getchannel("A"))
    np.testing.assert_array_equal(read_photo(image).pixels, np.asarray(flat))


@pytest.mark.parametrize("turned", range(1, 9))
def test_the_mask_is_upright(turned: int) -> None:
    mask = ellipse() | (COLUMNS < 40) & (ROWS < 30)
    content = encode(with_alpha(mask), "PNG", exif=exif(turned))
    photo = read_photo(content)
    assert photo.transparent is not None
    assert not photo.pixels[photo.transparent].any()
    plain = read_photo(encode(Image.fromarray(alpha_of(mask)), "PNG", exif=exif(turned)))
    np.testing.assert_array_equal(photo.transparent, plain.pixels[..., 0] == 0)


def test_a_large_picture_is_read_in_strips(tmp_path: Path) -> None:
    alpha = np.zeros((1500, 2000), np.uint8)
    alpha[700:1490, 100:1900] = 200
    image = Image.new("RGBA", (2000, 1500), (200, 100, 50, 0))
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "large.png", compress_level=1)
    photo = read_photo(tmp_path / "large.png")
    assert photo.transparent is not None
    np.testing.assert_array_equal(photo.transparent, alpha == 0)


def test_alpha_is_mask_or_keep() -> None:
    with pytest.raises(OptionError, match="'mask' or 'keep', got 'no'"):
        read_photo(PIXELS, alpha="no")  # pyright: ignore


def test_pages_of_a_tiff_are_noted_and_previews_are_not() -> None:
    pages = encode(rgb(), "TIFF", save_all=True, append_images=[rgb().rotate(180)])
    said = (
        "the file has several pages, and only the first was read: save each page as a separate "
        "file to process all of them",
    )
    assert read_photo(pages).notes == said
    assert read_photo(Image.open(BytesIO(pages))).notes == said
    assert read_photo(encode(rgb(), "TIFF")).notes == ()
    for layout in (Layout("<", False), Layout(">", False), Layout("<", True)):
        kind = {n: {254: (4, 1, layout.pack("I", n))} for n in (0, 1, 2, 4, 5)}
        for others, is_told in (
            ((), False),
            ((kind[1],), False),
            ((kind[4], kind[5], kind[1]), False),
            (({},), True),
            ((kind[2],), True),
            ((kind[1], kind[0]), True),
        ):
            assert (read_photo(tiff(layout, {}, pages=others)).notes == said) == is_told
    layout = Layout("<", False)
    assert read_photo(tiff(layout, {}, loops=True)).notes in ((), said)
