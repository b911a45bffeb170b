"""A cut-out: where nothing is, arrays hold NaN at every door and in every format that has NaN."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.io.map_pictures import NO_NORMAL

SIZE = (48, 64)
HIDDEN = np.ones(SIZE, bool)
HIDDEN[10:40, 12:50] = False


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 4), np.uint8)
    pixels[..., 3] = np.where(HIDDEN, 0, 255)
    return pixels


@pytest.fixture(scope="module")
def cutout(photo: np.ndarray) -> rilievo.Prediction:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return rilievo.predict(photo, model="rilievo/small")


def bordered() -> np.ndarray:
    pixels = np.full((96, 128, 3), 255, np.uint8)
    pixels[20:76, 24:104] = np.random.default_rng(1).integers(0, 200, (56, 80, 3))
    return pixels


def test_arrays_of_a_prediction_are_nan_where_nothing_is(cutout: rilievo.Prediction) -> None:
    assert cutout.normals is not None
    for values in (cutout.depth.values, cutout.depth.depth(), *cutout.normals):
        np.testing.assert_array_equal(np.isnan(values), HIDDEN)
    assert np.isnan(cutout.depth[0, 0])
    assert np.nanmean(cutout.depth.values) == pytest.approx(
        cutout.depth.values[cutout.depth.valid].mean(), rel=1e-5
    )


def test_the_pipeline_of_transformers_gives_nan(photo: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = rilievo.pipeline("depth-estimation", "rilievo/small")(Image.fromarray(photo))
    np.testing.assert_array_equal(np.isnan(np.asarray(found["predicted_depth"])), HIDDEN)
    assert (np.asarray(found["depth"])[HIDDEN] == 0).all()


def test_a_trimmed_border_is_nan_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = rilievo.predict(bordered(), model="rilievo/small")
    assert found.normals is not None
    assert not found.depth.valid.all()
    np.testing.assert_array_equal(np.isnan(found.depth.values), ~found.depth.valid)
    np.testing.assert_array_equal(np.isnan(found.normals[0]), ~found.depth.valid)


def test_formats_with_nan_have_it_and_others_their_mark(
    cutout: rilievo.Prediction, tmp_path: Path
) -> None:
    names = ["npy", "npz", "tiff", "png16", "normals", "normals-npy"]
    try:
        import OpenEXR

        names.append("exr")
    except ImportError:
        OpenEXR = None
    from rilievo.prediction.output import OUTPUTS

    names = [name for name in names if name in OUTPUTS]
    paths = dict(zip(names, cutout.save(tmp_path / "a", names), strict=False))
    read = {
        "npy": lambda path: np.load(path),
        "npz": lambda path: np.load(path)["depth"],
        "tiff": lambda path: np.array(Image.open(path)),
        "exr": lambda path: np.array(OpenEXR.File(str(path)).channels()["Z"].pixels),
        "normals-npy": lambda path: np.load(path)[..., 0],
    }
    for name in read.keys() & paths.keys():
        np.testing.assert_array_equal(np.isnan(read[name](paths[name])), HIDDEN, err_msg=name)
    with np.load(paths["npz"]) as arrays:
        np.testing.assert_array_equal(np.isnan(arrays["normals"][1]), HIDDEN)
    assert (np.array(Image.open(paths["png16"]))[HIDDEN] == 0).all()
    assert (np.array(Image.open(paths["normals"]))[HIDDEN] == NO_NORMAL).all()
    for name in ("npy", "npz", "png16"):
        again = rilievo.read_prediction(paths[name])
        np.testing.assert_array_equal(np.isnan(again.depth.values), HIDDEN, err_msg=name)
