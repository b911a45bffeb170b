"""Depth that photographs carry is read to the metres that its writer meant."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.io.photographs.photo import read_photo
from rilievo.records.depth_map import OwnDepth
from support.photographs_with_depth import (
    SIZE,
    apple_heic,
    apple_jpeg,
    codes,
    dynamic,
    eight_bits,
    encoded,
    gdepth,
    map_png,
    picture,
    true_depth,
)


def own(content: bytes) -> OwnDepth:
    found = read_photo(content).own_depth
    assert found is not None
    return found


def metres(content: bytes) -> np.ndarray:
    found = own(content)
    assert found.unused is None
    assert found.metres is not None
    return found.metres


@pytest.mark.parametrize("form", ["RangeInverse", "RangeLinear"])
@pytest.mark.parametrize(("unit", "scale"), [("m", 1.0), ("mm", 1000.0)])
def test_gdepth_is_read_in_both_its_formats_and_units(form: str, unit: str, scale: float) -> None:
    found = metres(gdepth(form=form, unit=unit, scale=scale))
    np.testing.assert_allclose(found, true_depth(), rtol=1e-3)


@pytest.mark.parametrize("extended", [False, True])
def test_gdepth_in_an_extended_packet_whose_parts_lie_in_any_order(extended: bool) -> None:
    content = gdepth(extended=extended)
    np.testing.assert_allclose(metres(content), true_depth(), rtol=1e-3)
    assert own(content).source == "GDepth"
    assert not own(content).along_ray
    assert own(gdepth(measure="OpticRay")).along_ray


def test_dynamic_depth_is_found_behind_the_picture() -> None:
    np.testing.assert_allclose(metres(dynamic()), true_depth(), rtol=1e-3)
    assert own(dynamic()).source == "Dynamic Depth"


def test_disparity_of_a_jpeg_file_with_two_pictures_becomes_depth() -> None:
    found = own(apple_jpeg())
    assert found.source == "Apple"
    assert found.metres is not None
    np.testing.assert_allclose(found.metres, true_depth(), rtol=0.03)


def without_padding() -> bytes:
    png = map_png(true_depth())
    return gdepth(data=png + b"\0" * ((1 - len(png)) % 3), padded=False)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (lambda: apple_jpeg(kind="depth"), 0.05),
        (lambda: apple_jpeg(named=False), 0.03),
        (lambda: apple_jpeg(kind="depth", named=False), 0.05),
        (lambda: dynamic(named=False), 1e-3),
        (lambda: dynamic(padding=7), 1e-3),
        (without_padding, 1e-3),
    ],
)
def test_forms_that_some_writers_choose_are_read(
    content: Callable[[], bytes], tolerance: float
) -> None:
    np.testing.assert_allclose(metres(content()), true_depth(), rtol=tolerance)


@pytest.mark.parametrize("write", [gdepth, dynamic])
def test_depth_of_no_confidence_is_left_out(write: Callable[..., bytes]) -> None:
    confidence = np.full(true_depth().shape, 0.5)
    confidence[10:20, 5:50] = 0
    expected = np.where(confidence > 0, true_depth(), 0)
    np.testing.assert_allclose(metres(write(confidence=confidence)), expected, rtol=1e-3)


@pytest.mark.parametrize("write", [gdepth, dynamic])
def test_a_confidence_of_another_size_leaves_out_the_same_places(
    write: Callable[..., bytes],
) -> None:
    confidence = np.full(true_depth().shape, 0.5)
    confidence[10:20, 5:50] = 0
    expected = np.where(confidence > 0, true_depth(), 0)
    large = np.kron(confidence, np.ones((3, 2)))
    np.testing.assert_allclose(metres(write(confidence=large)), expected, rtol=1e-3)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_transparent_pixel_of_the_map_has_no_depth(mode: str) -> None:
    levels = Image.fromarray(codes(true_depth(), "RangeLinear", 255)).convert(mode)
    alpha = np.full(true_depth().shape, 255, np.uint8)
    alpha[10:20, 5:50] = 0
    levels.putalpha(Image.fromarray(alpha))
    found = metres(gdepth(form="RangeLinear", data=encoded(levels, "PNG")))
    np.testing.assert_allclose(found, np.where(alpha, true_depth(), 0), atol=0.011)


def test_a_large_map_is_thinned_out() -> None:
    """720 by 640 pixels, each of the true map's repeated; of them 671 by 596 are read."""
    large = np.kron(true_depth(), np.ones((15, 10)))
    found = metres(gdepth(data=map_png(large), extended=True))
    assert found.shape == (671, 596)
    rows, columns = (
        np.floor((np.arange(count) + 0.5) * side / count).astype(int)
        for count, side in zip(found.shape, true_depth().shape, strict=True)
    )
    np.testing.assert_allclose(found, true_depth()[np.ix_(rows, columns)], rtol=1e-3)


