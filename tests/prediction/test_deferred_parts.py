"""Normals and confidence of a large photograph are enlarged when they are first read."""

import pickle

import numpy as np
import pytest

import rilievo
from rilievo.models import base

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def test_depth_alone_costs_no_normals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph of 12 megapixels waits 0.4 s for what many callers never read."""
    made: list[str] = []
    enlarge = base._normals_at_photo_size

    def counted(*given: object) -> np.ndarray:
        made.append("normals")
        return enlarge(*given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(base, "_normals_at_photo_size", counted)
    prediction = rilievo.predict(PHOTO, model="rilievo/small")
    assert prediction.depth.shape == (300, 400)
    assert prediction.has("normals")
    assert made == []
    normals = prediction.normals
    assert normals is not None
    assert normals.shape == (3, 300, 400)
    assert prediction.normals is normals
    assert made == ["normals"]


def test_a_copy_and_another_process_get_them_too() -> None:
    prediction = rilievo.predict(PHOTO, model="rilievo/small")
    copy = prediction.but(photo=None)
    sent = pickle.loads(pickle.dumps(prediction))
    for other in (copy, sent):
        assert other.normals is not None
        np.testing.assert_array_equal(other.normals, prediction.normals)


def test_a_copy_leaves_parts_uncomputed_unless_they_are_changed() -> None:
    prediction = rilievo.predict(PHOTO, model="rilievo/small")
    copy = prediction.but(photo=None)
    assert not prediction.is_computed("normals")
    assert not copy.is_computed("normals")
    assert prediction.but(normals=None).is_computed("normals")
    assert not prediction.but(normals=None).has("normals")
    with pytest.raises(AttributeError):
        prediction.normals = None  # pyright: ignore[reportAttributeAccessIssue]
    assert prediction.normals is not None
    assert not prediction.normals.flags.writeable
