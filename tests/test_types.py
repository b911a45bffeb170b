"""The records refuse what breaks their rules, and a depth map is no array."""

import re

import numpy as np
import pytest

from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Photo, Sample

SIZE = (3, 4)
DEPTH_KINDS = (DepthKind.METRIC, DepthKind.UP_TO_SCALE)
AFFINE_KINDS = (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)
MADE_BY = MadeBy(model="m", weights_sha256="0", licence="CC0-1.0", settings={}, version="0")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape or SIZE, np.float32)


def full(*shape: int) -> np.ndarray:
    return np.ones(shape or SIZE, bool)


def photo(*shape: int) -> np.ndarray:
    return np.zeros((*(shape or SIZE), 3), np.uint8)


@pytest.mark.parametrize("kind", list(DepthKind))
def test_a_depth_map_is_not_an_array(kind: DepthKind) -> None:
    depth = DepthMap(values=ones(), kind=kind)
    for attempt in (np.asarray, np.array, np.mean, lambda d: np.add(d, 1.0)):
        with pytest.raises(TypeError, match=f"kind '{kind}' is not an array"):
            attempt(depth)
    with pytest.raises(TypeError):
        depth * 2  # pyright: ignore[reportOperatorIssue]


@pytest.mark.parametrize("kind", DEPTH_KINDS)
def test_depth_can_be_had_of_kinds_that_are_depth(kind: DepthKind) -> None:
    depth = DepthMap(values=ones(), kind=kind)
    assert depth.is_depth
    np.testing.assert_array_equal(depth.depth(), ones())


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_depth_cannot_be_had_of_affine_kinds(kind: DepthKind) -> None:
    depth = DepthMap(values=ones(), kind=kind)
    assert not depth.is_depth
    with pytest.raises(InputError, match=f"values of kind '{kind}' are not depth.*known="):
        depth.depth()


@pytest.mark.parametrize("kind", DEPTH_KINDS)
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_depth_is_positive(kind: DepthKind, bad: float) -> None:
    values = ones()
    values[1, 2] = bad
    with pytest.raises(InputError, match="not positive"):
        DepthMap(values=values, kind=kind)


@pytest.mark.parametrize("kind", AFFINE_KINDS)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_affine_numbers_have_any_sign(kind: DepthKind, value: float) -> None:
    assert DepthMap(values=ones() * np.float32(value), kind=kind).valid.all()


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite_where_valid_and_free_elsewhere(kind: DepthKind, bad: float) -> None:
    values, valid = ones(), full()
    values[1, 2] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        DepthMap(values=values, kind=kind, valid=valid)
    valid[1, 2] = False
    assert DepthMap(values=values, kind=kind, valid=valid).shape == SIZE


def test_everything_is_valid_unless_a_mask_says_otherwise() -> None:
    valid = DepthMap(values=ones(), kind=DepthKind.METRIC).valid
    assert valid.shape == SIZE
    assert valid.all()


def test_the_kind_may_be_named_by_its_word_alone() -> None:
    assert DepthKind("affine_inverse") is DepthKind.AFFINE_INVERSE
    with pytest.raises(ValueError, match="disparity"):
        DepthKind("disparity")


def test_records_are_frozen() -> None:
    depth = DepthMap(values=ones(), kind=DepthKind.METRIC)
    with pytest.raises(AttributeError):
        depth.kind = DepthKind.AFFINE  # pyright: ignore[reportAttributeAccessIssue]


def test_an_empty_depth_map_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("(0, 4)")):
        DepthMap(values=ones(0, 4), kind=DepthKind.METRIC)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, 0, 0.0, "focal lengths must be"),
        (1, 1, -5.0, "focal lengths must be"),
        (0, 2, np.nan, "cx is nan, expected a finite number"),
        (0, 1, 1.0, "K must be"),
        (1, 0, 1.0, "K must be"),
        (2, 0, 1.0, "K must be"),
        (2, 2, 2.0, "K must be"),
    ],
)
def test_a_matrix_that_is_no_pinhole_camera_is_refused(
    row: int, column: int, value: float, message: str
) -> None:
    K = np.array([[50.0, 0, 2], [0, 50, 1], [0, 0, 1]])
    assert Camera(K=K.copy(), source=CameraSource.GIVEN).K[0, 0] == 50
    K[row, column] = value
    with pytest.raises(InputError, match=message):
        Camera(K=K, source=CameraSource.GIVEN)


