"""One scale and one range for a whole video."""

import numpy as np
import pytest

from rilievo.io.map_pictures import DrawnQuantity
from rilievo.io.outputs.formats.colour_files import measure_depth_range
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, PredictionRecord

OUTPUT_FOLDER = MadeBy(model="m", weights_sha256="0", licence="l", settings={}, version="0")


def maps(
    kind: DepthKind, *values: np.ndarray, valid: np.ndarray | None = None
) -> list[PredictionRecord]:
    everywhere = np.ones(values[0].shape, bool)
    return [
        PredictionRecord(
            depth_or_none=DepthMap(
                values=each.astype(np.float32),
                kind=kind,
                valid=everywhere if valid is None else valid,
            ),
            made_by=OUTPUT_FOLDER,
        )
        for each in values
    ]


def test_ends_and_percentiles_are_those_of_all_frames() -> None:
    random = np.random.default_rng(0)
    frames = random.uniform(1, 5, (50, 30, 40)) * np.linspace(1, 2, 50)[:, None, None]
    depths = maps(DepthKind.METRIC, *frames)
    extent = measure_depth_range(iter(depths), count=50, what=DrawnQuantity.INVERSE_DEPTH)
    assert (extent.low, extent.high) == pytest.approx((frames.min(), frames.max()))
    low, high = np.percentile(1 / frames, (2, 98))
    assert (extent.colours.low, extent.colours.high) == pytest.approx((low, high), rel=1e-5)


@pytest.mark.parametrize(("kind", "sign"), [(DepthKind.AFFINE, -1), (DepthKind.AFFINE_INVERSE, 1)])
def test_affine_numbers_are_drawn_with_near_bright(kind: DepthKind, sign: int) -> None:
    frames = np.random.default_rng(0).normal(0, 1, (5, 20, 20))
    extent = measure_depth_range(
        iter(maps(kind, *frames)), count=5, what=DrawnQuantity.INVERSE_DEPTH
    )
    low, high = np.percentile(sign * frames, (2, 98))
    assert (extent.colours.low, extent.colours.high) == pytest.approx((low, high), rel=1e-5)


def test_pixels_and_frames_without_depth_are_left_out() -> None:
    valid = np.zeros((10, 10), bool)
    valid[0] = True
    values = np.where(valid, 2.0, -99.0)
    empty = maps(DepthKind.METRIC, values, valid=np.zeros((10, 10), bool))
    extent = measure_depth_range(
        iter(empty + maps(DepthKind.METRIC, values, valid=valid)),
        count=2,
        what=DrawnQuantity.INVERSE_DEPTH,
    )
    assert (extent.low, extent.high) == (2.0, 2.0)
    assert (extent.colours.low, extent.colours.high) == (0.5, 0.5)
    nothing = measure_depth_range(iter(empty), count=1, what=DrawnQuantity.INVERSE_DEPTH)
    assert (nothing.low, nothing.high) == (0.0, 0.0)


def test_long_videos_are_sampled_evenly() -> None:
    frames = [np.full((4, 4), 1.0 + index / 3000) for index in range(3000)]
    extent = measure_depth_range(
        iter(maps(DepthKind.METRIC, *frames)), count=3000, what=DrawnQuantity.DEPTH
    )
    assert extent.high == pytest.approx(frames[-1][0, 0])
    assert (extent.colours.low, extent.colours.high) == pytest.approx((1.02, 1.98), abs=0.002)


@pytest.mark.parametrize("frame", [None, 0, 2])
def test_a_video_has_sky_if_a_frame_has(frame: int | None) -> None:
    frames = maps(DepthKind.METRIC, *np.full((3, 4, 4), 2.0))
    for index, prediction in enumerate(frames):
        frames[index] = prediction.but(sky=np.full((4, 4), index == frame))
    extent = measure_depth_range(iter(frames), count=3, what=DrawnQuantity.DEPTH)
    assert extent.has_sky is (frame is not None)


def test_frames_without_depth_at_every_second_place_hide_no_range() -> None:
    """Of a long video every second frame is sampled, and just these may be blank."""
    shown = np.ones((4, 4), bool)
    frames = [
        maps(DepthKind.METRIC, np.full((4, 4), 1.0 + index), valid=shown & bool(index % 2))[0]
        for index in range(1100)
    ]
    extent = measure_depth_range(iter(frames), count=1100, what=DrawnQuantity.INVERSE_DEPTH)
    assert (extent.low, extent.high) == (2, 1100)
    assert extent.colours.high < 1