def test_disparity_of_a_heic_file_becomes_depth() -> None:
    pytest.importorskip("pillow_heif")
    found = own(apple_heic())
    assert found.source == "Apple"
    assert found.metres is not None
    stored = Image.fromarray((1 / true_depth()).astype(np.float32))
    expected = 1 / np.asarray(stored.resize((128, 128), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(np.median(found.metres / expected), 1, atol=0.01)
    assert np.quantile(np.abs(found.metres / expected - 1), 0.99) < 0.05


def test_depth_of_a_heic_file_without_a_unit_is_told() -> None:
    pytest.importorskip("pillow_heif")
    assert own(apple_heic("relative")).unused is not None
    bare = own(apple_heic(described=False))
    assert (bare.source, bare.broken) == ("HEIF", False)
    assert "metres" in str(bare.unused)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_is_turned_as_the_photograph_is(orientation: int) -> None:
    """Pillow's own turning of a picture that shows the same map."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    found = metres(gdepth(exif=tags.tobytes()))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    stored = Image.fromarray(true_depth().astype(np.float32))
    upright = stored.transpose(turns[orientation]) if orientation in turns else stored
    np.testing.assert_allclose(found, np.asarray(upright), rtol=1e-3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: gdepth(unit=None), "metres"),
        (lambda: gdepth(unit="furlongs"), "metres"),
        (lambda: dynamic(unit="Diopters"), "metres"),
        (lambda: apple_jpeg(accuracy="relative"), "relative"),
    ],
)
def test_numbers_that_are_no_metres_are_not_used(content: Callable[[], bytes], says: str) -> None:
    found = own(content())
    assert found.metres is None
    assert not found.broken
    assert found.unused is not None
    assert says in found.unused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: gdepth(data=b"no picture"), "not a supported image"),
        (lambda: gdepth(data=map_png(true_depth())[:200]), "truncated"),
        (lambda: gdepth(extended=True, cut=True), "truncated"),
        (lambda: gdepth(scale=-1.0), "expected 0 < Near < Far"),
        (lambda: gdepth(form="RangeLinear", scale=-1.0), "expected 0 <= Near < Far"),
        (lambda: gdepth(form="RangeLogarithmic"), "format"),
        (lambda: dynamic(too_much=10**6), "more bytes"),
        (lambda: dynamic(cut=100), "its map"),
    ],
)
def test_what_is_broken_is_told_and_the_photograph_is_read_all_the_same(
    content: Callable[[], bytes],
    says: str,
) -> None:
    photo = read_photo(content())
    assert photo.shape == SIZE
    assert photo.own_depth is not None
    assert photo.own_depth.broken
    assert photo.own_depth.unused is not None
    assert says in photo.own_depth.unused
    assert "\n" not in photo.own_depth.unused


def test_entities_in_xmp_are_not_expanded() -> None:
    # As many bytes as before, so that the segment is whole.
    bomb = gdepth().replace(b'<rdf:Description rdf:about=""', b"<!DOCTYPE xyz><rdf:Descriptio", 1)
    assert len(bomb) == len(gdepth())
    found = own(bomb)
    assert found.broken
    assert "entity declarations" in str(found.unused)


def test_ordinary_photographs_have_none(tmp_path: Path) -> None:
    picture().save(tmp_path / "plain.jpg")
    assert read_photo(tmp_path / "plain.jpg").own_depth is None
    assert read_photo(np.asarray(picture())).own_depth is None
    both = encoded(picture(), "MPO", save_all=True, append_images=[eight_bits()[0]])
    assert read_photo(both).own_depth is None
