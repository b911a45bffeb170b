"""Affine depth of a model is fitted to the depth of the embedded model, so that it has surfaces."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from threading import Lock

from rilievo.alignment.anchor import LEAST_CORRELATION, LEAST_LISTED_CORRELATION, Anchor, anchor
from rilievo.errors import CalibrationError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.models import DEFAULT_MODEL, MODELS, load_model
from rilievo.models.base import Model
from rilievo.models.hub.checkpoints import CHECKPOINTS
from rilievo.models.refinement.refine import refined
from rilievo.options.photo_options import UNREFINED, Refine
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import Anchoring, MadeBy
from rilievo.records.sample import Photo

_reference_lock = Lock()
"""Held while the embedded model runs, so that photographs wait for it one by one."""


def anchorable(prediction: Prediction, refine: Refine, warn: Callable[[str], None]) -> Prediction:
    """Add an anchoring that is computed when first read, since most outputs need none.

    Args:
        prediction: Prediction with affine depth.
        refine: Options, of which the embedded model follows ``trim``.
        warn: Function that is called with a doubt about the fit, when it is made.
    """
    depth, photo = prediction.depth, prediction.photo
    if photo is None:
        return prediction
    is_listed = is_listed_model(prediction.made_by)

    @cache
    def find_anchoring() -> Anchoring:
        anchoring = fit_anchoring(depth, reference_depth(photo, refine), is_listed=is_listed)
        if anchoring.remark is not None:
            warn(anchoring.remark)
        return anchoring

    copy = prediction.but()
    copy.defer("anchoring", find_anchoring)
    return copy


def is_listed_model(made_by: MadeBy | None) -> bool:
    """Whether rilievo lists the model, so that its kind is certain and weaker fits are accepted."""
    return made_by is not None and (made_by.model in MODELS.own or made_by.model in CHECKPOINTS)


def reference_depth(photo: Photo, refine: Refine) -> DepthMap:
    """Depth of a photograph by the embedded model, without the sky and the trimmed borders."""
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
    """Fit affine depth to a reference; a fit that fails or is poor is refused with its reason.

    ``is_listed`` says that rilievo lists the model, so that a weaker correlation suffices.
    """
    try:
        return anchoring_or_refusal(anchor(depth, reference), is_listed=is_listed)
    except CalibrationError as error:
        return anchoring_refusal(error)


def anchoring_or_refusal(fit: Anchor, *, is_listed: bool) -> Anchoring:
    """Make an anchoring from a fit, or refuse it if the two models disagree."""
    correlation, residual = round(fit.rank_correlation, 4), round(fit.fit.residual, 4)
    disagreement = f"the order of their depths correlates by {correlation:.2f}, less than"
    if not fit.agrees(is_listed=is_listed):
        least = LEAST_LISTED_CORRELATION if is_listed else LEAST_CORRELATION
        refused = anchoring_refusal(f"the two disagree about this picture ({disagreement} {least})")
        return replace(refused, rank_correlation=correlation, residual=residual)

    remark = None
    if not fit.agrees(is_listed=False):
        remark = (
            f"the model and the embedded one disagree about this picture ({disagreement} "
            f"{LEAST_CORRELATION}); its surface and sizes are less certain"
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


def anchoring_refusal(reason: str | CalibrationError) -> Anchoring:
    """Refuse an anchoring for a reason, with advice on what the user can do."""
    return Anchoring(
        model=DEFAULT_MODEL,
        refused=Note(
            Text(
                "the model's depth has an unknown shift, which the embedded model cannot find: ",
                reason,
                "; two known distances fix it: ",
                OptionName("known", "u,v,metres"),
            )
        ),
    )