@pytest.mark.parametrize("alone", ["depth", "depth_valid", "normals", "normals_valid"])
def test_a_samples_truth_comes_with_its_mask(alone: str) -> None:
    parts = {
        "depth": ones(),
        "depth_valid": full(),
        "normals": ones(3, *SIZE),
        "normals_valid": full(),
    }
    with pytest.raises(InputError, match="must be given together"):
        Sample(id="a", image=photo(), **{alone: parts[alone]})


def test_the_parts_of_a_prediction_are_of_one_size() -> None:
    depth = DepthMap(values=ones(), kind=DepthKind.METRIC)
    whole = Prediction(
        depth_or_none=depth,
        normals=ones(3, *SIZE),
        confidence=ones(),
        photo=Photo(pixels=photo()),
        made_by=MADE_BY,
    )
    assert whole.shape == SIZE
    with pytest.raises(InputError, match=r"must have the same size .* photo \(6, 8\)"):
        Prediction(depth_or_none=depth, photo=Photo(pixels=photo(6, 8)), made_by=MADE_BY)


def test_a_prediction_of_normals_alone_has_their_size() -> None:
    assert Prediction(normals=ones(3, *SIZE), made_by=MADE_BY).shape == SIZE


def test_normals_alone_have_no_depth_and_say_so() -> None:
    bare = Prediction(normals=ones(3, *SIZE), made_by=MADE_BY)
    assert bare.depth_or_none is None
    with pytest.raises(RilievoError, match=rf"'{MADE_BY.model}' predicts no depth, only normals"):
        bare.depth  # noqa: B018
    assert not hasattr(bare, "depth")


def test_an_empty_photograph_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match=r"holiday\.jpg: an image must be"):
        Photo(pixels=photo(0, 4), name="holiday.jpg")


def test_a_camera_without_a_source_was_given() -> None:
    assert Camera(K=np.eye(3)).source is CameraSource.GIVEN


def test_arrays_of_records_are_read_only_and_the_callers_stay_writable() -> None:
    values, valid, normals, confidence = ones(), full(), ones(3, *SIZE), ones()
    depth = DepthMap(values=values, kind=DepthKind.METRIC, valid=valid)
    prediction = Prediction(
        depth_or_none=depth, normals=normals, confidence=confidence, made_by=MADE_BY
    )
    for array in (depth.values, depth.valid, prediction.normals, prediction.confidence):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[..., 0] = 0
    for array in (values, valid, normals, confidence):
        array[..., 0] = 0


def test_records_of_arrays_are_the_same_as_a_whole_or_not() -> None:
    def made(value: float = 1.0) -> Prediction:
        values = np.full(SIZE, value, np.float32)
        depth = DepthMap(values=values, kind=DepthKind.METRIC)
        normals = np.full((3, *SIZE), np.nan, np.float32)
        camera = Camera(K=np.eye(3))
        picture = Photo(pixels=photo())
        return Prediction(
            depth_or_none=depth, normals=normals, camera=camera, photo=picture, made_by=MADE_BY
        )

    one, same, other = made(), made(), made(2.0)
    assert (one == same) is True
    assert (one == other) is False
    assert one != other
    assert one.depth == same.depth != other.depth
    assert one.camera == same.camera
    assert one != "one"
    for record in (one, one.depth, one.camera, one.photo):
        with pytest.raises(
            TypeError, match=rf"{type(record).__name__} contains arrays, so it has no hash"
        ):
            hash(record)
