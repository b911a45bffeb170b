"""Fit affine depth of a model to the depth of the embedded model, so that it has surfaces."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from threading import Lock

from rilievo.alignment.anchor import Anchor, anchor, least_correlation
from rilievo.errors import CalibrationError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.models import DEFAULT_MODEL, is_listed_name, load_model
from rilievo.models.base import Model
from rilievo.models.refinement.refine import refined
from rilievo.options.photo_options import UNREFINED, Refine
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import Anchoring, MadeBy
from rilievo.records.sample import Photo

_reference_lock = Lock()
"""Held while the embedded model runs, so that threads do not run it at the same time."""


def defer_anchoring(
    prediction: Prediction, refine: Refine, warn: Callable[[str], None]
) -> Prediction:
    """Add an anchoring that is computed when it is first read, since most outputs need none.

    Of the options ``refine``, ``trim`` applies to the embedded model, too. ``warn`` is called with
    a warning about the fit, once it is made.
    """
    depth = prediction.depth
    photo = prediction.photo
    if photo is None:
        return prediction
    is_listed = is_listed_model(prediction.made_by)

    @cache
    def find_anchoring() -> Anchoring:
        """Fit the depth to that of the embedded model."""
        anchoring = fit_anchoring(depth, reference_depth(photo, refine), is_listed=is_listed)
        if anchoring.remark is not None:
            warn(anchoring.remark)
        return anchoring

    copy = prediction.but()
    copy.defer("anchoring", find_anchoring)
    return copy


def is_listed_model(made_by: MadeBy | None) -> bool:
    """Whether rilievo lists the model, so that its kind is certain and weaker fits suffice."""
    return made_by is not None and is_listed_name(made_by.model)


def reference_depth(photo: Photo, refine: Refine) -> DepthMap:
    """Predict depth by the embedded model, without the sky and the trimmed borders."""
    network = refined(_default_model().depth_alone(), replace(UNREFINED, trim=refine.trim))
    with _reference_lock:
        [inference] = network.infer([photo])
        prediction = network.finish(inference, photo)
    depth, sky = prediction.depth, prediction.sky
    if sky is None or sky.all():
        return depth
    return DepthMap(values=depth.values, kind=depth.kind, valid=depth.valid & ~sky)


@lru_cache(maxsize=1)
def _default_model() -> Model:
    return load_model(DEFAULT_MODEL)


def fit_anchoring(depth: DepthMap, reference: DepthMap, *, is_listed: bool) -> Anchoring:
    """Fit affine depth to a reference; if the fit fails or is poor, the result states the reason.

    ``is_listed`` says that rilievo lists the model, so that a weaker correlation suffices.
    """
    try:
        return anchoring_from_fit(anchor(depth, reference), is_listed=is_listed)
    except CalibrationError as error:
        return refused_anchoring(error)


def anchoring_from_fit(fit: Anchor, *, is_listed: bool) -> Anchoring:
    """Make an anchoring from a fit, or a refused one if the two models disagree."""
    correlation = round(fit.rank_correlation, 4)
    residual = round(fit.fit.residual, 4)
    if not fit.agrees(is_listed=is_listed):
        refused = refused_anchoring(
            "the two models disagree about this picture (the rank correlation of their depths is "
            f"{correlation:.2f}, below {least_correlation(is_listed=is_listed)})"
        )
        return replace(refused, rank_correlation=correlation, residual=residual)

    remark = None
    # A listed model is anchored even if the depths agree less well, but that is remarked.
    if not fit.agrees(is_listed=False):
        remark = (
            "the model and the embedded model disagree about this picture (the rank correlation of "
            f"their depths is {correlation:.2f}, below {least_correlation(is_listed=False)}), so "
            "its surface and sizes are less certain"
        )
    return Anchoring(
        model=DEFAULT_MODEL,
        rank_correlation=correlation,
        residual=residual,
        space=fit.fit.space,
        scale=fit.fit.scale,
        shift=fit.fit.shift,
        remark=remark,
    )


def refused_anchoring(reason: str | CalibrationError) -> Anchoring:
    """Make an anchoring that is refused for a reason, with advice on what the user can do."""
    return Anchoring(
        model=DEFAULT_MODEL,
        refused=Note(
            Text(
                "the model's depth has an unknown shift, which the embedded model cannot "
                "determine: ",
                reason,
                "; to determine the shift, give two known distances with ",
                OptionName("known", "U,V,METRES"),
            )
        ),
    )
