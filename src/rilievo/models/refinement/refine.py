"""Put the refinements that were asked for around a model."""

from rilievo.models.base import Model
from rilievo.models.refinement.mirror_average import FlipAveraged
from rilievo.models.refinement.mirror_confidence import MirrorConfidence
from rilievo.models.refinement.tiling import Tiled
from rilievo.models.refinement.trimming import Trimmed
from rilievo.models.refinement.vanishing_points import VanishingCamera
from rilievo.options.photo_options import Mirroring, Refine


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Refine a model by tiles, mirror image, camera and borders."""
    if refine.tile is not None:
        model = Tiled(model, refine.tile)
    if refine.flip or refine.mirrors:
        model = mirrored(model, refine)
    if vanishing_points:
        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if refine.trim and model.card.kind is not None else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Refine a model by the mirror image alone, if asked."""
    model = FlipAveraged(model) if mirroring.flip else model
    return MirrorConfidence(model) if mirroring.mirrors else model
