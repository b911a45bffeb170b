"""A model with the refinements that options ask for."""

from rilievo.models.base import Model
from rilievo.models.processing.trimming import Trimmed
from rilievo.models.processing.vanishing_camera import VanishingCamera
from rilievo.options.refine import Mirroring, Refine


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Refine a model as asked: tiles, mirror image, camera, trimmed borders."""
    if refine.tile is not None:
        from rilievo.models.processing.refinement import Tiled

        model = Tiled(model, refine.tile)
    model = mirrored(model, refine)
    if vanishing_points:
        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if refine.trim and model.card.kind is not None else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Refine a model by the mirror image alone, if asked."""
    if mirroring.flip:
        from rilievo.models.processing.refinement import FlipAveraged

        model = FlipAveraged(model)
    if mirroring.mirrors:
        from rilievo.models.processing.mirror_confidence import MirrorConfidence

        model = MirrorConfidence(model)
    return model
