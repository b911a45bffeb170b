"""Anchoring of affine depth to the embedded model."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from threading import Lock

from rilievo.alignment.anchor import LEAST_CORRELATION, LEAST_OF_KNOWN, Anchor, anchor
from rilievo.errors import CalibrationError
from rilievo.messages import Note, template
from rilievo.models import DEFAULT_MODEL, MODELS, load_model
from rilievo.models.base import Model
from rilievo.models.hub.checkpoints import KINDS
from rilievo.models.processing.refined import refined
from rilievo.options.photo_options import UNREFINED, Refine
from rilievo.prediction import Prediction
from rilievo.types import Anchoring, DepthMap, MadeBy, Photo

_one_at_a_time = Lock()


def anchorable(prediction: Prediction, refine: Refine, tell: Callable[[str], None]) -> Prediction:
    """Let affine depth be anchored on demand; ``tell`` hears doubts."""
    depth, photo = prediction.depth, prediction.photo
    if photo is None:
        return prediction
    is_familiar = is_known(prediction.made_by)

    @cache
    def found() -> Anchoring:
        anchoring = anchoring_of(depth, reference_depth(photo, refine), is_known=is_familiar)
        if anchoring.remark is not None:
            tell(anchoring.remark)
        return anchoring

    anchored = prediction.but()
    anchored.defer("anchoring", found)
    return anchored


def is_known(made_by: MadeBy | None) -> bool:
    """Whether rilievo knows the model by name."""
    return made_by is not None and (made_by.model in MODELS.own or made_by.model in KINDS)


def reference_depth(photo: Photo, refine: Refine) -> DepthMap:
    """Depth of the embedded model, with the same borders."""
    network = refined(_network().depth_alone(), replace(UNREFINED, trim=refine.trim))
    with _one_at_a_time:
        [prediction] = network.predict_raw([photo])
    depth, sky = prediction.depth, prediction.sky
    if sky is None or sky.all():
        return depth
    return DepthMap(values=depth.values, kind=depth.kind, valid=depth.valid & ~sky)


def anchoring_of(depth: DepthMap, reference: DepthMap, *, is_known: bool) -> Anchoring:
    """Fit affine depth to a reference, or refuse."""
    try:
        return stated_anchoring(anchor(depth, reference), is_known=is_known)
    except CalibrationError as error:
        return refused_anchoring(error)


def stated_anchoring(fit: Anchor, *, is_known: bool) -> Anchoring:
    """Facts about a fit, or refusal."""
    rank, residual = round(fit.rank_correlation, 4), round(fit.fit.residual, 4)
    least = LEAST_OF_KNOWN if is_known else LEAST_CORRELATION
    words = f"the order of their depths correlates by {rank:.2f}, less than"
    if not fit.agrees(is_known=is_known):
        words = f"{words} {least}"
        refused = refused_anchoring(f"the two disagree about this picture ({words})")
        return replace(refused, rank_correlation=rank, residual=residual)
    return Anchoring(
        model=DEFAULT_MODEL,
        rank_correlation=rank,
        residual=residual,
        space=fit.fit.space,
        scale=fit.fit.scale,
        shift=fit.fit.shift,
        remark=None
        if fit.agrees(is_known=False)
        else f"the model and the embedded one disagree about this picture ({words} "
        f"{LEAST_CORRELATION}); its surface and sizes are less certain",
    )


def refused_anchoring(why: object) -> Anchoring:
    """Refusal with reason and remedy."""
    return Anchoring(
        model=DEFAULT_MODEL,
        refused=Note(
            "the model's depth has an unknown shift, which the embedded model cannot find: "
            f"{template(why)}; two known distances fix it: {{known=u,v,metres}}"
        ),
    )


@lru_cache(maxsize=1)
def _network() -> Model:
    return load_model(DEFAULT_MODEL)
