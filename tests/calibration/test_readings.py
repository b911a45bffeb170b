"""Values at the ends of a line are those of its surface, also where they are below zero."""

import numpy as np
import pytest

from rilievo.calibration.readings import end_values_of_line
from rilievo.calibration.sizes import KnownPoint
from rilievo.records.depth_map import DepthKind
from support.sloping_plane import CAMERA, SIZE, map_of, place_on, plane_depth


@pytest.mark.parametrize(
    ("kind", "shift", "value"),
    [
        (DepthKind.UP_TO_SCALE, 0.0, 2.0 / 2.5),
        (DepthKind.AFFINE_INVERSE, 0.3, (1 / 2.0 + 0.3) / 2.5),
        (DepthKind.AFFINE_INVERSE, -1.0, (1 / 2.0 - 1.0) / 2.5),
    ],
)
def test_ends_beside_a_sheet_are_read_off_the_sheet(
    kind: DepthKind, shift: float, value: float
) -> None:
    depth = np.full(SIZE, 4.0)
    depth[40:80, 50:110] = 2.0
    first, second = (KnownPoint(u=u, v=60, metres=1) for u in (48, 111))
    ends = end_values_of_line(map_of(depth, kind, shift=shift), first, second, CAMERA)
    assert ends == pytest.approx((value, value), rel=1e-5)


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.AFFINE_INVERSE])
def test_ends_beside_a_sloping_sheet_have_its_values_there(kind: DepthKind) -> None:
    depth = np.full(SIZE, 9.0)
    depth[40:80, 50:110] = plane_depth()[40:80, 50:110]
    first, second = (KnownPoint(u=u, v=60, metres=1) for u in (48, 111))
    ends = end_values_of_line(map_of(depth, kind), first, second, CAMERA)
    on_sheet = [np.full(SIZE, place_on(u, 60)[2]) for u in (48, 111)]
    assert ends == pytest.approx(
        [map_of(camera, kind).values[0, 0] for camera in on_sheet], rel=1e-3
    )
