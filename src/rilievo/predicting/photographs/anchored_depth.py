"""The embedded model's depth, to which affine depth of another model is anchored."""

from dataclasses import replace
from functools import lru_cache
from threading import Lock

from rilievo.alignment.anchor import LEAST_CORRELATION, Anchor, anchor
from rilievo.errors import CalibrationError
from rilievo.models import DEFAULT_MODEL, load_model
from rilievo.models.base import Model
from rilievo.models.processing.refined import refined
from rilievo.options.anchor_use import AnchorUse
from rilievo.options.refine import UNREFINED, Refine
from rilievo.prediction import Prediction
from rilievo.types import Anchoring, DepthMap, Photo

_one_at_a_time = Lock()


def anchorable(prediction: Prediction, use: AnchorUse, refine: Refine) -> Prediction:
    """Let a prediction of affine depth be anchored when its surface is first asked for."""
    depth, photo = prediction.depth_or_none, prediction.photo
    if depth is None or depth.is_depth or photo is None or not use.anchors:
        return prediction
    anchored = prediction.but()
    anchored.defer("anchoring", lambda: anchoring_of(depth, reference_depth(photo, refine)))
    return anchored


def reference_depth(photo: Photo, refine: Refine) -> DepthMap:
    """Depth of the embedded model, with the same borders left out."""
    seen = refined(_network(), replace(UNREFINED, trim=refine.trim))
    with _one_at_a_time:
        [prediction] = seen.predict_raw([photo])
    depth, sky = prediction.depth, prediction.sky
    if sky is None or sky.all():
        return depth
    return DepthMap(values=depth.values, kind=depth.kind, valid=depth.valid & ~sky)


def anchoring_of(depth: DepthMap, reference: DepthMap) -> Anchoring:
    """Fit affine depth to a reference, or say why a surface of it would mean nothing."""
    try:
        return stated_anchoring(anchor(depth, reference))
    except CalibrationError as error:
        return refused_anchoring(str(error))


def stated_anchoring(found: Anchor) -> Anchoring:
    """Facts about a fit, which is refused where the two answers disagree in order."""
    rank, residual = round(found.rank_correlation, 4), round(found.fit.residual, 4)
    if not found.agrees:
        words = f"the order of their depths correlates by {rank:.2f}, less than {LEAST_CORRELATION}"
        refused = refused_anchoring(f"the two disagree about this picture ({words})")
        return replace(refused, rank_correlation=rank, residual=residual)
    return Anchoring(
        model=DEFAULT_MODEL,
        rank_correlation=rank,
        residual=residual,
        space=found.fit.space,
        scale=found.fit.scale,
        shift=found.fit.shift,
    )


def refused_anchoring(why: str) -> Anchoring:
    """An anchoring that gives no surface, with the reason and what helps."""
    return Anchoring(
        model=DEFAULT_MODEL,
        refused="the model's depth has an unknown shift, which the embedded model cannot find: "
        f"{why}; two known distances fix it: --known u,v,metres (known=[(u, v, metres)])",
    )


@lru_cache(maxsize=1)
def _network() -> Model:
    return load_model(DEFAULT_MODEL)
