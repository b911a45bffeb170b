"""Fits of affine depth to the embedded model."""

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

_one_at_a_time = Lock()


def anchorable(prediction: Prediction, refine: Refine, tell: Callable[[str], None]) -> Prediction:
    """Let affine depth be anchored on demand; ``tell`` hears doubts."""
    depth, photo = prediction.depth, prediction.photo
    if photo is None:
        return prediction
    is_listed = is_listed_model(prediction.made_by)

    @cache
    def fitted() -> Anchoring:
        anchoring = fit_anchoring(depth, reference_depth(photo, refine), is_listed=is_listed)
        if anchoring.remark is not None:
            tell(anchoring.remark)
        return anchoring

    anchored = prediction.but()
    anchored.defer("anchoring", fitted)
    return anchored


def is_listed_model(made_by: MadeBy | None) -> bool:
    """Whether rilievo lists the model, so that a weaker agreement of its depth is accepted."""
    return made_by is not None and (made_by.model in MODELS.own or made_by.model in CHECKPOINTS)


def reference_depth(photo: Photo, refine: Refine) -> DepthMap:
    """Depth of the embedded model, same borders, sky invalid."""
    network = refined(_default_model().depth_alone(), replace(UNREFINED, trim=refine.trim))
    with _one_at_a_time:
        [inference] = network.infer([photo])
        prediction = network.finish(inference, photo)
    depth, sky = prediction.depth, prediction.sky
    if sky is None or sky.all():
        return depth
    return DepthMap(values=depth.values, kind=depth.kind, valid=depth.valid & ~sky)


def fit_anchoring(depth: DepthMap, reference: DepthMap, *, is_listed: bool) -> Anchoring:
    """Fit affine depth to a reference, or refuse."""
    try:
        return anchoring_or_refusal(anchor(depth, reference), is_listed=is_listed)
    except CalibrationError as error:
        return anchoring_refusal(error)


def anchoring_or_refusal(fit: Anchor, *, is_listed: bool) -> Anchoring:
    """Facts about a fit to the embedded model, or that the two disagree."""
    rank, residual = round(fit.rank_correlation, 4), round(fit.fit.residual, 4)
    least = LEAST_LISTED_CORRELATION if is_listed else LEAST_CORRELATION
    words = f"the order of their depths correlates by {rank:.2f}, less than"
    if not fit.agrees(is_listed=is_listed):
        words = f"{words} {least}"
        refused = anchoring_refusal(f"the two disagree about this picture ({words})")
        return replace(refused, rank_correlation=rank, residual=residual)
    return Anchoring(
        model=DEFAULT_MODEL,
        rank_correlation=rank,
        residual=residual,
        space=fit.fit.space,
        scale=fit.fit.scale,
        shift=fit.fit.shift,
        remark=None
        if fit.agrees(is_listed=False)
        else f"the model and the embedded one disagree about this picture ({words} "
        f"{LEAST_CORRELATION}); its surface and sizes are less certain",
    )


def anchoring_refusal(why: str | CalibrationError) -> Anchoring:
    """Refusal with reason and remedy."""
    return Anchoring(
        model=DEFAULT_MODEL,
        refused=Note(
            Text(
                "the model's depth has an unknown shift, which the embedded model cannot find: ",
                why,
                "; two known distances fix it: ",
                OptionName("known", "u,v,metres"),
            )
        ),
    )


@lru_cache(maxsize=1)
def _default_model() -> Model:
    return load_model(DEFAULT_MODEL)
