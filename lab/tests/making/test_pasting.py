"""Pasted objects: in front of what was there, on the rays of the camera, with their own normals."""

from dataclasses import replace

import numpy as np
import pytest

from lab.making.distil.frames.training_frames import Frame
from lab.making.pasting import object_of, with_object
from rilievo.records.depth_map import DepthKind

NORMAL = np.array([0.6, 0.0, -0.8])
MIDDLE, LOW = (slice(40, 80), slice(50, 90)), (slice(70, 120), slice(50, 110))


class Donors:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def draw(self, random: np.random.Generator) -> Frame:
        return self.frame

    def __len__(self) -> int:
        return 1


def wall(*panels: tuple[slice, slice], metres: float = 3.0, focal: float = 130.0) -> Frame:
    """A dark wall; before it bright, slanted panels at about a metre."""
    rows, columns = np.mgrid[:120, :160]
    rays = np.stack([(columns - 79.5) / focal, (rows - 59.5) / focal, np.ones((120, 160))])
    depth, panel = np.full((120, 160), metres), np.zeros((120, 160), bool)
    for each in panels:
        panel[each] = True
    depth[panel] = (-0.8 / np.tensordot(NORMAL, rays, 1))[panel]
    normals = np.where(panel, NORMAL[:, None, None], np.array([0, 0, -1])[:, None, None])
    return Frame(
        image=np.where(panel[..., None], 200, 50).astype(np.uint8).repeat(3, axis=-1),
        log_depth=np.log(depth).astype(np.float32),
        valid=np.ones((120, 160), bool),
        sky=np.zeros((120, 160), bool),
        normals=np.rint(127 * normals).astype(np.int8),
        normals_valid=np.ones((120, 160), bool),
        camera=(focal, focal, 79.5, 59.5),
    )


@pytest.mark.parametrize("panel", [MIDDLE, LOW])
def test_a_pasted_panel_is_a_panel_in_space_before_the_wall(panel: tuple[slice, slice]) -> None:
    frame, found = wall(focal=150.0), 0
    for seed in range(12):
        seen = with_object(frame, Donors(wall(panel)), np.random.default_rng(seed))
        if seen is frame:
            continue
        found += 1
        mask = seen.log_depth != frame.log_depth
        assert (np.exp(seen.log_depth[mask]) < 0.91 * 3).all()
        # The panel's own plane, from depth and camera alone, is that of its normals.
        rows, columns = np.nonzero(mask)
        z = np.exp(seen.log_depth[mask].astype(np.float64))
        points = np.stack([(columns - 79.5) / 150 * z, (rows - 59.5) / 150 * z, z], axis=1)
        off = points - points.mean(axis=0)
        normal = np.linalg.svd(off, full_matrices=False)[2][-1]
        own = seen.normals[:, mask].mean(axis=1) / 127
        assert abs(normal @ own) > 0.997
        assert np.abs(off @ normal).max() < 0.03
        outside = ~mask
        np.testing.assert_array_equal(seen.image[outside], frame.image[outside])
        np.testing.assert_array_equal(seen.normals[:, outside], frame.normals[:, outside])
        assert np.median(seen.image[mask]) == 200
        assert mask[-1].any() or panel is MIDDLE, "what an image cuts is cut by the border again"
    assert found >= 4


def test_objects_are_what_depth_edges_bound() -> None:
    found = object_of(wall(MIDDLE))
    assert found is not None
    np.testing.assert_array_equal(found, wall(MIDDLE).image[..., 0] == 200)
    assert object_of(wall()) is None
    assert object_of(wall((slice(10, 115), slice(10, 150)))) is None, "too large"
    bar = wall(MIDDLE)
    bar.log_depth[:, 66:70] = np.log(0.5)
    hidden = object_of(bar)
    assert hidden is not None
    assert hidden[:, 66:70].all(), "what another hides is no object"
    assert hidden.sum() == 480
    joined = wall(MIDDLE)
    joined.log_depth[40:80, 48:90] = np.linspace(np.log(3), np.log(1), 42)
    assert object_of(joined) is None, "what runs into the wall is no object"


def test_objects_keep_about_their_size_and_need_a_metric_camera() -> None:
    donors, random = Donors(wall(MIDDLE)), np.random.default_rng(0)
    for frame in (
        wall(metres=0.5),
        replace(wall(), kind=DepthKind.UP_TO_SCALE),
        replace(wall(), camera=(np.nan, np.nan, 79.5, 59.5)),
    ):
        assert with_object(frame, donors, random) is frame
    assert with_object(wall(), donors, random).image.max() > 190
