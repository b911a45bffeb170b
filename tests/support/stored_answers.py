"""Predictions as files hold them, with as much as a test needs."""

from typing import Any

from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import MadeBy

NOBODY = MadeBy(model="m", weights_sha256="0", licence="l", settings={}, version="0")


def stored(*, depth: DepthMap | None = None, **parts: Any) -> StoredPrediction:
    """A prediction of these parts, by nobody."""
    return StoredPrediction(depth_or_none=depth, made_by=NOBODY, **parts)
