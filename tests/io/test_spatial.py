"""Spatial photographs: both views, their cameras, and depth where they match."""

import struct
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.photographs.heif_views import find_second_view
from rilievo.io.photographs.photo import read_photo
from support.encoded_photographs import heic, rgb
from support.photographs_with_depth import apple_xmp, coded_heic
from support.spatial_photographs import (
    BASELINE,
    SIZE,
    Coded,
    cmex,
    cmin,
    depth_of,
    intrinsics,
    spatial_heic,
    ster,
    view,
)

pytest.importorskip("pillow_heif")

NEAR, FAR = 0.8, 30.0
"""Distances of the wall [m]; nothing of the far one has a disparity that tells it."""


def spatial(scale: float = NEAR, **changes: Any) -> bytes:
    return spatial_heic((view(scale), view(scale, BASELINE)), **changes)


def cameras(**changes: bytes) -> Mapping[int, tuple[bytes, ...]]:
    """Properties of both views, some of the second one changed."""
    first = {"cmin": cmin(intrinsics(), SIZE), "cmex": cmex(0.0)}
    second = {**first, "cmex": cmex(BASELINE), **changes}
    return {1: (*first.values(),), 2: tuple(box for box in second.values() if box)}


@pytest.mark.parametrize("first", [1, 2])
def test_baseline_camera_and_depth_are_read_whichever_view_comes_first(first: int) -> None:
    found = read_photo(spatial(first=first))
    assert found.camera is not None
    assert found.camera.source is CameraSource.HEIF
    np.testing.assert_allclose(found.camera.K, intrinsics(), rtol=1e-6)
    own = found.own_depth
    assert own is not None
    assert own.source == "two views, 19.2 mm apart"
    assert own.unused is None
    assert own.metres is not None
    true = depth_of(NEAR, BASELINE * (first - 1))
    there = own.metres > 0
    assert there.sum() > 300
    errors = np.abs(np.log(own.metres[there] / true[there]))
    assert np.median(errors) < 0.005
    assert np.quantile(errors, 0.9) < 0.03


@pytest.mark.slow
def test_views_are_matched_in_any_size_and_exposure() -> None:
    size = (720, 1400)
    dark = view(NEAR, BASELINE, size, exposure=0.7)
    own = read_photo(spatial_heic((view(NEAR, 0.0, size), dark))).own_depth
    assert own is not None
    assert own.metres is not None
    assert own.metres.shape == (360, 700)
    there = own.metres > 0
    errors = np.abs(np.log(own.metres[there] / depth_of(NEAR, 0.0, size)[::2, ::2][there]))
    assert np.median(errors) < 0.005


def test_too_few_near_places_are_no_ruler() -> None:
    own = read_photo(spatial(FAR)).own_depth
    assert own is not None
    assert own.metres is None
    assert not own.broken
    assert own.unused == "they match at only 0 points nearer than 3.8 m; expected at least 20"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cameras": cameras(cmex=cmex(BASELINE, turn=0.01))}, "rotated relative to each other"),
        ({"cameras": cameras(cmin=b"")}, "no intrinsics"),
        ({"cameras": cameras(cmex=b"")}, "are 0 m apart"),
        ({"cameras": cameras(cmex=cmex(19.2))}, "are 19.2 m apart"),
        ({"groups": ster(1, 1)}, "not include the photograph"),
        ({"groups": ster(2, 7)}, "not include the photograph"),
    ],
)
def test_a_pair_that_cannot_be_used_is_told_and_the_photograph_is_read(
    changes: dict[str, Any], words: str
) -> None:
    found = read_photo(spatial(**changes))
    assert found.camera is not None
    assert found.own_depth is not None
    assert found.own_depth.metres is None
    assert words in str(found.own_depth.unused)
    np.testing.assert_array_equal(found.pixels, read_photo(spatial(), own_depth=False).pixels)


def test_intrinsics_of_a_picture_that_was_cropped_since_are_not_taken() -> None:
    K = intrinsics()
    K[0, 2] += 100
    odd = cmin(K, SIZE), cmex(0.0)
    assert read_photo(spatial(cameras={**cameras(), 1: odd})).camera is None


DAMAGE = {
    "a box without a length": (b"grpl", -4, struct.pack(">L", 1)),
    "a box that ends behind the file": (b"grpl", -4, struct.pack(">L", 10**9)),
    "a box that ends within its own header": (b"ster", -4, struct.pack(">L", 4)),
    "a length of 64 bits": (b"iprp", -4, struct.pack(">L4sQ", 1, b"iprp", 2**63)),
    "a thousand million pictures": (b"ipma", 8, struct.pack(">L", 10**9)),
    "an unknown property": (b"ipma", 18, b"\x7f"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_boxes_are_one_line(name: str) -> None:
    kind, place, value = DAMAGE[name]
    content = bytearray(spatial())
    at = content.index(kind) + place
    content[at : at + len(value)] = value
    with pytest.raises(InputError) as refusal:
        find_second_view(BytesIO(content))
    assert "\n" not in str(refusal.value)
    # Decoders refuse some of these files; the others are read as plain photographs.
    with suppress(InputError):
        found = read_photo(bytes(content))
        assert found.own_depth is not None
        assert found.own_depth.broken
        assert found.pixels.shape == (*SIZE, 3)


def test_any_byte_of_the_metadata_may_be_wrong() -> None:
    content = spatial()
    content = content[: content.index(b"mdat") - 4]
    outcomes = set()
    for at in range(len(content)):
        for value in (0, 1, 255):
            changed = BytesIO(content[:at] + bytes([value]) + content[at + 1 :])
            try:
                outcomes.add(type(find_second_view(changed)).__name__)
            except InputError as error:
                outcomes.add(type(error).__name__)
    assert outcomes == {"SecondView", "NoneType", "InputError"}


def map_of_a_device(accuracy: str) -> tuple[Coded, bytes]:
    """Depth from 2 to 3 m, from left to right, and its description."""
    codes = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (128, 1))
    coded = Coded(*coded_heic(Image.fromarray(codes)), codes.shape)
    return coded, apple_xmp(2.0, 3.0, accuracy, "depth")


@pytest.mark.parametrize("first", [1, 2])
def test_a_map_in_metres_goes_before_the_pair(first: int) -> None:
    own = read_photo(spatial(first=first, own_map=map_of_a_device("absolute"))).own_depth
    assert own is not None
    assert own.source == "Apple"
    assert own.metres is not None
    np.testing.assert_allclose(own.metres, np.tile(np.linspace(2, 3, 128), (128, 1)), atol=0.02)


@pytest.mark.parametrize(("scale", "source"), [(NEAR, "two views, 19.2 mm apart"), (FAR, "Apple")])
def test_a_map_without_metres_goes_behind_a_pair_that_has_them(scale: float, source: str) -> None:
    own = read_photo(spatial(scale, own_map=map_of_a_device("relative"))).own_depth
    assert own is not None
    assert own.source == source
    assert (own.metres is not None) == (scale == NEAR)


def test_a_plain_file_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr("rilievo.io.photographs.own_depth.find_second_view", looked.append)
    read_photo(heic(rgb()))
    read_photo(spatial(), own_depth=False)
    assert looked == []
    read_photo(spatial())
    assert len(looked) == 1
