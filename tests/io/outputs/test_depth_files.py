"""Files of depth as other programs read them."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from rilievo.io.map_pictures import NO_NORMAL
from rilievo.io.outputs.formats.png16 import choose_quantisation, encode
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from support.predictions import K, prediction, said_beside, values_of


def write(folder: Path, name: str, kind: DepthKind = DepthKind.METRIC, **options: bool) -> Path:
    return save(prediction(kind), folder / "photo", [name], SaveOptions(**options))[0]


def test_metric_depth_is_millimetres_in_16_bits(tmp_path: Path) -> None:
    with Image.open(write(tmp_path, "png16")) as image:
        stored = np.asarray(image)
    expected = np.rint(values_of(DepthKind.METRIC) * 1000)
    expected[2, 3] = expected[-1, -1] = 0
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize("kind", DepthKind)
def test_a_16_bit_png_says_inside_what_the_json_says(tmp_path: Path, kind: DepthKind) -> None:
    path = write(tmp_path, "png16", kind)
    with Image.open(path) as image:
        text, stored = dict(image.info), np.asarray(image)
    beside = said_beside(tmp_path)
    assert json.loads(text["rilievo"]) == beside
    assert text["kind"] == kind
    assert text["invalid"] == "0"
    assert text["unit"] == ("metre" if kind is DepthKind.METRIC else "arbitrary")
    scale, offset = float(text["scale"]), float(text["offset"])
    assert (scale, offset) == (beside["files"][0]["scale"], beside["files"][0]["offset"])
    values = stored * scale + offset
    np.testing.assert_allclose(values[stored > 0], values_of(kind)[stored > 0], atol=scale / 2)
    assert np.argwhere(stored == 0).tolist() == [[2, 3], [23, 31]]


def test_depth_beyond_what_millimetres_reach_has_a_coarser_step(tmp_path: Path) -> None:
    far = prediction(values=values_of(DepthKind.METRIC) * 50)
    save(far, tmp_path / "photo", ["png16"])
    [facts] = read_sidecar(tmp_path / "photo.json").files
    assert facts.scale == pytest.approx(150 / 65535, rel=0.02)
    assert facts.offset == 0.0


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale", "offset"),
    [
        (DepthKind.METRIC, 0.001, 65.535, 0.001, 0.0),
        (DepthKind.METRIC, 1.0, 131.07, 0.002, 0.0),
        (DepthKind.UP_TO_SCALE, 0.5, 2 * 65535.0, 2.0, None),
        (DepthKind.UP_TO_SCALE, 2.0, 2.0, 2.0 / 65535, 0.0),
        (DepthKind.AFFINE, -1.0, 65533.0, 1.0, -2.0),
        (DepthKind.AFFINE_INVERSE, 5.0, 5.0, 5.0, 0.0),
        (DepthKind.AFFINE, 0.0, 0.0, 1.0, -1.0),
    ],
)
def test_codings_worked_out_by_hand(
    kind: DepthKind, low: float, high: float, scale: float, offset: float | None
) -> None:
    coding = choose_quantisation(kind, low, high)
    assert coding.scale == pytest.approx(scale, rel=1e-4)
    if offset is not None:
        assert coding.offset == pytest.approx(offset)


@given(
    values=arrays.arrays(np.float32, (3, 4), elements=st.floats(2.0**-20, 2.0**20, width=32)),
    kind=st.sampled_from(DepthKind),
    sign=st.sampled_from([1, -1]),
)
def test_no_number_moves_by_more_than_half_a_step(
    values: np.ndarray, kind: DepthKind, sign: int
) -> None:
    if kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        values = values * np.float32(sign)
    coding = choose_quantisation(kind, float(values.min()), float(values.max()))
    stored = encode(DepthMap(values=values, kind=kind), coding)
    assert stored.min() >= 1
    back = stored * coding.scale + coding.offset
    rounding = 4e-7 * np.abs(values).max()
    np.testing.assert_allclose(back, values, rtol=0, atol=0.5 * coding.scale + rounding)
    if kind in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        assert back.min() > 0


@pytest.mark.parametrize("compress", [False, True])
def test_a_tiff_is_float_for_every_reader(tmp_path: Path, compress: bool) -> None:
    path = write(tmp_path, "tiff", DepthKind.AFFINE, compress=compress)
    theirs = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert theirs is not None
    assert theirs.dtype == np.float32
    expected = values_of(DepthKind.AFFINE)
    expected[2, 3] = expected[-1, -1] = np.nan
    np.testing.assert_array_equal(theirs, expected)
    with Image.open(path) as image:
        inside = json.loads(image.getexif()[270])
    assert inside == said_beside(tmp_path)


def test_an_npz_holds_everything_by_name(tmp_path: Path) -> None:
    given = prediction(DepthKind.AFFINE_INVERSE)
    for compress in (False, True):
        path = save(given, tmp_path / f"photo{compress}", ["npz"], SaveOptions(compress=compress))[
            0
        ]
        with np.load(path, allow_pickle=False) as arrays:
            assert set(arrays) == {
                "depth",
                "valid",
                "kind",
                "unit",
                "photo",
                "normals",
                "confidence",
                "sky",
                "K",
                "about",
            }
            assert arrays["kind"].item() == "affine_inverse"
            assert arrays["normals"].shape == (3, 24, 32)
            np.testing.assert_array_equal(arrays["K"], K)
            assert np.isnan(arrays["depth"][2, 3])
            assert not arrays["valid"][2, 3]
            assert json.loads(arrays["about"].item())["depth"]["kind"] == "affine_inverse"
        with zipfile.ZipFile(path) as archive:
            kinds = {info.compress_type for info in archive.infolist()}
        assert kinds == {zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED}


@pytest.mark.parametrize(
    ("kind", "channel"), [(DepthKind.UP_TO_SCALE, "Z"), (DepthKind.AFFINE, "Y")]
)
def test_an_exr_has_one_float_channel_that_says_its_kind(
    tmp_path: Path, kind: DepthKind, channel: str
) -> None:
    import OpenEXR

    with OpenEXR.File(str(write(tmp_path, "exr", kind))) as image:
        header = dict(image.header())
        assert list(image.channels()) == [channel]
        pixels = np.array(image.channels()[channel].pixels)
    assert pixels.dtype == np.float32
    expected = values_of(kind)
    expected[2, 3] = expected[-1, -1] = np.nan
    np.testing.assert_array_equal(pixels, expected)
    assert header["kind"] == kind
    assert json.loads(header["rilievo"]) == said_beside(tmp_path)


@pytest.mark.parametrize(
    ("axes", "signs", "wall"),
    [("directx", (1, 1, -1), (128, 128, 255)), ("opencv", (1, 1, 1), (128, 128, 0))],
)
def test_a_picture_of_normals_has_the_axes_that_were_asked_for_and_is_read_back(
    tmp_path: Path, axes: str, signs: tuple[int, ...], wall: tuple[int, ...]
) -> None:
    made = prediction()
    assert made.normals is not None
    [path, beside] = save(made, tmp_path / "photo", ["normals"], SaveOptions(normals_axes=axes))
    with Image.open(path) as image:
        pixels = np.asarray(image)
    known, expected = made.depth.valid, np.moveaxis(made.normals, 0, 2)
    np.testing.assert_allclose((pixels / 127.5 - 1)[known] * signs, expected[known], atol=0.005)
    [facts] = read_sidecar(beside).files
    assert facts.axes is not None
    assert facts.axes.endswith(f"a wall seen head-on is {wall}")
    again = read_prediction(beside).normals
    assert again is not None
    np.testing.assert_allclose(np.moveaxis(again, 0, 2)[known], expected[known], atol=0.01)


def test_normals_are_an_array_in_our_axes_and_a_picture_in_opengls(tmp_path: Path) -> None:
    given = prediction()
    assert given.normals is not None
    paths = save(given, tmp_path / "photo", ["normals-npy", "normals"])
    np.testing.assert_array_equal(np.load(paths[0]), np.moveaxis(given.normals, 0, 2))
    with Image.open(paths[1]) as image:
        pixels = np.asarray(image)
    known = given.depth.valid
    assert not known.all()
    np.testing.assert_array_equal(pixels[~known], NO_NORMAL)
    seen, expected = (pixels / 127.5 - 1)[known], np.moveaxis(given.normals, 0, 2)[known]
    np.testing.assert_allclose(seen * [1, -1, -1], expected, atol=0.005)
    ours, theirs = (facts.axes for facts in read_sidecar(tmp_path / "photo.json").files)
    assert ours is not None
    assert theirs is not None
    assert "y down" in ours
    assert "y up" in theirs


def test_a_colour_picture_says_its_range_and_takes_one(tmp_path: Path) -> None:
    options = SaveOptions(colour_map="grey", colour_range="1,4")
    path = save(prediction(holes=False), tmp_path / "photo", ["colour"], options)[0]
    [facts] = read_sidecar(tmp_path / "photo.json").files
    assert facts.colour is not None
    assert facts.colour.map == "grey"
    assert facts.colour.draws == "1/depth"
    assert (facts.colour.low, facts.colour.high) == (0.25, 1.0)
    with Image.open(path) as image:
        assert image.mode == "P"
        grey = np.asarray(image.convert("RGB"))[..., 0].astype(float)
    expected = (1 / values_of(DepthKind.METRIC) - 0.25) / 0.75 * 256
    np.testing.assert_allclose(grey, np.clip(expected, 0, 255), atol=1.01)


@pytest.mark.parametrize(
    ("kind", "draws"), [(DepthKind.AFFINE, "-values"), (DepthKind.AFFINE_INVERSE, "values")]
)
def test_affine_numbers_are_drawn_in_the_order_of_nearness(
    tmp_path: Path, kind: DepthKind, draws: str
) -> None:
    write(tmp_path, "colour", kind)
    [facts] = read_sidecar(tmp_path / "photo.json").files
    assert facts.colour is not None
    assert facts.colour.draws == draws
