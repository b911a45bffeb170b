"""JPEG pictures of everything that can be photographed, noise among it."""

import io

import numpy as np
import pytest
from PIL import Image

from rilievo.io.outputs.save_options import SaveOptions
from rilievo.pages.photograph import photo_picture
from rilievo.pages.pictures import jpeg_bytes, photo_panel
from rilievo.records.sample import Photo


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("shape", [(1, 1, 3), (360, 480, 3), (360, 480)])
def test_noise_is_written_like_any_other_picture(shape: tuple[int, ...], subsampling: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = decoded(jpeg_bytes(Image.fromarray(noise), quality=88, subsampling=subsampling))
    assert found.shape == shape
    if subsampling == 0:
        assert np.abs(found.astype(int) - noise).mean() < 20


def test_flat_pictures_are_as_small_as_their_own_tables_make_them() -> None:
    ramp = np.repeat(np.arange(480, dtype=np.uint8)[None] // 2, 360, axis=0)
    image = Image.fromarray(np.stack([ramp, ramp[:, ::-1], ramp], axis=2))
    plain = io.BytesIO()
    image.save(plain, format="JPEG", quality=85, subsampling=0)
    assert len(jpeg_bytes(image, quality=85)) < 0.8 * len(plain.getvalue())


def test_pages_show_noise() -> None:
    """Each wrote its pictures into a buffer of a byte a pixel, which noise overruns."""
    noise = np.random.default_rng(0).integers(0, 256, (360, 480, 3), dtype=np.uint8)
    page = photo_picture(Photo(pixels=noise, name="noise"), SaveOptions())
    for file in (page.jpeg, photo_panel(noise).jpeg()):
        assert decoded(file).shape == noise.shape
