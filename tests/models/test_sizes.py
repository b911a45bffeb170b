"""Resizing to the network's size and back is exact for any size of strips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rilievo.models.resampling.preparation import REDUCING_GAP, shrink
from rilievo.models.resampling.resizing import resize, resize_normals

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def bilinear(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Enlarge by interpolating along columns, then rows; pixel centres are at halves."""
    for axis, (short, long) in enumerate(zip(field.shape, shape, strict=True)):
        at = (np.arange(long) + 0.5) * short / long - 0.5
        field = np.apply_along_axis(
            lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, field
        )
    return field


@pytest.mark.parametrize("shape", [(61, 83), (300, 900), (2000, 70), (40, 66_000)])
def test_fields_are_enlarged_bilinearly_across_all_strips(shape: tuple[int, int]) -> None:
    field = np.random.default_rng(0).uniform(1, 2, (23, 31)).astype(np.float32)
    np.testing.assert_allclose(resize(field, shape), bilinear(field, shape), atol=2e-5)


@given(field=SIZES, shape=SIZES, value=st.floats(2**-10, 1024, width=32))
@settings(deadline=None)
def test_a_constant_stays_what_it_is(
    field: tuple[int, int], shape: tuple[int, int], value: float
) -> None:
    resized = resize(np.full(field, value, np.float32), shape)
    assert resized.shape == shape
    np.testing.assert_allclose(resized, value, rtol=1e-6)


@given(seed=st.integers(0, 99), field=SIZES, shape=SIZES)
@settings(deadline=None)
def test_nothing_overshoots(seed: int, field: tuple[int, int], shape: tuple[int, int]) -> None:
    values = np.random.default_rng(seed).uniform(1, 9, field).astype(np.float32)
    resized = resize(values, shape)
    assert values.min() * (1 - 1e-6) <= resized.min()
    assert resized.max() <= values.max() * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(50, 60), (900, 300)])
def test_normals_are_unit_at_every_size_and_face_the_camera_where_they_cancel(
    shape: tuple[int, int],
) -> None:
    normals = np.zeros((3, 20, 30), np.float32)
    normals[0, :, :15], normals[2, :, 15:] = 5.0, -0.1
    normals[:, 10:] = 0.0
    resized = resize_normals(normals, shape)
    np.testing.assert_allclose(np.linalg.norm(resized, axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(resized[:, 0, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(resized[:, 0, -1], [0, 0, -1], atol=1e-6)
    np.testing.assert_allclose(resized[:, -1, 0], [0, 0, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("photo", "size"),
    [
        ((300, 401), (96, 128)),
        ((1501, 2003), (192, 256)),
        ((40, 5000), (32, 512)),
        ((4999, 1700), (640, 224)),
        ((100, 90), (224, 192)),
    ],
)
def test_photographs_are_shrunk_as_pillow_does_it_at_once(
    photo: tuple[int, int], size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*photo, 3), dtype=np.uint8)
    height, width = size
    at_once = Image.fromarray(pixels).resize(
        (width, height), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP
    )
    np.testing.assert_array_equal(shrink(pixels, size), np.asarray(at_once))
